"""The witness: files outside the database that hold the chain's head. They reveal if the chain's end was cut off.

`head` holds the newest head; it is replaced atomically, under a file lock. `anchors.jsonl` gets a line with the head
(an anchor) every 10,000 records, every hour, and after the database was restored to an earlier state. All lines are
sealed with the chain's key. Anchors are also logged, and written to AUDIT_ANCHOR_FILE if it is set.
"""

import contextlib
import fcntl
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

import msgspec
from django.conf import settings

from audit.chain.links import ChainKey, Head

logger = logging.getLogger(__name__)

ANCHOR_RECORDS = 10_000
ANCHOR_PERIOD = timedelta(hours=1)
ANCHOR, PUT_BACK, HEAD_LOST, ANCHORS_LOST = "anchor", "put back", "head lost", "anchors lost"
# The number of bytes that are read from the end of the anchors file: about a dozen anchors.
_TAIL_BYTES = 4096


class UnreadableWitness(ValueError):
    """A line of the witness files is damaged, or was not sealed with this key."""


class WitnessNote(msgspec.Struct, frozen=True):
    """A line of the witness files: the chain's head at the time `at`.

    `anchored` and `anchored_at` are the number and time of the last anchor. In a PUT_BACK line they are those of
    the head before the restore.
    """

    kind: str
    at: datetime
    sequence: int
    hash: str
    anchored: int
    anchored_at: datetime
    seal: str = ""

    @property
    def head(self) -> Head:
        """Return number and hash as a Head."""
        return Head(self.sequence, self.hash)


_DECODER = msgspec.json.Decoder(WitnessNote)


@dataclass(frozen=True, slots=True)
class Witness:
    """Reads and writes the files in `folder`. Anchors are also written to the file `copy`, unless it is None."""

    folder: Path
    key: ChainKey
    copy: Path | None

    def read_head(self) -> WitnessNote | None:
        """Return the content of the head file; None without the file. Raises UnreadableWitness and OSError."""
        try:
            return self._read((self.folder / "head").read_bytes())
        except FileNotFoundError:
            return None

    def has_head(self) -> bool:
        """Return whether there is a head file, readable or not."""
        return (self.folder / "head").exists()

    def anchors(self, on_error: Callable[[UnreadableWitness], object] | None = None) -> Iterator[WitnessNote]:
        """Return the anchors of all files, in the order in which they were written.

        A line that cannot be read is passed to `on_error`; without it UnreadableWitness is raised. Raises
        OSError.
        """
        for path in self._anchor_files():
            if path.exists():
                with path.open("rb") as file:
                    yield from self._notes(file, on_error)

    def has_anchor(self, head_note: WitnessNote) -> bool:
        """Return whether the anchor that `head_note` refers to is near the end of `anchors.jsonl`. Raises OSError."""
        try:
            with (self.folder / "anchors.jsonl").open("rb") as file:
                file.seek(max(os.fstat(file.fileno()).st_size - _TAIL_BYTES, 0))
                last_notes = list(self._notes(file, lambda _: None))
        except FileNotFoundError:
            return False
        anchor = (head_note.anchored_at, head_note.anchored)
        return anchor in {(note.at, note.sequence) for note in last_notes}

    def check(
        self, head: Head, *, now: datetime, hash_of: Callable[[int], str | None] = lambda _: None
    ) -> None:
        """Compare the database's locked head with the head file, and write an anchor if they contradict.

        They contradict if the database is behind the head file (it was restored); if it is ahead but has
        another hash for the head file's record (it was replaced); or if there are anchors but no head file.
        `hash_of` returns the database's hash of a record or None. Never raises OSError.
        """
        with self._errors_logged():
            note = self._head_or_none()
            if note is None:
                self._record_lost_head(head, now)
            elif note.sequence < head.sequence:
                if hash_of(note.sequence) not in {None, note.hash}:
                    self._record_fork(note)
            elif note.head != head:
                self._record_restore(note, head, now)

    def advance(self, head: Head, *, now: datetime) -> None:
        """Write a committed head to the file, unless the file has a later one. Never raises OSError."""
        with self._errors_logged(), self._file_lock():
            note = self._head_or_none()
            if note is None or note.sequence < head.sequence:
                self._write_head(head, note, now)

    def anchor_if_due(self, *, now: datetime) -> None:
        """Write an anchor if the last one is older than ANCHOR_PERIOD and records were added since.

        Never raises OSError.
        """
        with self._errors_logged():
            note = self.read_head()
            if note is not None and note.anchored < note.sequence and _is_old(note, now):
                with self._file_lock():
                    self._write_head(note.head, note, now)

    def _write_head(self, head: Head, before: WitnessNote | None, now: datetime) -> None:
        """Replace the head note `before`; write an anchor if one is due."""
        note = _anchor_note(head, now)
        if before is None or head.sequence - before.anchored >= ANCHOR_RECORDS or _is_old(before, now):
            is_continued = before is None or self.has_anchor(before)
            self._append_anchor(note if is_continued else msgspec.structs.replace(note, kind=ANCHORS_LOST))
            logger.info("audit anchor: record %d has the hash %s", *head)
        else:
            note = msgspec.structs.replace(note, anchored=before.anchored, anchored_at=before.anchored_at)
        self._replace_head(note)

    def _record_restore(self, before: WitnessNote, head: Head, now: datetime) -> None:
        with self._file_lock():
            self._append_anchor(
                WitnessNote(PUT_BACK, now, *head, anchored=before.sequence, anchored_at=before.at)
            )
            logger.error(
                "the audit log was put back: the database ends at record %d, and %d had been reached",
                head.sequence,
                before.sequence,
            )
            self._replace_head(_anchor_note(head, now))

    def _record_fork(self, note: WitnessNote) -> None:
        """Anchor the head file's head, so that verification will find the contradiction."""
        with self._file_lock():
            self._append_anchor(note)
        logger.error(
            "the audit log was replaced: record %d is not the one that was written here", note.sequence
        )

    def _record_lost_head(self, head: Head, now: datetime) -> None:
        if not head.sequence or not any(path.exists() for path in self._anchor_files()):
            return
        with self._file_lock():
            # Another process may just have written the first head.
            if self._head_or_none() is not None:
                return
            note = _anchor_note(head, now)
            self._append_anchor(msgspec.structs.replace(note, kind=HEAD_LOST))
            logger.error("the audit head in %s is gone; the database ends at %d", self.folder, head.sequence)
            self._replace_head(note)

    def _head_or_none(self) -> WitnessNote | None:
        try:
            return self.read_head()
        except UnreadableWitness:
            logger.exception("the audit head in %s is damaged and will be replaced", self.folder)
            return None

    def _append_anchor(self, note: WitnessNote) -> None:
        first, *copies = self._anchor_files()
        _append(first, self._sealed(note))
        for path in copies:
            try:
                _append(path, self._sealed(note))
            except OSError:
                # The first file is written already, so the anchor is not lost.
                logger.exception("an audit anchor cannot be written to %s", path)

    def _replace_head(self, note: WitnessNote) -> None:
        new = self.folder / "head.new"
        with _opened(new, os.O_TRUNC) as fd:
            _write_all(fd, self._sealed(note), new)
        new.replace(self.folder / "head")

    def _anchor_files(self) -> list[Path]:
        files = [self.folder / "anchors.jsonl"]
        return files if self.copy is None else [*files, self.copy]

    def _sealed(self, note: WitnessNote) -> bytes:
        seal = self.key.seal("witness", _unsealed_text(note))
        return msgspec.json.encode(msgspec.structs.replace(note, seal=seal)) + b"\n"

    def _notes(
        self, lines: Iterable[bytes], on_error: Callable[[UnreadableWitness], object] | None
    ) -> Iterator[WitnessNote]:
        for line in lines:
            try:
                yield self._read(line)
            except UnreadableWitness as error:
                if on_error is None:
                    raise
                on_error(error)

    def _read(self, line: bytes) -> WitnessNote:
        try:
            note = _DECODER.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise UnreadableWitness(f"a file in {self.folder} is damaged") from error
        if not self.key.is_sealed("witness", _unsealed_text(note), note.seal):
            raise UnreadableWitness(f"a file in {self.folder} was not written with this key")
        return note

    @contextlib.contextmanager
    def _file_lock(self) -> Iterator[None]:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self.folder / "head.lock").open("a") as file:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX)
            yield

    @contextlib.contextmanager
    def _errors_logged(self) -> Iterator[None]:
        """Log errors instead of raising them: the records themselves are in the database."""
        try:
            yield
        except (OSError, UnreadableWitness):
            logger.exception("the audit log's head cannot be kept in %s", self.folder)


def witness(key: ChainKey) -> Witness:
    """Return the witness of this installation, in AUDIT_DIR."""
    return Witness(Path(settings.AUDIT_DIR), key, _copy(settings.AUDIT_ANCHOR_FILE))


@cache
def _copy(name: str) -> Path | None:
    return Path(name) if name else None


def _anchor_note(head: Head, now: datetime) -> WitnessNote:
    return WitnessNote(ANCHOR, now, *head, anchored=head.sequence, anchored_at=now)


def _unsealed_text(note: WitnessNote) -> str:
    return msgspec.json.encode(msgspec.structs.replace(note, seal="")).decode()


def _is_old(note: WitnessNote, now: datetime) -> bool:
    # `abs`: the clock may have been set back.
    return abs(now - note.anchored_at) >= ANCHOR_PERIOD


def _append(path: Path, line: bytes) -> None:
    """Append a whole line or nothing. If a crash left a torn line, first end that line."""
    with _opened(path, os.O_APPEND) as fd:
        size = os.fstat(fd).st_size
        is_torn = size > 0 and os.pread(fd, 1, size - 1) != b"\n"
        try:
            _write_all(fd, b"\n" + line if is_torn else line, path)
        except OSError:
            os.ftruncate(fd, size)
            raise


@contextlib.contextmanager
def _opened(path: Path, flag: int) -> Iterator[int]:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | flag, 0o600)
    try:
        yield fd
    finally:
        os.close(fd)


def _write_all(fd: int, data: bytes, path: Path) -> None:
    written = os.write(fd, data)
    if written != len(data):
        raise OSError(f"only {written} of {len(data)} bytes were written to {path}")
    os.fsync(fd)
