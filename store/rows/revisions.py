"""Revisions: changes of bars after they became visible."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from store import lazy_pyarrow as pa
from store.arrays import Mask
from store.bar_policies import BarPolicy
from store.bars.aggregates import Aggregates, concatenated
from store.bars.aggregation import aggregate_prints
from store.bars.bars import Bars, bars_of
from store.bars.credit import DatesOf
from store.bars.prints import STANDS, prints_of
from store.protocol import ALL_TIME, Window


@dataclass(frozen=True, slots=True)
class BarValues:
    """The values of one bar; see `Bars`."""

    open: float
    high: float
    low: float
    close: float
    volume: float
    trade_count: int
    notional: float


@dataclass(frozen=True, slots=True)
class Revision:
    """A change of a bar by a commit, after an earlier commit had made the bar visible.

    Late trades count as changes, too. time_ns: start of the bar's interval. committed_at: nanoseconds UTC.
    before, after: the bar before and after the commit; None if there is no bar, for example because all its
    trades are cancelled.
    """

    time_ns: int
    commit: int
    committed_at: int
    before: BarValues | None
    after: BarValues | None


_VALUES = BarValues.__slots__


@dataclass(frozen=True, slots=True)
class RevisionQuery:
    """Selects the revisions of a window's bars by commits in `(after, commit]`; None means up to the newest.

    dates_of: see `credit_dates`.
    """

    window: Window
    interval_ns: int
    policy: BarPolicy
    after: int
    commit: int | None = None
    dates_of: DatesOf | None = None

    @property
    def newest(self) -> int:
        """The last commit to consider."""
        return STANDS - 1 if self.commit is None else self.commit


def revisions_of(
    rows: pa.Table, revised: RevisionQuery, committed_at: Callable[[int], int], first_behind: int | None
) -> list[Revision]:
    """Return the revisions by commit, then time.

    rows: the stored rows, by (time, sequence, arrival), on which the window's bars depend at any of the
    commits. committed_at: returns a commit's time. first_behind: the first commit with a row at or after the
    window's end; None if there is none.
    """
    first_seen, known_times = _first_seen(rows, revised), _KnownTimes(rows, revised.window, first_behind)
    revisions: list[Revision] = []
    start_ns, end_ns = revised.window.start_ns, revised.window.end_ns
    bars_by_commit = _bars_by_commit(rows, revised)
    _, bars = next(bars_by_commit)
    before = bars.between(start_ns, end_ns)
    for commit, bars in bars_by_commit:
        after = bars.between(start_ns, end_ns)
        known_ns = known_times.newest_before(commit)
        revised_times = [
            time_ns
            for time_ns in _changed(before, after)
            if first_seen[time_ns] < commit or time_ns + revised.interval_ns <= known_ns
        ]
        if revised_times:
            made_ns, sides = (
                committed_at(commit),
                (values_at(bars, revised_times) for bars in (before, after)),
            )
            revisions += [
                Revision(time_ns, commit, made_ns, *values)
                for time_ns, *values in zip(revised_times, *sides, strict=True)
            ]
        before = after
    return revisions


def values_at(bars: Bars, times: list[int]) -> list[BarValues | None]:
    """Return the bar that begins at each instant, or None."""
    indices = np.searchsorted(bars.time_ns, times)
    there = np.append(bars.time_ns, ALL_TIME.end_ns)[indices] == times
    columns = (getattr(bars, name)[indices[there]].tolist() for name in _VALUES)
    values = iter([BarValues(*row) for row in zip(*columns, strict=True)])
    return [next(values) if is_there else None for is_there in there.tolist()]


def _bars_by_commit(rows: pa.Table, revised: RevisionQuery) -> Iterator[tuple[int, Bars]]:
    """Yield the bars as of `revised.after`, then as of each later commit that touches the rows.

    Each time only touched intervals are recomputed.
    """
    commit, until = (rows.column(name).to_numpy() for name in ("commit", "until"))
    bucket = rows.column("timestamp").to_numpy() // revised.interval_ns * revised.interval_ns
    touching = np.unique(np.concatenate([commit, until]))
    aggregates = _aggregates(rows, revised, revised.after)
    yield revised.after, bars_of(aggregates, revised.dates_of)
    for number in touching[(touching > revised.after) & (touching <= revised.newest)].tolist():
        touched = np.unique(bucket[(commit == number) | (until == number)])
        recomputed = _aggregates(rows.filter(pa.array(np.isin(bucket, touched))), revised, number)
        aggregates = _with(aggregates, recomputed)
        yield number, bars_of(aggregates, revised.dates_of)


def _aggregates(rows: pa.Table, revised: RevisionQuery, commit: int) -> Aggregates:
    return aggregate_prints(prints_of(rows, revised.policy, commit=commit), revised.interval_ns)


def _with(aggregates: Aggregates, recomputed: Aggregates) -> Aggregates:
    """Return the aggregates with some intervals replaced or added."""
    both = concatenated([aggregates[~np.isin(aggregates.time, recomputed.time)], recomputed])
    return both[np.argsort(both.time)]


class _KnownTimes:
    """The newest event time that was stored before each commit. Missing bars up to that time count as visible."""

    def __init__(self, rows: pa.Table, window: Window, first_behind: int | None) -> None:
        commit, time = (rows.column(name).to_numpy() for name in ("commit", "timestamp"))
        if first_behind is not None:
            commit, time = np.append(commit, first_behind), np.append(time, window.end_ns)
        order = np.argsort(commit, kind="stable")
        self._commits, self._newest = commit[order], np.maximum.accumulate(time[order])

    def newest_before(self, commit: int) -> int:
        """Return the newest event time of earlier commits. Times after the window count as its end."""
        count = int(np.searchsorted(self._commits, commit))
        return int(self._newest[count - 1]) if count else ALL_TIME.start_ns


def _first_seen(rows: pa.Table, revised: RevisionQuery) -> dict[int, int]:
    """Return, for each interval, the first commit with a print that sets open and close."""
    index = rows.schema.get_field_index("until")
    all_stand = rows.set_column(index, "until", pa.array(np.full(len(rows), STANDS, np.int32)))
    sets_price = prints_of(all_stand, revised.policy).sets_open_close
    time = rows.column("timestamp").to_numpy()[sets_price] // revised.interval_ns * revised.interval_ns
    seen: dict[int, int] = {}
    commits = rows.column("commit").to_numpy()[sets_price]
    for start, commit in zip(time.tolist(), commits.tolist(), strict=True):
        seen[start] = min(commit, seen.get(start, commit))
    return seen


def _changed(before: Bars, after: Bars) -> list[int]:
    """Return the times, ascending, of bars that differ or are on one side only."""
    common, of_before, of_after = np.intersect1d(
        before.time_ns, after.time_ns, assume_unique=True, return_indices=True
    )
    differs: Mask = np.zeros(len(common), dtype=bool)
    for name in _VALUES:
        differs |= getattr(before, name)[of_before] != getattr(after, name)[of_after]
    alone = np.setxor1d(before.time_ns, after.time_ns, assume_unique=True)
    changed: list[int] = np.sort(np.concatenate([common[differs], alone])).tolist()
    return changed
