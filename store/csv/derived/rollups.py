"""The rollups of a segment under one bar policy: aggregates by level (interval length), and their versions by minute.

A level with few rows per interval is left out, because it would be larger than the rows; so are the versions. If a
column is constant in all of them, only its value is stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from store import lazy_pyarrow as pa
from store.bar_policies import BarPolicy
from store.bars.aggregates import COLUMNS, NO_AGGREGATES, Aggregates, merge
from store.bars.aggregation import aggregate_prints
from store.bars.prints import STANDS, Prints, prints_of
from store.bars.session_bars import aggregate_rows
from store.bars.versions import AggregateVersions, versions_of
from store.csv.files.arrow_file import ArrowFile, Seal, write_arrow
from store.protocol import Window
from store.timestamps import DAY_NS, MINUTE_NS, SECOND_NS
from store.window_list import LEVELS_NS

# Minutes and days are always stored, other levels if their intervals have at least this many rows on average.
_WORTH = {SECOND_NS: 8, MINUTE_NS: 0, 30 * MINUTE_NS: 3, 60 * MINUTE_NS: 3, DAY_NS: 0}
# The versions are of minutes, and stored if there are at least this many rows for each.
VERSIONS_NS = MINUTE_NS
_VERSIONS_WORTH = 8
_TIME, _UNTIL = "time", "until"


@dataclass(frozen=True, slots=True)
class Rollups:
    """Aggregates by level, in nanoseconds, and the versions of those of minutes; None if these are not stored."""

    levels: Mapping[int, Aggregates]
    versions: AggregateVersions | None


def rollups_of(rows: pa.Table, policy: BarPolicy) -> Rollups:
    """Return the rollups of stored rows, which are in order.

    A policy of sessions has days alone, a policy of auctions seconds alone.
    """
    if policy.is_session:
        return Rollups({DAY_NS: aggregate_rows(rows, DAY_NS, policy)}, None)
    if policy.is_auction:
        return Rollups({SECOND_NS: aggregate_rows(rows, SECOND_NS, policy)}, None)
    versions = versions_of(rows, policy, VERSIONS_NS)
    is_worth = len(versions) * _VERSIONS_WORTH <= len(rows)
    return Rollups(levels_of(prints_of(rows, policy)), versions if is_worth else None)


def levels_of(prints: Prints) -> dict[int, Aggregates]:
    """Return the levels that are worth storing, by length in nanoseconds."""
    levels: dict[int, Aggregates] = {}
    finest = aggregate_prints(prints, SECOND_NS)
    for level in LEVELS_NS:
        finest = merge([finest], level) if level > SECOND_NS else finest
        if len(finest) * _WORTH[level] <= len(prints):
            levels[level] = finest
    return levels


def write_rollups(path: Path, rollups: Rollups) -> Seal:
    """Write rollups: the levels one after the other, then the versions."""
    tables = [*rollups.levels.values()]
    until = [np.full(len(table), STANDS, np.int32) for table in tables]
    if rollups.versions is not None:
        tables.append(rollups.versions.aggregates)
        until.append(rollups.versions.until.astype(np.int32))
    joined = Aggregates.joined(tables)
    columns = {name: getattr(joined, name) for name in COLUMNS} | {_UNTIL: np.concatenate(until)}
    constants = {
        name: value
        for name, column in columns.items()
        if name != _TIME and (value := _constant(column)) is not None
    }
    arrays = {name: pa.array(column) for name, column in columns.items() if name not in constants}
    ends = np.cumsum([len(table) for table in tables]).tolist()
    facts = {"levels": list(rollups.levels), "ends": ends, "constants": constants}
    return write_arrow(path, pa.RecordBatch.from_pydict(arrays), facts)


def map_rollups(path: Path, seal: Seal) -> MappedRollups:
    """Return the rollups of a file. Raises `ColumnsDamaged`, and `OSError` as `ArrowFile` does."""
    file = ArrowFile(path, seal)
    tables = [RollupLevel(file, start, stop) for start, stop in pairwise([0, *file.facts["ends"]])]
    levels = dict(zip(file.facts["levels"], tables, strict=False))
    return MappedRollups(levels, tables[-1] if len(tables) > len(levels) else None)


class RollupLevel:
    """The aggregates of one level, or their versions: the rows `[start, stop)` of a file.

    Methods raise `ColumnsDamaged`.
    """

    def __init__(self, file: ArrowFile, start: int, stop: int) -> None:
        self._file = file
        self._bounds = start, stop
        self._constants: Mapping[str, Any] = file.facts["constants"]
        # A window, and its aggregates, which are views of the file that were verified. Mostly the next window is in it.
        self._read = Window(0, 0), NO_AGGREGATES

    def within(self, window: Window) -> Aggregates:
        """Return the aggregates of the intervals that start in a window."""
        known, found = self._read
        if not (known.start_ns <= window.start_ns and window.end_ns <= known.end_ns):
            if known.start_ns <= window.end_ns and window.start_ns <= known.end_ns:
                known = Window(min(known.start_ns, window.start_ns), max(known.end_ns, window.end_ns))
            else:
                known = window
            start, stop = self._indices(known)
            found = Aggregates(*(self._column(name, start, stop) for name in COLUMNS))
            self._read = known, found
        start, stop = found.time.searchsorted((window.start_ns, window.end_ns)).tolist()
        return found if stop - start == len(found) else found[start:stop]

    def versions(self, window: Window) -> AggregateVersions:
        """Return the versions of the aggregates of the intervals that start in a window."""
        until = self._column(_UNTIL, *self._indices(window))
        return AggregateVersions(self.within(window), until.astype(np.int64))

    def _indices(self, window: Window) -> tuple[int, int]:
        start, stop = (
            self._file.search(_TIME, time, "left", *self._bounds) for time in (window.start_ns, window.end_ns)
        )
        return start, stop

    def _column(self, name: str, start: int, stop: int) -> npt.NDArray[Any]:
        if name in self._constants:
            return np.broadcast_to(np.asarray(self._constants[name]), stop - start)
        return self._file.numbers(name, start, stop)


@dataclass(frozen=True, slots=True)
class MappedRollups:
    """The levels of a file by length in nanoseconds, and the versions; None if they are not stored."""

    levels: Mapping[int, RollupLevel]
    versions: RollupLevel | None


NO_ROLLUPS = MappedRollups({}, None)


def _constant(column: npt.NDArray[Any]) -> int | float | None:
    """Return a column's value if it is finite and, bit by bit, the same in all rows; else None."""
    bits = column.view(f"i{column.itemsize}")
    if not len(bits) or (bits != bits[0]).any() or not np.isfinite(column[0]):
        return None
    return column[0].item()  # type: ignore[no-any-return]
