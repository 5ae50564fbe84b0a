"""Bars of one log: from rollups wherever they are old enough, from rows where they are not."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby, pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from trades.bar_policies import BarPolicy
from trades.datasets import TRADES
from trades.storage.aggregate import (
    Aggregates,
    Bars,
    Unmergeable,
    aggregate_prints,
    bars_of,
    bars_of_prints,
    merge,
)
from trades.storage.bars import joined_bars
from trades.storage.csv.derived.columns import PRINT_COLUMNS, plain_rows
from trades.storage.csv.derived.rollups import LEVELS_NS, level_for
from trades.storage.csv.derived.segments import MappedSegment
from trades.storage.csv.derived.tail import Block
from trades.storage.csv.log_reader import LogReader, Snapshot
from trades.storage.prints import prints_of, standing
from trades.storage.protocol import ALL_TIME, Revision, Window
from trades.storage.revisions import Revised, revisions_of
from trades.storage.session_bars import session_bars_of
from trades.timestamps import DAY_NS

Buckets = npt.NDArray[np.int64]
_NONE: Buckets = np.empty(0, np.int64)


@dataclass(frozen=True, slots=True)
class BarQuery:
    """Bars of whole intervals. `window` begins and ends on whole multiples of `interval_ns`."""

    window: Window
    interval_ns: int
    policy: BarPolicy

    @property
    def level_ns(self) -> int:
        """The length of the aggregates that its bars are merged from."""
        return level_for(self.interval_ns) or self.interval_ns


class BarReader:
    """Makes bars of what a `LogReader` reads."""

    def __init__(self, reader: LogReader) -> None:
        self._reader = reader

    def bars(self, query: BarQuery, snapshot: Snapshot) -> Bars:
        """The bars of a query."""
        ready = _ready(query, snapshot)
        if ready is not None:
            return ready
        try:
            needed = self.influence(query, snapshot)
            bars = bars_of(self._merged(needed, query, snapshot))
        except Unmergeable:
            return self._from_rows(query, snapshot)
        return bars[: int(bars.time_ns.searchsorted(query.window.end_ns))]

    def influence(self, query: BarQuery, snapshot: Snapshot) -> Window:
        """The window that the bars depend on: up to the end of the next interval that has a price.

        Volume printed before that is credited to the last bar; it may still come where no such interval is known.
        """
        window, interval = query.window, query.interval_ns
        if query.policy.counts_every_print or window.end_ns >= ALL_TIME.end_ns:
            return window
        for date in snapshot.history.dates(Window(window.end_ns, ALL_TIME.end_ns)).tolist():
            start = max(window.end_ns, date * DAY_NS // interval * interval)
            end = max(-(-(date + 1) * DAY_NS // interval) * interval, start + interval)
            priced = self._first_priced(Window(start, end), query, snapshot)
            if priced is not None:
                return Window(window.start_ns, priced + interval)
        return Window(window.start_ns, ALL_TIME.end_ns)

    def session_bars(self, window: Window, policy: BarPolicy, snapshot: Snapshot) -> Bars:
        """Daily bars of the regular session, by the policy's daily table."""
        whole = Window(window.start_ns // DAY_NS * DAY_NS, -(-window.end_ns // DAY_NS) * DAY_NS)
        if policy.counts_every_print:
            return self.bars(BarQuery(whole, DAY_NS, policy), snapshot)
        dates = snapshot.history.dates(whole, snapshot.at)
        kept = joined_bars(list(_kept_sessions(whole, policy, snapshot)))
        made = [
            session_bars_of(self._of_date(date, snapshot), policy, at=snapshot.at)
            for date in np.setdiff1d(dates, kept.time_ns // DAY_NS).tolist()
        ]
        bars = joined_bars([kept, *made])
        order = np.argsort(bars.time_ns)
        return bars[order[~np.isnan(bars.open[order])]]

    def _of_date(self, date: int, snapshot: Snapshot) -> pa.Table:
        return self._reader.stored(Window(date * DAY_NS, (date + 1) * DAY_NS), snapshot, PRINT_COLUMNS)

    def revisions(self, revised: Revised, snapshot: Snapshot) -> list[Revision]:
        """What commits changed of bars that could be seen already."""
        revised = replace(revised, at=snapshot.at)
        rows = self._reader.stored(self._needed_since(revised, snapshot), snapshot)
        return revisions_of(rows, revised, snapshot.history.committed_at_of)

    def _needed_since(self, revised: Revised, snapshot: Snapshot) -> Window:
        """What the bars depend on at every one of the commits: up to a price that stood all the while."""
        window, interval = revised.window, revised.interval_ns
        if revised.policy.counts_every_print:
            return window
        for date in snapshot.history.dates(Window(window.end_ns, ALL_TIME.end_ns)).tolist():
            span = Window(max(window.end_ns, date * DAY_NS), (date + 1) * DAY_NS)
            rows = self._reader.stored(span, snapshot, PRINT_COLUMNS)
            stood = rows.filter(pa.array(standing(rows, snapshot.at)))
            prints = prints_of(stood, revised.policy, at=revised.after)
            times = prints.time[prints.sets_open_close]
            if len(times):
                return Window(window.start_ns, int(times[0]) // interval * interval + interval)
        return Window(window.start_ns, max(window.end_ns, ALL_TIME.end_ns))

    def _first_priced(self, window: Window, query: BarQuery, snapshot: Snapshot) -> int | None:
        """The start of the first interval in the window that has a price."""
        try:
            merged = self._merged(window, query, snapshot)
        except Unmergeable:
            rows = self._reader.stored(window, snapshot, PRINT_COLUMNS)
            prints = prints_of(rows, query.policy, at=snapshot.at)
            starts = prints.time[prints.sets_open_close] // query.interval_ns * query.interval_ns
        else:
            starts = merged.time[merged.price_count > 0]
        return int(starts[0]) if len(starts) else None

    def _from_rows(self, query: BarQuery, snapshot: Snapshot) -> Bars:
        """The bars of a query from the rows themselves: for sizes so far apart that no aggregate holds their sum."""
        window = Window(query.window.start_ns, ALL_TIME.end_ns)
        rows = self._reader.stored(window, snapshot, PRINT_COLUMNS)
        bars = bars_of_prints(prints_of(rows, query.policy, at=snapshot.at), query.interval_ns)
        return bars[: int(bars.time_ns.searchsorted(query.window.end_ns))]

    def _merged(self, window: Window, query: BarQuery, snapshot: Snapshot) -> Aggregates:
        return merge(list(self._parts(window, query, snapshot)), query.interval_ns)

    def _parts(self, window: Window, query: BarQuery, snapshot: Snapshot) -> Iterator[Aggregates]:
        """Aggregates of the query's level that together hold every print in the window once."""
        if not snapshot.has_tail:
            for segment in snapshot.segments.within(window):
                yield from _of_segment(segment, window, query, snapshot)
            return
        corrections = self._reader.corrections(window, snapshot)
        corrected = _buckets(corrections.column("timestamp").to_numpy(), query) if corrections else _NONE
        for segment in snapshot.segments.within(window):
            for part in _of_segment(segment, window, query, snapshot):
                yield _without(part, corrected)
        for block in self._reader.blocks(window, snapshot):
            yield _without(_of_block(block, window, query, snapshot.at), corrected)
        for _, of_date in groupby(corrected.tolist(), key=lambda start: start // DAY_NS):
            yield self._read_again(np.array(list(of_date)), query, snapshot)

    def _read_again(self, buckets: Buckets, query: BarQuery, snapshot: Snapshot) -> Aggregates:
        """Aggregates of a few buckets from their rows."""
        span = Window(int(buckets[0]), int(buckets[-1]) + query.level_ns)
        rows = self._reader.stored(span, snapshot, PRINT_COLUMNS)
        return _only(_aggregated(rows, query, snapshot.at), buckets)


def _ready(query: BarQuery, snapshot: Snapshot) -> Bars | None:
    """The bars, where they lie finished in one segment, or in several of which none begins inside of an interval."""
    window, interval = query.window, query.interval_ns
    within = snapshot.segments.within(window)
    if not within or interval not in LEVELS_NS or any(each.segment.newest > snapshot.at for each in within):
        return None
    found: list[Bars] = []
    for mapped in within:
        bars = mapped.finished_bars(query.policy, interval, window)
        if bars is None:
            return None
        found.append(bars)
    needed = _credited_window(window, found[-1], query)
    if needed is None or (snapshot.has_tail and _has_tail_in(needed, snapshot)):
        return None
    return _joined([_cut(bars, window) for bars in found])


def _credited_window(window: Window, last: Bars, query: BarQuery) -> Window | None:
    """The window and what is behind it up to the next bar: volume until then is credited. None if no bar is known."""
    if query.policy.counts_every_print:
        return window
    behind = int(last.time_ns.searchsorted(window.end_ns))
    if behind == len(last):
        return None
    return Window(window.start_ns, int(last.time_ns[behind]) + query.interval_ns)


def _cut(bars: Bars, window: Window) -> Bars:
    start, end = bars.time_ns.searchsorted((window.start_ns, window.end_ns)).tolist()
    return bars[start:end]


def _joined(parts: list[Bars]) -> Bars | None:
    """Bars of segments behind each other; None if an interval is cut by a segment's edge."""
    if len(parts) == 1:
        return parts[0]
    parts = [part for part in parts if len(part)]
    is_cut = any(before.time_ns[-1] == after.time_ns[0] for before, after in pairwise(parts))
    return None if is_cut else joined_bars(parts)


def _kept_sessions(window: Window, policy: BarPolicy, snapshot: Snapshot) -> Iterator[Bars]:
    """The sessions of dates that lie in one segment and that no other commit has touched; whole dates of a window."""
    within = snapshot.segments.within(window)
    edges = [(each.segment.first_ns // DAY_NS, each.segment.last_ns // DAY_NS) for each in within]
    shared = [last for (_, last), (first, _) in pairwise(edges) if first == last]
    dates, newest = snapshot.history.newest_by_date(window, snapshot.at)
    others = np.union1d(np.array(shared, np.int64), dates[newest > snapshot.segments.head.number])
    for mapped in within:
        sessions = mapped.sessions(policy.key)
        if sessions is not None:
            time = sessions.bars.time_ns
            usable = (time >= window.start_ns) & (time < window.end_ns) & (sessions.newest <= snapshot.at)
            yield sessions.bars[usable & ~np.isin(time // DAY_NS, others)]


def _has_tail_in(window: Window, snapshot: Snapshot) -> bool:
    return snapshot.history.version(window, snapshot.at).number > snapshot.segments.head.number


def _of_segment(
    mapped: MappedSegment, window: Window, query: BarQuery, snapshot: Snapshot
) -> Iterator[Aggregates]:
    kept = mapped.aggregates(query.policy.key, query.level_ns)
    if kept is None:
        yield _of_rows(mapped, window, query, snapshot.at)
        return
    start, end = kept.time.searchsorted((window.start_ns, window.end_ns)).tolist()
    part = kept[start:end]
    if mapped.segment.newest > snapshot.at and len(part):
        changed = part.time[part.newest > snapshot.at]
        part = _without(part, changed)
        if len(changed):
            span = Window(int(changed[0]), int(changed[-1]) + query.level_ns)
            yield _only(_of_rows(mapped, span, query, snapshot.at), changed)
    yield part


def _of_rows(mapped: MappedSegment, window: Window, query: BarQuery, at: int) -> Aggregates:
    return _aggregated(plain_rows(TRADES, mapped.rows_in(window), PRINT_COLUMNS), query, at)


def _of_block(block: Block, window: Window, query: BarQuery, at: int) -> Aggregates:
    """A block's aggregates: made once of all of it where all of it counts."""
    if block.newest <= at:
        made = block.aggregates(query.policy.key, query.level_ns, lambda rows: _aggregated(rows, query, at))
    else:
        made = _aggregated(block.rows, query, at)
    start, end = made.time.searchsorted((window.start_ns, window.end_ns)).tolist()
    return made[start:end]


def _aggregated(rows: pa.Table, query: BarQuery, at: int) -> Aggregates:
    return aggregate_prints(prints_of(rows, query.policy, at=at), query.level_ns)


def _buckets(times: Buckets, query: BarQuery) -> Buckets:
    return np.unique(times // query.level_ns * query.level_ns)


def _without(aggregates: Aggregates, buckets: Buckets) -> Aggregates:
    return aggregates[~np.isin(aggregates.time, buckets)] if len(buckets) else aggregates


def _only(aggregates: Aggregates, buckets: Buckets) -> Aggregates:
    return aggregates[np.isin(aggregates.time, buckets)]
