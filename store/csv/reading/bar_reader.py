"""Reads a log's bars: from rollups where no later commit has changed them, and otherwise from rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import numpy as np

from store.bar_policies import BarPolicy
from store.bars.aggregates import Aggregates, merge
from store.bars.bars import Bars, bars_of, joined_bars
from store.bars.credit import credit_end_ns
from store.bars.prints import STANDS
from store.bars.session_bars import session_bars_of
from store.bars.spans import span_bars_of
from store.bars.versions import AggregateVersions, joined_versions
from store.csv.derived.segment_rows import PRINT_COLUMNS
from store.csv.reading.aggregate_reader import AggregateReader
from store.csv.reading.finished_bars import finished_bars, finished_span_bars
from store.csv.reading.log_reader import LogReader, LogSnapshot
from store.csv.reading.window_list import BarQuery, SpanQuery, WindowList, layers_of
from store.protocol import Window
from store.rows.revisions import RevisionQuery, Revisions, revisions_of
from store.timestamps import DAY_NS

# How many intervals after a window are first searched for a price, before which volume is credited to the window.
_INTERVALS_BEHIND = 4


class BarReader:
    """Makes bars from the rows that a `LogReader` reads."""

    def __init__(self, reader: LogReader) -> None:
        self._reader = reader
        self._aggregates = AggregateReader(reader)

    def bars(self, query: BarQuery, snapshot: LogSnapshot) -> Bars:
        """Return the bars of a query."""
        ready = finished_bars(query, snapshot)
        if ready is not None:
            return ready
        needed = self.dependency_window(query, snapshot)
        bars = bars_of(self._merged(needed, query, snapshot), query.dates_of)
        return bars[: int(bars.time_ns.searchsorted(query.window.end_ns))]

    def span_bars(self, query: SpanQuery, snapshot: LogSnapshot) -> Bars:
        """Return the bars of spans."""
        spans, policy = query.spans, query.policy
        if not len(spans):
            return joined_bars([])
        ready = finished_span_bars(spans, policy, snapshot)
        if ready is not None:
            return ready
        layers = layers_of(WindowList(spans.start_ns, spans.end_ns))
        parts = list(self._aggregates.parts(layers, policy, snapshot))
        return span_bars_of(parts, spans, query.dates_of)

    def dependency_window(self, query: BarQuery, snapshot: LogSnapshot) -> Window:
        """Return the window on which the bars depend: it ends after the next interval that has a price.

        Volume before that interval's price is credited to the last bar. If the trading date has no such
        interval, the window ends with the date, because more volume may come.
        """
        window, interval = query.window, query.interval_ns
        behind = Window(window.end_ns, credit_end_ns(window.end_ns, interval, query.dates_of))
        if behind.start_ns == behind.end_ns:
            return window
        for date in snapshot.history.dates(behind).tolist():
            start = max(behind.start_ns, date * DAY_NS // interval * interval)
            end = max(-(-(date + 1) * DAY_NS // interval) * interval, start + interval)
            priced = self._first_priced(Window(start, min(end, behind.end_ns)), query, snapshot)
            if priced is not None:
                return Window(window.start_ns, priced + interval)
        return Window(window.start_ns, behind.end_ns)

    def session_bars(self, window: Window, policy: BarPolicy, snapshot: LogSnapshot) -> Bars:
        """Return daily bars of the regular session, which the policy's daily table defines."""
        dates_window = Window(window.start_ns // DAY_NS * DAY_NS, -(-window.end_ns // DAY_NS) * DAY_NS)
        if policy.counts_every_print:
            return self.bars(BarQuery(dates_window, DAY_NS, policy), snapshot)
        dates = snapshot.history.dates(dates_window, snapshot.commit)
        stored = joined_bars(list(_stored_sessions(dates_window, policy, snapshot)))
        computed = [
            session_bars_of(
                self._reader.stored(Window(date * DAY_NS, (date + 1) * DAY_NS), snapshot, PRINT_COLUMNS),
                policy,
                commit=snapshot.commit,
            )
            for date in np.setdiff1d(dates, stored.time_ns // DAY_NS).tolist()
        ]
        bars = joined_bars([stored, *computed])
        order = np.argsort(bars.time_ns)
        return bars[order[~np.isnan(bars.open[order])]]

    def revisions(self, query: RevisionQuery, snapshot: LogSnapshot) -> Revisions:
        """Return the changes that commits made to visible bars."""
        query, history = replace(query, commit=snapshot.commit), snapshot.history
        versions = joined_versions(list(self._versions(query, snapshot)))
        first_behind = history.first_from(query.window.end_ns, snapshot.commit)
        return revisions_of(versions, query, first_behind, history.committed_times)

    def _versions(self, query: RevisionQuery, snapshot: LogSnapshot) -> Iterator[AggregateVersions]:
        """Yield the versions on which the window's bars depend, at each commit of the query.

        Volume after the window is credited to its last bar until a price comes between. Once there is such a price,
        and it stands, what later commits store after it no longer counts.
        """
        window, interval, policy = query.window, query.interval_ns, query.policy
        yield self._aggregates.versions(window, interval, policy, snapshot)
        start_ns, length_ns = window.end_ns, _INTERVALS_BEHIND * interval
        end_ns = credit_end_ns(start_ns, interval, query.dates_of)
        price_from = snapshot.commit + 1
        while start_ns < end_ns:
            following = snapshot.history.first_from(start_ns, snapshot.commit)
            if following is None or price_from <= max(following, query.after):
                return
            behind = Window(start_ns, min(start_ns + length_ns, end_ns))
            versions = self._aggregates.versions(behind, interval, policy, snapshot)
            yield versions
            standing = versions.as_of(snapshot.commit)
            is_lasting = (standing.until == STANDS) & (standing.aggregates.price_count > 0)
            price_from = int(standing.aggregates.newest[is_lasting].min(initial=price_from))
            start_ns, length_ns = behind.end_ns, 4 * length_ns

    def _first_priced(self, window: Window, query: BarQuery, snapshot: LogSnapshot) -> int | None:
        """Return the start of the first interval in the window that has a price, or None."""
        merged = self._merged(window, query, snapshot)
        starts = merged.time[merged.price_count > 0]
        return int(starts[0]) if len(starts) else None

    def _merged(self, window: Window, query: BarQuery, snapshot: LogSnapshot) -> Aggregates:
        parts = self._aggregates.parts(query.layers(window), query.policy, snapshot)
        return merge(list(parts), query.interval_ns)


def _stored_sessions(window: Window, policy: BarPolicy, snapshot: LogSnapshot) -> Iterator[Bars]:
    """Yield the stored session bars of dates that lie in one segment and that no later commit has changed."""
    within = snapshot.segments.within(window)
    edges = [(each.segment.first_ns // DAY_NS, each.segment.last_ns // DAY_NS) for each in within]
    shared = [last for (_, last), (first, _) in pairwise(edges) if first == last]
    dates, newest = snapshot.history.newest_by_date(window, snapshot.commit)
    others = np.union1d(np.array(shared, np.int64), dates[newest > snapshot.segments.head.number])
    for mapped in within:
        sessions = mapped.sessions(policy.key)
        if sessions is not None:
            time = sessions.bars.time_ns
            usable = (time >= window.start_ns) & (time < window.end_ns) & (sessions.newest <= snapshot.commit)
            yield sessions.bars[usable & ~np.isin(time // DAY_NS, others)]
