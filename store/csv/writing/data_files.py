"""Appends rows to data files durably, or leaves the files as they were."""

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from store.csv.files.disk import Disk
from store.exceptions import DataDamaged

FILES_AT_ONCE = 64
"""How many files are open at once: a batch may have rows of more dates than a process may have handles."""


def append_rows(
    disk: Disk, folder: Path, writes: Mapping[str, Sequence[bytes]], ends: Mapping[str, int]
) -> None:
    """Write each file's texts behind its committed end, one write and one sync a file. Needs the log's lock.

    `ends` gives the committed end of each file that commits name; what follows it was never acknowledged and
    is cut. An `OSError` leaves no byte behind the committed ends, as far as the disk lets them be cut.
    """
    files = list(writes)
    try:
        for start in range(0, len(files), FILES_AT_ONCE):
            _append_to(disk, folder, files[start : start + FILES_AT_ONCE], writes, ends)
        if any(ends.get(file, 0) == 0 for file in files):
            disk.sync_folder(folder)
    except OSError:
        for file in files:
            with suppress(OSError, DataDamaged):
                _cut_back(disk, folder / file, ends.get(file, 0))
        raise


def _append_to(
    disk: Disk,
    folder: Path,
    files: Sequence[str],
    writes: Mapping[str, Sequence[bytes]],
    ends: Mapping[str, int],
) -> None:
    with ExitStack() as stack:
        descriptors = []
        for file in files:
            descriptor = os.open(folder / file, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
            stack.callback(os.close, descriptor)
            descriptors.append(descriptor)
            _cut(disk, descriptor, ends.get(file, 0), folder / file)
            disk.append(descriptor, b"".join(writes[file]))
        for descriptor in descriptors:
            disk.sync(descriptor)


def _cut_back(disk: Disk, path: Path, end: int) -> None:
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        _cut(disk, descriptor, end, path)
    finally:
        os.close(descriptor)


def _cut(disk: Disk, descriptor: int, end: int, path: Path) -> None:
    size = os.fstat(descriptor).st_size
    if size < end:
        raise DataDamaged(f"{path.parent.name}/{path.name} ends at byte {size}; commits name {end}")
    if size > end:
        disk.truncate(descriptor, end)
