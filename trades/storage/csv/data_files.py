"""Appends rows to data files durably, or leaves the files as they were."""

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from trades.storage.csv.disk import Disk
from trades.storage.exceptions import DataDamaged


def append_rows(
    disk: Disk, folder: Path, writes: Mapping[str, Sequence[bytes]], ends: Mapping[str, int]
) -> None:
    """Write each file's texts behind its committed end, one write and one sync a file. Needs the log's lock.

    `ends` gives the committed end of each file that commits name; what follows it was never acknowledged and is
    cut. An `OSError` leaves no byte behind the committed ends, as far as the disk lets them be cut.
    """
    with ExitStack() as stack:
        opened: list[tuple[int, int]] = []
        try:
            for file, texts in writes.items():
                descriptor = os.open(
                    folder / file, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644
                )
                stack.callback(os.close, descriptor)
                end = ends.get(file, 0)
                _cut(disk, descriptor, end, folder / file)
                opened.append((descriptor, end))
                disk.append(descriptor, b"".join(texts))
            for descriptor, _ in opened:
                disk.sync(descriptor)
            if any(end == 0 for _, end in opened):
                disk.sync_folder(folder)
        except OSError:
            for descriptor, end in opened:
                with suppress(OSError):
                    disk.truncate(descriptor, end)
            raise


def _cut(disk: Disk, descriptor: int, end: int, path: Path) -> None:
    size = os.fstat(descriptor).st_size
    if size < end:
        raise DataDamaged(f"{path.parent.name}/{path.name} ends at byte {size}; commits name {end}")
    if size > end:
        disk.truncate(descriptor, end)
