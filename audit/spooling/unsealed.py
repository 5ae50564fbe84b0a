"""Spool files with lines that the collector leaves out, and the reading of such lines by an operator's command.

Anybody may have written a line without a valid seal. So the command records an event that contains the line, not a call.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from audit.records.call import columns_of_event, record_of_call
from audit.spooling.collector import (
    UNSEALED,
    SpoolBatch,
    batch_store,
    collected_bytes,
    is_locked,
    opened,
    progress_forget,
    read_batch,
    seal_check,
)
from audit.spooling.lines import UnreadableRecordError, decode_line
from audit.spooling.spool import SUFFIX

RECORDED = "recorded"
"""The folder in UNSEALED with files that were read."""
EVENT = "audit.line_unsealed"


@dataclass(frozen=True, slots=True)
class UnsealedLines:
    """The lines of a file without a valid seal: how many are records, and how many are not."""

    records: int = 0
    others: int = 0


def files_left_aside(spool: Path) -> list[Path]:
    """Return the files that wait for the command, oldest first: in UNSEALED, and foreign ones in the spool itself."""
    foreign = (path for path in _files(spool) if not path.name.endswith(SUFFIX))
    return sorted([*foreign, *_files(spool.parent / UNSEALED)], key=lambda path: path.name)


def lines_count(path: Path) -> UnsealedLines:
    """Count the lines without a valid seal. Raises OSError."""
    with opened(path) as fd:
        size, offset, counted = os.fstat(fd).st_size, 0, UnsealedLines()
        while (batch := _next_batch(fd, path, offset, size)).end > offset:
            offset, counted = batch.end, _added(counted, batch, len(_lines(batch)))
        return counted


def lines_record(
    path: Path, *, spool: Path, actor: str, declared: frozenset[str], now: datetime
) -> UnsealedLines:
    """Record each line without a valid seal as an EVENT, once, and move the file to RECORDED.

    Lines that are no records stay in the file. declared: the query parameters whose values are recorded. Raises
    OSError, BlockingIOError if a process still writes the file, django.db.Error.
    """
    name = f"{UNSEALED}/{path.name}"
    with opened(path) as fd:
        if not is_locked(fd):
            raise BlockingIOError(f"{path.name} is still written")
        size, offset, counted = os.fstat(fd).st_size, collected_bytes(name), UnsealedLines()
        while (batch := _next_batch(fd, path, offset, size)).end > offset:
            lines = _lines(batch)
            rows = [
                columns_of_event(
                    at=now, actor=actor, audit_class="", event=EVENT, subject=path.name,
                    detail={"line": _masked(line, declared)},
                )
                for line in lines
            ]  # fmt: skip
            if not batch_store(name, batch, rows, now=now):
                raise BlockingIOError(f"{path.name} is being read by another command")
            offset, counted = batch.end, _added(counted, batch, len(rows))
        recorded = spool.parent / UNSEALED / RECORDED
        recorded.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.replace(recorded / path.name)
        progress_forget(name)
        return counted


def _files(folder: Path) -> list[Path]:
    """Return the regular files in a folder; none if it does not exist."""
    try:
        with os.scandir(folder) as entries:
            return [Path(entry.path) for entry in entries if entry.is_file(follow_symlinks=False)]
    except FileNotFoundError:
        return []


def _next_batch(fd: int, path: Path, offset: int, size: int) -> SpoolBatch:
    """Return the next batch; what follows the last line feed is a line, too, because nobody will complete it."""
    batch = read_batch(fd, start=offset, size=size, fits=seal_check(path.name))
    if batch.end == offset and offset < size:
        return SpoolBatch(offset, size, unreadable=(os.pread(fd, size - offset, offset),))
    return batch


def _lines(batch: SpoolBatch) -> list[Mapping[str, Any]]:
    """Return the fields of those of a batch's lines without a valid seal that are records."""
    lines: list[Mapping[str, Any]] = []
    for line in batch.unreadable:
        try:
            lines.append(msgspec.structs.asdict(decode_line(line)))
        except UnreadableRecordError:
            continue
    return lines


def _masked(line: Mapping[str, Any], declared: frozenset[str]) -> dict[str, Any]:
    """Return the fields of a line, masked as if the call were recorded now, without those that are empty."""
    event = {name: line[name] for name in ("event", "detail")}
    call = {name: value for name, value in line.items() if name not in event}
    masked = msgspec.structs.asdict(record_of_call(**call, declared=declared))
    return {name: value for name, value in (masked | event).items() if value != ""}


def _added(counted: UnsealedLines, batch: SpoolBatch, records: int) -> UnsealedLines:
    others = len(batch.unreadable) - records
    return UnsealedLines(counted.records + records, counted.others + others)
