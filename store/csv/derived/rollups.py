"""The rollups and the daily session bars of a segment under one bar policy.

Rollups are aggregates, one record batch per level (interval length). A level with few rows per interval is
left out, because it would be larger than the rows. If a column is constant, only its value is stored.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from store.arrays import Integers
from store.bar_policies import BarPolicy
from store.bars.aggregates import Aggregates, merge
from store.bars.aggregation import aggregate_prints
from store.bars.bars import Bars
from store.bars.prints import STANDS, Prints
from store.bars.session_bars import session_bars_of
from store.csv.derived.arrow_files import NotUsable, as_numpy, map_batches, write_batches
from store.timestamps import DAY_NS, SECOND_NS

MINUTE_NS = 60 * SECOND_NS
# For session bars: sessions nearly always start and end on the hour or half hour.
HALF_HOUR_NS = 30 * MINUTE_NS
HOUR_NS = 60 * MINUTE_NS
LEVELS_NS = (SECOND_NS, MINUTE_NS, HALF_HOUR_NS, HOUR_NS, DAY_NS)
# A level is stored if its intervals have at least this many rows on average.
_WORTH = {SECOND_NS: 8, MINUTE_NS: 3, HALF_HOUR_NS: 3, HOUR_NS: 3, DAY_NS: 0}
_COLUMNS = tuple(field.name for field in fields(Aggregates))
_METADATA = b"rollups"

Rollups = Mapping[int, Aggregates]


class _Layout(msgspec.Struct, frozen=True):
    """The level of each batch, in order, and the value of each column that is constant in all batches."""

    levels: tuple[int, ...]
    constants: dict[str, int | float]


def level_for(interval_ns: int) -> int | None:
    """Return the longest level that divides an interval without remainder; None if there is none."""
    return next((level for level in reversed(LEVELS_NS) if interval_ns % level == 0), None)


def rollups_of(prints: Prints) -> dict[int, Aggregates]:
    """Return the levels that are worth storing, by length in nanoseconds."""
    rollups: dict[int, Aggregates] = {}
    finest = aggregate_prints(prints, SECOND_NS)
    for level in LEVELS_NS:
        finest = merge([finest], level) if level > SECOND_NS else finest
        if len(finest) * _WORTH[level] <= len(prints):
            rollups[level] = finest
    return rollups


def write_rollups(path: Path, rollups: Rollups) -> int:
    """Write the levels to a file and return its checksum."""
    constants = {name: value for name in _COLUMNS[1:] if (value := _constant(rollups, name)) is not None}
    layout = _Layout(tuple(rollups), constants)
    names = [name for name in _COLUMNS if name not in constants]
    batches = [
        pa.record_batch([pa.array(getattr(level, name)) for name in names], names=names)
        for level in rollups.values()
    ]
    schema = batches[0].schema.with_metadata({_METADATA: msgspec.json.encode(layout)})
    return write_batches(path, schema, [batch.replace_schema_metadata(schema.metadata) for batch in batches])


def map_rollups(path: Path, checksum: int) -> dict[int, Aggregates]:
    """Return the levels of a file by length in nanoseconds. Raises `NotUsable`."""
    batches = map_batches(path, checksum)
    if not batches or _METADATA not in (batches[0].schema.metadata or {}):
        raise NotUsable(f"{path.name} does not hold rollups")
    layout = msgspec.json.decode(batches[0].schema.metadata[_METADATA], type=_Layout)
    return {
        level: _aggregates(batch, layout.constants)
        for level, batch in zip(layout.levels, batches, strict=True)
    }


def _constant(rollups: Rollups, name: str) -> int | float | None:
    """Return a column's value if it is finite and, bit by bit, the same in all levels; else None."""
    column = np.concatenate([getattr(level, name) for level in rollups.values()])
    bits = column.view(np.int64)
    if not len(bits) or (bits != bits[0]).any() or not np.isfinite(column[0]):
        return None
    return column[0].item()  # type: ignore[no-any-return]


def _aggregates(batch: pa.RecordBatch, constants: Mapping[str, int | float]) -> Aggregates:
    def column(name: str) -> npt.NDArray[np.generic]:
        if name not in constants:
            return as_numpy(batch.column(name))
        return np.broadcast_to(np.asarray(constants[name]), batch.num_rows)

    return Aggregates(*(column(name) for name in _COLUMNS))  # type: ignore[arg-type]


_BAR_COLUMNS = tuple(field.name for field in fields(Bars))


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
    columns = {name: pa.array(getattr(sessions.bars, name)) for name in _BAR_COLUMNS}
    batch = pa.record_batch({**columns, "newest": pa.array(sessions.newest)})
    return write_batches(path, batch.schema, [batch])


def map_sessions(path: Path, checksum: int) -> SegmentSessions:
    """Return the session bars of a file. Raises `NotUsable`."""
    batches = map_batches(path, checksum)
    if len(batches) != 1:
        raise NotUsable(f"{path.name} does not hold sessions")
    columns = {name: as_numpy(batches[0].column(name)) for name in (*_BAR_COLUMNS, "newest")}
    return SegmentSessions(Bars(*(columns[name] for name in _BAR_COLUMNS)), columns["newest"])


def _on_every_date(time: Integers, bars: Bars) -> Bars:
    """Return a bar for each date in `time`; a date without a bar in `bars` gets NaN prices."""
    indices = time.searchsorted(bars.time_ns)

    def spread(name: str) -> np.ndarray[tuple[int], np.dtype[np.generic]]:
        column = getattr(bars, name)
        spread = np.full(len(time), np.nan if column.dtype.kind == "f" else 0, column.dtype)
        spread[indices] = column
        return spread

    return Bars(time, *(spread(name) for name in _BAR_COLUMNS[1:]))  # type: ignore[arg-type]
