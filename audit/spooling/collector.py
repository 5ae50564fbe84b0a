"""Moves spool files into the database, each record exactly once, and measures what is left to move.

The records of a batch and the new offset of their file are committed in one transaction. After its last byte was
processed and its writer, which holds an flock on it, is gone, a file is deleted. Unreadable lines are an event, with their
size and hash; the log has how the first of them begins.
"""

import contextlib
import errno
import fcntl
import logging
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from audit.chain.append import records_append, records_transaction
from audit.models import SpoolFile
from audit.records.call import LINE_BYTES, columns_of_event
from audit.records.columns import AuditColumns
from audit.records.detail import size_of
from audit.spooling.lines import UnreadableRecordError, decode_line
from audit.spooling.spool import SUFFIX

logger = logging.getLogger(__name__)

# A transaction costs as much processor time as 200 records. Audit-first calls wait while this many are stored: 0.07 s.
BATCH_RECORDS = 4000
READ_BYTES = 2 * 2**20
_SAMPLE_BYTES = 200


@dataclass(frozen=True, slots=True)
class SpoolBatch:
    """The lines of bytes [start, end) of a spool file. `unreadable`: lines that are no records."""

    start: int
    end: int
    records: tuple[AuditColumns, ...] = ()
    unreadable: tuple[bytes, ...] = ()


@contextlib.contextmanager
def exclusive(path: Path) -> Iterator[bool]:
    """Lock the file at `path` (made if missing); yields False, without waiting, if another process has the lock."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with path.open("a") as file:
        yield _is_locked(file.fileno())


def file_collect(path: Path, *, now: datetime, limit: int) -> int:
    """Move about `limit` records of one spool file, in whole batches; delete it when it is finished.

    Returns the number of moved records. Lines that are written during the call are left for the next one. Raises OSError
    if the file cannot be read.
    """
    with _opened(path) as fd:
        # Lock before reading the size: if the lock is ours, the writer is gone and the size is final.
        writer_is_gone = _is_locked(fd)
        size = os.fstat(fd).st_size
        offset, moved = _collected_bytes(path.name), 0
        while moved < limit and (batch := _read_batch(fd, start=offset, size=size)).end > offset:
            if not _batch_collect(path.name, batch, now=now):
                return moved
            offset, moved = batch.end, moved + len(batch.records)
        if writer_is_gone and moved < limit:
            _finish(path, fd, offset=offset, size=size, now=now)
        return moved


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    """Open a spool file. Raises OSError, also for anything but a regular file."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, "no file", str(path))
        yield fd
    finally:
        os.close(fd)


def _read_batch(fd: int, *, start: int, size: int) -> SpoolBatch:
    """Return at most BATCH_RECORDS complete lines from `start` on; an empty batch (end == start) if there is none."""
    chunk = os.pread(fd, min(READ_BYTES, size - start), start) if size > start else b""
    lines = chunk.split(b"\n", BATCH_RECORDS)
    incomplete_line = lines.pop()
    if not lines and len(incomplete_line) == READ_BYTES:
        # This line is longer than any record: skip it piece by piece.
        return SpoolBatch(start, start + READ_BYTES, unreadable=(incomplete_line,))
    records, unreadable = [], []
    offset = start
    for line in lines:
        try:
            records.append(decode_line(line))
        except UnreadableRecordError:
            unreadable.append(line)
        offset += len(line) + 1
    return SpoolBatch(start, offset, tuple(records), tuple(unreadable))


def _batch_collect(name: str, batch: SpoolBatch, *, now: datetime) -> bool:
    """Commit a batch with the file's progress, or return False: another process has done these bytes."""
    with records_transaction():
        progress, _ = SpoolFile.objects.select_for_update().get_or_create(
            name=name, defaults={"updated_at": now}
        )
        if progress.offset != batch.start:
            return False
        records_append(_rows(name, batch, now))
        progress.offset = batch.end
        progress.updated_at = now
        progress.save(update_fields=["offset", "updated_at"])
    if batch.unreadable:
        logger.warning(
            "%d unreadable audit lines in %s, bytes %d to %d, left out; the first begins %r",
            len(batch.unreadable), name, batch.start, batch.end, batch.unreadable[0][:_SAMPLE_BYTES],
        )  # fmt: skip
    return True


def _rows(name: str, batch: SpoolBatch, now: datetime) -> list[AuditColumns]:
    """Return the records of a batch, and an event for its unreadable lines."""
    rows = list(batch.records)
    if batch.unreadable:
        span = {"lines": len(batch.unreadable), "from": batch.start, "to": batch.end}
        detail = {**span, **size_of(b"\n".join(batch.unreadable))}
        rows.append(_event("audit.lines_unreadable", name, detail, now))
    return rows


def _event(event: str, name: str, detail: dict[str, Any], now: datetime) -> AuditColumns:
    return columns_of_event(at=now, actor="", audit_class="", event=event, subject=name, detail=detail)


def _finish(path: Path, fd: int, *, offset: int, size: int, now: datetime) -> None:
    """Record a torn last line, then delete the file, then its row.

    A crash in between leaves a row without a file. In the other order the file could be collected twice.
    """
    if offset < size:
        torn = os.pread(fd, size - offset, offset)
        if not _batch_collect(path.name, SpoolBatch(offset, size, unreadable=(torn,)), now=now):
            return
    path.unlink(missing_ok=True)
    SpoolFile.objects.filter(name=path.name).delete()


def _collected_bytes(name: str) -> int:
    """Return the offset up to which a file was processed."""
    return SpoolFile.objects.filter(name=name).values_list("offset", flat=True).first() or 0


def _is_locked(fd: int) -> bool:
    """Lock a file; return False, without waiting, if another process has locked it."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class SpoolLag:
    """Bytes of records that are not in the database yet, and the age of the oldest record in seconds (0 if none)."""

    spooled_bytes: int
    seconds: float


class _LineTime(msgspec.Struct, array_like=True):
    at: datetime


_DECODER = msgspec.json.Decoder(_LineTime)


def spool_lag(folder: Path, *, now: datetime) -> SpoolLag:
    """Return the lag of the spool files in `folder`. Raises django.db.Error."""
    parts = list(_uncollected_parts(folder))
    times = [at for path, offset, _ in parts if (at := _begun_at(path, offset)) is not None]
    age = (now - min(times)).total_seconds() if times else 0.0
    return SpoolLag(sum(count for _, _, count in parts), max(0.0, age))


def _uncollected_parts(folder: Path) -> Iterator[tuple[Path, int, int]]:
    """Yield the files with uncollected bytes: path, offset of the first such byte, and number of such bytes."""
    sizes = {path: size for path in folder.glob(f"*{SUFFIX}") if (size := _size(path))}
    files = SpoolFile.objects.filter(name__in=[path.name for path in sizes])
    offsets = dict(files.values_list("name", "offset"))
    for path, size in sizes.items():
        offset = offsets.get(path.name, 0)
        if size > offset:
            yield path, offset, size - offset


def _size(path: Path) -> int:
    """Return the size of a regular file; 0 if it was removed meanwhile or is not a regular file."""
    try:
        state = path.lstat()
    except OSError:
        return 0
    return state.st_size if stat.S_ISREG(state.st_mode) else 0


def _begun_at(path: Path, offset: int) -> datetime | None:
    """Return when the first call after `offset` began; None if its line cannot be read (yet)."""
    try:
        with path.open("rb") as file:
            file.seek(offset)
            return _DECODER.decode(file.readline(LINE_BYTES)).at
    except (OSError, msgspec.MsgspecError):
        return None
