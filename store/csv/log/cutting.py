"""Cuts the records of later commits off a log, and keeps them in a file beside it."""

import os
import shutil
from contextlib import suppress
from pathlib import Path

from store.csv.files.commit_records import read_lines
from store.csv.files.disk import Disk
from store.csv.log.index_file import DERIVED_FOLDER
from store.csv.log.log_lock import LogLock
from store.exceptions import StoreUnavailable
from store.maintained import LogCut
from store.protocol import NO_COMMIT

_COPIED_AT_ONCE = 2**20


def planned_cut(path: Path, until_ns: int) -> LogCut:
    """Return what a log loses by a cut after its last commit up to an instant. Raises `DataDamaged`, `OSError`."""
    head, end, size = NO_COMMIT, 0, path.stat().st_size
    lost = []
    first_ns = None
    for line in read_lines(path, 0, size, NO_COMMIT):
        first_ns = first_ns or line.commit.facts.committed_at
        if line.commit.facts.committed_at <= until_ns:
            head, end = line.id, line.end
        else:
            lost.append((line.id, line.commit.facts))
    removed = [each for _, each in lost if each.expiry is not None and each.expiry.is_removed]
    return LogCut(
        head=head,
        newest=lost[-1][0] if lost else head,
        bytes_kept=end,
        bytes=size,
        rows=sum(each.rows for _, each in lost),
        corrections=sum(each.corrections for _, each in lost),
        first_ns=first_ns,
        removed_ns=removed[-1].committed_at if removed else None,
    )


def cut_log(path: Path, cut: LogCut, disk: Disk) -> None:
    """Cut a log, durably. The lost records are in `commits.cut-TOKEN.jsonl` then, by the token of the newest one.

    Raises `StoreUnavailable` if the log was written to since the cut was planned, `StoreBusy`, `OSError`.
    """
    with LogLock(path, disk).exclusive() as descriptor:
        if os.fstat(descriptor).st_size != cut.bytes:
            raise StoreUnavailable(f"{path.parent.name} was written to meanwhile: try again")
        # Derived files that are newer than their log look like lost records.
        with suppress(FileNotFoundError):
            shutil.rmtree(path.parent / DERIVED_FOLDER)
        _keep(descriptor, cut.bytes_kept, path.with_name(f"commits.cut-{cut.newest.token}.jsonl"), disk)
        disk.truncate(descriptor, cut.bytes_kept)
        disk.sync(descriptor)


def _keep(source: int, start: int, path: Path, disk: Disk) -> None:
    """Copy a file's bytes from `start` on into another file, durably."""
    target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        while data := os.pread(source, _COPIED_AT_ONCE, start):
            disk.append(target, data)
            start += len(data)
        disk.sync(target)
    finally:
        os.close(target)
    disk.sync_folder(path.parent)
