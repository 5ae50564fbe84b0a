"""The daily session bars of a segment under one bar policy."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from store import lazy_pyarrow as pa
from store.arrays import Integers
from store.bar_policies import BarPolicy
from store.bars.bars import Bars
from store.bars.prints import STANDS
from store.bars.session_bars import session_bars_of
from store.csv.derived.segment_files import map_file, write_file
from store.csv.files.column_file import ColumnWriter
from store.timestamps import DAY_NS

_KIND = "sessions 1"
_NEWEST = "newest"
_BAR_COLUMNS = tuple(field.name for field in fields(Bars))
_INTEGERS = {_NEWEST, *(field.name for field in fields(Bars) if field.type is Integers)}


@dataclass(frozen=True, slots=True)
class SegmentSessions:
    """Daily session bars, one for each event date of the segment.

    bars: a date without a session has a bar with NaN prices. newest: the newest commit that touched the date.
    """

    bars: Bars
    newest: Integers

    def __len__(self) -> int:
        return len(self.newest)


def sessions_of(rows: pa.Table, policy: BarPolicy) -> SegmentSessions:
    """Return the daily session bars of stored rows. rows: in order, at least one."""
    date = rows.column("timestamp").to_numpy() // DAY_NS
    starts = np.concatenate([[0], np.flatnonzero(date[1:] != date[:-1]) + 1])
    commit, until = (rows.column(name).to_numpy() for name in ("commit", "until"))
    newest = np.maximum.reduceat(np.maximum(commit, np.where(until == STANDS, 0, until)), starts)
    time = date[starts] * DAY_NS
    return SegmentSessions(_on_every_date(time, session_bars_of(rows, policy)), newest.astype(np.int64))


def write_sessions(path: Path, sessions: SegmentSessions) -> int:
    """Write the session bars to a file and return its checksum."""

    def write(writer: ColumnWriter) -> None:
        for name in _BAR_COLUMNS:
            writer.write(name, _dtype_of(name), [getattr(sessions.bars, name)])
        writer.write(_NEWEST, _dtype_of(_NEWEST), [sessions.newest])

    return write_file(path, _KIND, {}, write)


def map_sessions(path: Path, checksum: int) -> SegmentSessions:
    """Return the session bars of a file. Raises `ColumnsDamaged`, and `OSError` as `map_file` does."""
    file = map_file(path, _KIND, checksum, _dtype_of)
    return SegmentSessions(Bars(*(file[name].all() for name in _BAR_COLUMNS)), file[_NEWEST].all())


def _dtype_of(name: str) -> np.dtype[Any]:
    return np.dtype("<i8" if name in _INTEGERS else "<f8")


def _on_every_date(time: Integers, bars: Bars) -> Bars:
    """Return a bar for each date in `time`; a date without a bar in `bars` gets NaN prices."""
    indices = time.searchsorted(bars.time_ns)

    def spread(name: str) -> np.ndarray[tuple[int], np.dtype[np.generic]]:
        column = getattr(bars, name)
        spread = np.full(len(time), np.nan if column.dtype.kind == "f" else 0, column.dtype)
        spread[indices] = column
        return spread

    return Bars(time, *(spread(name) for name in _BAR_COLUMNS[1:]))  # type: ignore[arg-type]
