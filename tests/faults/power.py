"""A disk that keeps account of what a power cut at any moment could leave, and makes folders of it."""

import os
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

from store.csv.files.disk import Disk

SECTOR_BYTES = 512
RECORDS = "commits.jsonl"
_FOLDER = 0
_Names = dict[Path, dict[str, int]]
"""By folder, relative to the root: the names in it, each with its file's inode, or `_FOLDER`."""


class UnsyncedDisk(Disk):
    """For stores that no power cut will meet: the same without the wait."""

    def sync(self, descriptor: int) -> None:
        pass

    def sync_folder(self, folder: Path) -> None:
        pass


def is_log(descriptor: int) -> bool:
    """Whether an open file is one of commit records."""
    return Path(f"/proc/self/fd/{descriptor}").readlink().name == RECORDS


class State(Enum):
    """Of a write: the next sync makes it durable; a sync did; a sync failed, after which no other one will."""

    WAITING = 1
    DURABLE = 2
    FORSAKEN = 3


@dataclass(frozen=True, slots=True)
class Write:
    """Bytes put at an offset, or without any bytes: the file's end, moved to it."""

    offset: int
    data: bytes | None
    state: State = State.WAITING

    def applied(self, to: bytearray) -> None:
        if self.data is None:
            del to[self.offset :]
            return
        to.extend(bytes(max(self.offset - len(to), 0)))
        to[self.offset : self.offset + len(self.data)] = self.data


@dataclass(frozen=True, slots=True)
class Content:
    """A file: what is durable of it, and the writes since, in order."""

    durable: bytes = b""
    writes: tuple[Write, ...] = ()

    def written(self, write: Write) -> "Content":
        return replace(self, writes=(*self.writes, write))

    def synced(self) -> "Content":
        writes = tuple(
            replace(write, state=State.DURABLE) if write.state is State.WAITING else write
            for write in self.writes
        )
        if any(write.state is State.FORSAKEN for write in writes):
            return replace(self, writes=writes)
        data = bytearray(self.durable)
        for write in writes:
            write.applied(data)
        return Content(bytes(data))

    def forsaken(self) -> "Content":
        """After a sync that failed: the writes are seen by who reads the file, and no later sync writes them out."""
        writes = tuple(
            replace(write, state=State.FORSAKEN) if write.state is State.WAITING else write
            for write in self.writes
        )
        return replace(self, writes=writes)


@dataclass(frozen=True, slots=True)
class Moment:
    """All that a power cut would find: names, files, and which batches had been acknowledged by then."""

    after: str
    names: _Names
    durable_names: _Names
    files: dict[int, Content]
    acknowledged: frozenset[int]


@dataclass(frozen=True, slots=True)
class Luck:
    """What becomes of names and writes that were not synced: all are kept, none is, or (None) some, by chance.

    By chance a file's writes are kept up to some byte of one of them, whatever becomes of other files, and
    sectors of a data file's newest bytes are NULs. `nuls`: so is the end of a log.
    """

    rng: random.Random
    kept: bool | None = None
    nuls: bool = False

    def keeps(self) -> bool:
        return self.kept if self.kept is not None else self.rng.random() < 0.5

    def length(self, whole: int) -> int:
        return self.rng.randint(0, whole) if self.kept is None else whole * self.kept

    def content(self, name: str, content: Content) -> bytes:
        data = bytearray(content.durable)
        left = self.length(sum(1 for write in content.writes if write.state is State.WAITING))
        for write in content.writes:
            if write.state is State.WAITING:
                if left == 0 and write.data is not None and self.kept is None:
                    replace(write, data=write.data[: self.length(len(write.data))]).applied(data)
                if left <= 0:
                    left = -1
                    continue
                left -= 1
            if write.state is not State.FORSAKEN or self.keeps():
                write.applied(data)
        if self.kept is None and (self.nuls or name != RECORDS):
            self._make_holes(data, len(content.durable))
        return bytes(data)

    def _make_holes(self, data: bytearray, start: int) -> None:
        for place in range(start, len(data), SECTOR_BYTES):
            if self.rng.random() < 0.3:
                end = min(place + SECTOR_BYTES, len(data))
                data[place:end] = bytes(end - place)


class Killed(BaseException):
    """The process was killed before a call to the disk."""


class PowerCutDisk(Disk):
    """The real disk below `root`, and an account of it. What is there at the start is durable.

    `moments`: one before each call, and one more for each `now()`. `calls_left`: how many more calls are made before
    the process is killed; None: it is not.
    """

    def __init__(self, root: Path) -> None:
        super().__init__()
        self.moments: list[Moment] = []
        self.fail_record_syncs = 0
        self.calls_left: int | None = None
        self._root = root
        self._mutex = threading.RLock()
        self._durable_names = _names_below(root)
        self._files = {
            inode: Content((root / folder / name).read_bytes())
            for folder, names in self._durable_names.items()
            for name, inode in names.items()
            if inode != _FOLDER
        }
        self._acknowledged: set[int] = set()

    def acknowledged(self, number: int) -> None:
        with self._mutex:
            self._acknowledged.add(number)

    def restart(self) -> None:
        """Be the disk of a new process, which knows nothing of what the killed one has synced."""
        self.calls_left = None
        self._listed.clear()

    def now(self, after: str = "end") -> Moment:
        with self._mutex:
            moment = Moment(
                after,
                _names_below(self._root),
                {folder: dict(names) for folder, names in self._durable_names.items()},
                dict(self._files),
                frozenset(self._acknowledged),
            )
            self.moments.append(moment)
            return moment

    def append(self, descriptor: int, data: bytes) -> None:
        with self._boundary("append"):
            self._note(descriptor, Write(os.fstat(descriptor).st_size, bytes(data)))
            super().append(descriptor, data)

    def truncate(self, descriptor: int, length: int) -> None:
        with self._boundary("truncate"):
            self._note(descriptor, Write(length, None))
            super().truncate(descriptor, length)

    def rewrite(self, path: Path, start: int) -> None:
        with self._boundary("rewrite"):
            inode = path.stat().st_ino
            self._files[inode] = self._files[inode].written(Write(start, path.read_bytes()[start:]))
            super().rewrite(path, start)

    def sync(self, descriptor: int) -> None:
        with self._boundary("sync"):
            inode = os.fstat(descriptor).st_ino
            content = self._files.get(inode, Content())
            if self.fail_record_syncs and is_log(descriptor):
                self.fail_record_syncs -= 1
                self._files[inode] = content.forsaken()
                raise OSError(5, "the disk failed")
            self._files[inode] = content.synced()

    def sync_folder(self, folder: Path) -> None:
        with self._boundary("sync_folder"):
            if folder.is_relative_to(self._root):
                place = folder.relative_to(self._root)
                self._durable_names[place] = _names_below(self._root)[place]

    @contextmanager
    def _boundary(self, name: str) -> Iterator[None]:
        with self._mutex:
            self.now(f"before {name}")
            if self.calls_left is not None:
                if not self.calls_left:
                    raise Killed
                self.calls_left -= 1
            yield

    def _note(self, descriptor: int, write: Write) -> None:
        inode = os.fstat(descriptor).st_ino
        self._files[inode] = self._files.get(inode, Content()).written(write)


def restored(moment: Moment, folder: Path, luck: Luck, place: Path = Path()) -> Path:
    """A new folder as a power cut at that moment would have left it, given that luck."""
    folder.mkdir(parents=True)
    durable = moment.durable_names.get(place, {})
    for name, inode in moment.names.get(place, {}).items():
        if name not in durable and not luck.keeps():
            continue
        if inode == _FOLDER:
            restored(moment, folder / name, luck, place / name)
        else:
            (folder / name).write_bytes(luck.content(name, moment.files.get(inode, Content())))
    return folder


def _names_below(root: Path) -> _Names:
    """Without what is derived: that may be there or not."""
    names: _Names = {}
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        entries = {name: (Path(folder) / name).stat().st_ino for name in files}
        names[Path(folder).relative_to(root)] = entries | dict.fromkeys(folders, _FOLDER)
    return names
