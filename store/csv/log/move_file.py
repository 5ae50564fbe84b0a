"""The file that says that a store's data move: its writers wait while it is locked, and then write where it says."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from store.csv.files.disk import Disk, unavailable_on_error
from store.csv.log.log_lock import LogLock
from store.exceptions import StoreMoves, StoreUnavailable

MOVE_FILE = "moved.json"


class Move(msgspec.Struct, frozen=True):
    """A move. to: the folder or URL of the other store. is_complete: whether the data are there."""

    to: str
    is_complete: bool


_decoder = msgspec.json.Decoder(Move)


def move_of(folder: Path) -> Move | None:
    """Return a store's move. An unfinished move whose process has ended counts as none. Raises `StoreUnavailable`."""
    with unavailable_on_error:
        try:
            descriptor = os.open(folder / MOVE_FILE, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
    try:
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            # Nobody holds it: it is complete, or was given up.
            move = _decoded(descriptor)
            return move if move.is_complete else None
        return Move("", is_complete=False)
    finally:
        os.close(descriptor)


def _decoded(descriptor: int) -> Move:
    try:
        return _decoder.decode(os.pread(descriptor, 2**16, 0) or b'{"to":"","is_complete":false}')
    except msgspec.MsgspecError as error:
        raise StoreUnavailable(f"{MOVE_FILE} does not say where the store is") from error


class MoveFile:
    """The file while its process moves the store. Methods raise `OSError`."""

    def __init__(self, folder: Path, disk: Disk) -> None:
        self._path = folder / MOVE_FILE
        self._disk = disk

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let writers wait. Raises `StoreBusy` if another process does, `StoreMoves` if the store has moved."""
        with LogLock(self._path, self._disk).exclusive() as descriptor:
            if _decoded(descriptor).is_complete:
                raise StoreMoves
            try:
                yield
            finally:
                if os.fstat(descriptor).st_nlink:  # otherwise `complete` has replaced it
                    self._path.unlink()

    def complete(self, to: str) -> None:
        """Say durably where the data are, for ever."""
        new = self._path.with_suffix(".new")
        descriptor = os.open(new, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            self._disk.append(descriptor, msgspec.json.encode(Move(to, is_complete=True)))
            self._disk.sync(descriptor)
        finally:
            os.close(descriptor)
        new.replace(self._path)
        self._disk.sync_folder(self._path.parent)
