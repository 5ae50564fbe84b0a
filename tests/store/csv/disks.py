"""Disks that count, fail or call back, around the real one."""

import errno
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from store.csv.files.disk import Disk


class WatchedDisk(Disk):
    """Counts its calls; `before` and `after` are called around each of them with its name and its number."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[str] = Counter()
        self.before: Callable[[str, int], None] = lambda _name, _number: None
        self.after: Callable[[str, int], None] = lambda _name, _number: None

    def append(self, descriptor: int, data: bytes) -> None:
        number = self._enter("append")
        super().append(descriptor, data)
        self.after("append", number)

    def sync(self, descriptor: int) -> None:
        number = self._enter("sync")
        super().sync(descriptor)
        self.after("sync", number)

    def truncate(self, descriptor: int, length: int) -> None:
        number = self._enter("truncate")
        super().truncate(descriptor, length)
        self.after("truncate", number)

    def sync_folder(self, folder: Path) -> None:
        number = self._enter("sync_folder")
        super().sync_folder(folder)
        self.after("sync_folder", number)

    def _enter(self, name: str) -> int:
        self.calls[name] += 1
        number = self.calls.total()
        self.before(name, number)
        return number


class Ended(BaseException):
    """The process ended during a call to the disk."""


class FailingDisk(WatchedDisk):
    """Its nth call fails, or every call from it on. A failed append has written a part of its data.

    share: the part of the data that a failed append writes, from 0 to 1.
    """

    def __init__(
        self, failing: int = 0, *, code: int = errno.EIO, lasting: bool = False, share: float = 0.5
    ) -> None:
        super().__init__()
        self.failing = failing
        self.lasting = lasting
        self.failed: list[str] = []
        self._code = code
        self._share = share
        self.before = self._fail

    def append(self, descriptor: int, data: bytes) -> None:
        try:
            super().append(descriptor, data)
        except OSError:
            os.write(descriptor, data[: int(len(data) * self._share)])
            raise

    def heal(self) -> None:
        self.failing = 0

    def _fail(self, name: str, number: int) -> None:
        if self.failing and (number == self.failing or (self.lasting and number > self.failing)):
            self.failed.append(name)
            raise OSError(self._code, os.strerror(self._code))
