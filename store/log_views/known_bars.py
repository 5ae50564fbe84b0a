"""Bars of a symbol's logs: as they are known now, or as they were known when they ended."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from store import lazy_pyarrow as pa
from store.arrays import Integers, Mask
from store.bar_policies import BarPolicy
from store.bars.aggregation import aggregate_by
from store.bars.bars import Bars, bars_of
from store.bars.credit import DatesOf, credit_dates
from store.bars.prints import all_standing, prints_of
from store.bars.session_bars import aggregate_rows, session_bars_of
from store.bars.spans import span_bars_of
from store.datasets import BARS, TRADES
from store.log_views.bar_grid import BarGrid
from store.log_views.log_view import LogView
from store.log_views.session_spans import OUTSIDE
from store.log_views.stored_bars import with_stored_bars
from store.log_views.trade_bars import BarMaker, TradeBars, is_of_auctions, labels_of_rows, merged_days
from store.protocol import ALL_TIME, Window
from store.resolutions import Resolution
from store.rows.knowledge import KnowledgeTimes, by_resolution
from store.rows.stored_rows import SYSTEM_NAMES
from store.timestamps import DAY_NS

# Volume is credited within a trading date, which is over so long after any of its bars.
_CREDIT_WITHIN_NS = 7 * DAY_NS


def bars_of_logs(
    trades: LogView,
    stored: LogView,
    grid: BarGrid,
    policy: BarPolicy,
    settle_ns: int | None = None,
    *,
    known_at_ns: int | None = None,
) -> BarMaker:
    """Return a maker of a grid's bars from trades and, where there are no trades, from stored bars.

    settle_ns: each bar is as it was known at its end plus this; None for bars as they are known now. A bar of the past
    is made of the versions of rows that were known by then (`known_times`). Volume without a price is credited to it
    only if it happened and was known by then. known_at_ns: all bars are as they were known at this instant instead.
    """
    if settle_ns is None:
        return with_stored_bars(TradeBars(trades, grid, policy), stored, grid)
    known_trades, known_bars = (
        KnownLog(view, grid, policy, settle_ns, known_at_ns) for view in (trades, stored)
    )
    return with_stored_bars(_ThenBars(known_trades), known_bars, grid)


@dataclass(frozen=True, slots=True)
class KnownVersions:
    """Versions of rows in order, when they were known, and the instant as of which the row's bar is known.

    instant_ns: the bar's end plus settle; `ALL_TIME.start_ns` for a row that is in no bar.
    """

    rows: pa.Table
    times: KnowledgeTimes
    instant_ns: Integers

    @property
    def known(self) -> Mask:
        """Whether each version is part of its bar."""
        return (self.instant_ns > ALL_TIME.start_ns) & self.times.at(self.instant_ns)

    def known_rows(self, end_ns: int) -> pa.Table:
        """Return the versions before an instant that are part of their bars, standing, with system columns."""
        is_taken = self.known & (self.rows.column("timestamp").to_numpy() < end_ns)
        # A filter copies the rows, and mostly all are taken.
        return all_standing(self.rows if is_taken.all() else self.rows.filter(pa.array(is_taken)))

    def counts(self, first_ns: int = ALL_TIME.start_ns + 1, last_ns: int = ALL_TIME.end_ns) -> dict[str, int]:
        """Return how many rows were judged by which time, of bars that are known as of `first_ns` to `last_ns`."""
        in_bars = (self.instant_ns >= first_ns) & (self.instant_ns <= last_ns)
        return replace(self.times, by=np.where(in_bars, self.times.by, -1)).counts()


@dataclass(frozen=True, slots=True)
class KnownLog:
    """A log of which each bar of a grid sees only what was known at the bar's end plus `settle_ns`, or at `known_at_ns`."""

    view: LogView
    grid: BarGrid
    policy: BarPolicy
    settle_ns: int
    known_at_ns: int | None = None

    @property
    def is_empty(self) -> bool:
        return self.view.is_empty

    def rows(self, window: Window) -> pa.Table:
        """Return the rows in the window that their bars know, in order, without system columns."""
        found = self.versions(window)
        return found.rows.filter(pa.array(found.known)).drop_columns(SYSTEM_NAMES)

    def versions(self, window: Window) -> KnownVersions:
        """Return all versions of the window's rows."""
        rows = self.view.versions(window)
        event_ns, last_ns = self._events(rows)
        return KnownVersions(rows, self.view.known_times(rows, event_ns), self._instants(rows, last_ns))

    def _events(self, rows: pa.Table) -> tuple[Integers, Integers]:
        """Return when each row's event was over, and the last instant of the event."""
        time_ns = rows.column("timestamp").to_numpy()
        if self.view.dataset is not BARS or not rows.num_rows:
            return time_ns, time_ns
        ends_ns = np.empty_like(time_ns)
        for resolution, own in by_resolution(rows):
            ends_ns[own] = self._ends(time_ns[own], resolution)
        return ends_ns, ends_ns - 1

    def _ends(self, time_ns: Integers, resolution: Resolution) -> Integers:
        """Return the ends of stored bars of one resolution."""
        if not resolution.is_period:
            return time_ns + resolution.length_ns
        grid, days = self.grid.with_resolution(resolution), self.grid.dates_of_rows(time_ns)
        first, last = int(days.min()) * DAY_NS, (int(days.max()) + 1) * DAY_NS
        periods = grid.periods(grid.aligned(first - resolution.length_ns, last + resolution.length_ns))
        index = np.searchsorted(periods.dates, days, side="right") - 1
        ends: Integers = periods.ends_ns[np.maximum(index, 0)]
        return ends

    def _instants(self, rows: pa.Table, last_ns: Integers) -> Integers:
        """Return the instants as of which the bars of rows with these last instants are known."""
        if not len(last_ns):
            return last_ns
        window = self.grid.aligned(int(last_ns.min()), int(last_ns.max()) + 1)
        if is_of_auctions(self.grid, self.policy):
            periods = self.grid.periods(window)
            index = np.searchsorted(periods.dates, last_ns // DAY_NS, side="right") - 1
            ends_ns, inside = periods.ends_ns[np.maximum(index, 0)], index >= 0
        else:
            labels = (
                labels_of_rows(self.grid, rows, window)
                if self.view.dataset is TRADES
                else self.grid.labels_of(last_ns, window)
            )
            inside = labels != OUTSIDE
            if inside.all():
                return self.instants_of(self.grid.ends_and_dates(labels, window)[0])
            ends_ns = np.zeros_like(labels)
            ends_ns[inside], _ = self.grid.ends_and_dates(labels[inside], window)
        return np.where(inside, self.instants_of(ends_ns), ALL_TIME.start_ns)

    def instants_of(self, ends_ns: Integers) -> Integers:
        """Return the instants as of which the bars with these ends are known."""
        return (
            ends_ns + self.settle_ns if self.known_at_ns is None else np.full_like(ends_ns, self.known_at_ns)
        )

    def credit_until_ns(self, end_ns: int) -> int:
        """Return the end of what may be credited to bars that end at an instant or before."""
        if self.known_at_ns is None:
            return end_ns + self.settle_ns + 1
        return max(min(self.known_at_ns + 1, end_ns + _CREDIT_WITHIN_NS), end_ns)


@dataclass(frozen=True, slots=True)
class _ThenBars:
    """Makes the bars of trades on the log's grid."""

    log: KnownLog

    def bars(self, window: Window) -> Bars:
        if self.log.is_empty or window.start_ns >= window.end_ns:
            return Bars.joined([])
        policy, grid = self.log.policy, self.log.grid
        if is_of_auctions(grid, policy):
            whole_days = window.whole_dates()
            rows = self.log.versions(whole_days).known_rows(whole_days.end_ns)
            return merged_days(session_bars_of(rows, policy), grid, window)
        dates_of = credit_dates(policy, grid.resolution.length_ns, grid.trading_dates)
        if dates_of is not None:
            return self._credited_bars(window, dates_of)
        rows = self.log.versions(window).known_rows(window.end_ns)
        if grid.is_plain:
            return bars_of(aggregate_rows(rows, grid.resolution.length_ns, policy))
        ticks = aggregate_rows(rows, 1, policy)
        spans = grid.spans_of(ticks.time, window)
        auctions = aggregate_rows(rows, 1, policy.auctions)
        auctions = auctions[grid.auction_windows(window).contains(auctions.time)]
        if len(auctions):
            ticks = ticks[spans.indices(ticks.time) >= 0]
            spans = spans.joined(grid.auction_spans(auctions.time, 1, window))
        return span_bars_of([ticks, auctions], spans, None)

    def _credited_bars(self, window: Window, dates_of: DatesOf) -> Bars:
        """Return the log's own bars, each with the volume that follows it without a price, as known at its instant."""
        log, grid = self.log, self.log.grid
        reach = Window(window.start_ns, min(log.credit_until_ns(window.end_ns), ALL_TIME.end_ns))
        rows = log.view.versions(reach)
        labels, times = (
            labels_of_rows(grid, rows, grid.aligned(reach.start_ns, reach.end_ns)),
            log.view.known_times(rows),
        )
        inside = np.flatnonzero(labels != OUTSIDE)
        prints, until_ns = prints_of(all_standing(rows), log.policy)[inside], times.until_ns[inside]
        from_ns = np.maximum(times.from_ns[inside], prints.time)
        starts, bar = np.unique(labels[inside], return_inverse=True)
        if log.known_at_ns is not None:
            known = np.flatnonzero((from_ns <= log.known_at_ns) & (log.known_at_ns < until_ns))
            made = aggregate_by(prints[known], starts[bar[known]])
            return bars_of(made, dates_of).between(window.start_ns, window.end_ns)
        own, dates = int(starts.searchsorted(window.end_ns)), dates_of(starts)
        instants_ns = np.full(len(starts), ALL_TIME.end_ns)
        instants_ns[:own] = log.instants_of(grid.ends_and_dates(starts[:own], window)[0])
        is_open = np.arange(len(starts)) < own
        taken, owners = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        index, offset = np.arange(len(bar)), 0
        # Each bar takes its own rows, then those of the next interval, until one has a price that is known.
        while len(index):
            owner = bar[index] - offset
            instant_ns = instants_ns[owner]
            is_known = (
                (from_ns[index] <= instant_ns)
                & (instant_ns < until_ns[index])
                & (dates[owner] == dates[bar[index]])
            )
            has_price = np.zeros(len(starts), np.bool_)
            has_price[owner[is_known & prints.sets_open_close[index]]] = True
            is_open &= has_price == (offset == 0)
            is_taken = is_known & is_open[owner]
            taken.append(index[is_taken])
            owners.append(owner[is_taken])
            offset += 1
            index = index[bar[index] >= offset]
            index = index[prints.time[index] <= instants_ns[bar[index] - offset]]
        all_taken, owner = np.concatenate(taken), np.concatenate(owners)
        credited = replace(
            prints[all_taken], sets_high_low=prints.sets_high_low[all_taken] & (bar[all_taken] == owner)
        )
        return bars_of(aggregate_by(credited, starts[owner]))
