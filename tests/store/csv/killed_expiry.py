"""Expires the days of a folder, and kills itself at a moment: `killed_expiry.py FOLDER NOW_NS MOMENT`. Prints the moments."""

import os
import signal
import sys
from pathlib import Path
from typing import Any

from store.csv import CsvStore
from store.csv.files.disk import Disk
from store.datasets import TRADES
from store.expiring import expire, planned, remove_due
from tests.store.builders import SYMBOL
from tests.store.expired_days import BEFORE

moments = 0


def tick() -> None:
    global moments  # noqa: PLW0603 a script
    moments += 1
    if moments == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)


class KilledDisk(Disk):
    """Each write and sync is a moment before and a moment after it; a write is also cut in the middle."""

    def append(self, descriptor: int, data: bytes) -> None:
        tick()
        super().append(descriptor, data[: len(data) // 2])
        tick()
        super().append(descriptor, data[len(data) // 2 :])

    def sync(self, descriptor: int) -> None:
        tick()
        super().sync(descriptor)

    def sync_folder(self, folder: Path) -> None:
        tick()
        super().sync_folder(folder)


def unlink(path: Path, *args: Any, **options: Any) -> None:
    tick()
    os.unlink(path) if path.exists() else None  # noqa: PTH108 it is patched


def main() -> None:
    Path.unlink = unlink  # type: ignore[method-assign,assignment]
    now = int(sys.argv[2])
    store = CsvStore(sys.argv[1], disk=KilledDisk(), clock=lambda: now, segment_rows=50)
    expire(store, planned(store, TRADES, SYMBOL, BEFORE))
    remove_due(store, TRADES, SYMBOL, now)
    sys.stdout.write(f"{moments}\n")


if __name__ == "__main__":
    main()
