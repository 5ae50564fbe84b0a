"""Bars made from trades, on any grid."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from calendars.schedule import Hours
from store import lazy_pyarrow as pa
from store.arrays import Integers
from store.bar_policies import AUCTION_WORDS, BarPolicy
from store.bars.aggregates import NO_AGGREGATES, Aggregates
from store.bars.bars import Bars
from store.bars.credit import credit_dates, credit_end_ns
from store.bars.prints import has_condition, masks_of
from store.bars.spans import span_bars_of
from store.log_views.bar_grid import BarGrid, is_long
from store.log_views.log_view import LogView, rows_backwards
from store.log_views.session_spans import OUTSIDE
from store.protocol import Window
from store.timestamps import DAY_NS, MINUTE_NS, SECOND_NS
from store.window_list import WindowList

# The trade count of a bar with a stored part whose number of trades is unknown.
UNKNOWN_COUNT = -1


class BarMaker(Protocol):
    """Makes a grid's bars for any aligned window. A bar's `time_ns` is the label of its interval."""

    def bars(self, window: Window) -> Bars: ...


def is_of_auctions(grid: BarGrid, policy: BarPolicy) -> bool:
    """Whether the policy's daily table decides which prints belong to the grid's bars, not the time."""
    return grid.is_of_regular_sessions and policy.daily is not None


def labels_of_rows(grid: BarGrid, rows: pa.Table, window: Window) -> Integers:
    """Return the label of each row's bar; `OUTSIDE` if it is outside the window or the hours. rows: in order.

    The prints of auctions belong to the session of their date also outside of the hours.
    """
    time_ns = rows.column("timestamp").to_numpy()
    labels = grid.labels_of(time_ns, window)
    if grid.calendar is None or grid.hours is Hours.ALL:
        return labels
    is_auction = (labels == OUTSIDE) & has_condition(rows, *AUCTION_WORDS)
    is_auction &= grid.auction_windows(window).contains(time_ns)
    if is_auction.any():
        labels = labels.copy()
        labels[is_auction] = grid.auction_labels(time_ns[is_auction], window)
    return labels


def credited_until_ns(grid: BarGrid, policy: BarPolicy, window: Window) -> int:
    """Return the end of the rows whose volume may be credited to the bars of an aligned window.

    It is the window's end if no later volume can be: at the end of a trading date, or without credit.
    """
    if window.start_ns >= window.end_ns:
        return window.end_ns
    length = grid.resolution.length_ns
    dates = credit_dates(policy, length, grid.trading_dates)
    return credit_end_ns(window.end_ns, length if grid.is_plain else 1, dates)


def last_price_ns(log: LogView, policy: BarPolicy, window: Window) -> int | None:
    """Return the event time of the last trade in a window that may set open and close; None without one.

    Reads backwards, only as far as needed. Cancelled and replaced trades do not count. Minutes of expired dates count whole.
    """
    before_ns = log.snapshot.expired.before_ns
    for rows in rows_backwards(log, window.end_ns, start_ns=max(window.start_ns, before_ns)):
        prices = np.flatnonzero(masks_of(rows, policy)[0])
        if len(prices):
            return int(rows.column("timestamp")[int(prices[-1])].as_py())
    if window.start_ns >= before_ns:
        return None
    expired = WindowList.of(Window(window.start_ns, min(window.end_ns, before_ns)))
    minutes = log.snapshot.aggregates(expired, MINUTE_NS, policy)
    times = minutes.last_time[minutes.price_count > 0]
    return int(times[-1]) if len(times) else None


@dataclass(frozen=True, slots=True)
class TradeBars:
    """Makes a grid's bars from a log of trades."""

    view: LogView
    grid: BarGrid
    policy: BarPolicy

    def needed(self, window: Window) -> Window:
        """Return the window of the log on which the bars of a window depend."""
        if is_of_auctions(self.grid, self.policy):
            return window.whole_dates()
        if not self.grid.is_plain:
            return Window(window.start_ns, credited_until_ns(self.grid, self.policy, window))
        if self.view.is_empty or window.start_ns >= window.end_ns:
            return window
        return self.view.snapshot.dependency_window(
            window, self.grid.resolution.length_ns, policy=self.policy, dates_of=self.grid.trading_dates
        )

    def bars(self, window: Window) -> Bars:
        """See `BarMaker`."""
        if self.view.is_empty:
            return Bars.joined([])
        snapshot, grid, length = self.view.snapshot, self.grid, self.grid.resolution.length_ns
        if is_of_auctions(self.grid, self.policy):
            days = snapshot.session_bars(self.needed(window), policy=self.policy)
            return merged_days(days, grid, window)
        if grid.is_plain:
            return snapshot.bars(window, length, policy=self.policy, dates_of=grid.trading_dates)
        needed, dates_of = self.needed(window), credit_dates(self.policy, length, grid.trading_dates)
        if grid.resolution.is_tick:
            parts = [snapshot.aggregates(WindowList.of(needed), length, self.policy)]
            spans = grid.spans_of(parts[0].time, needed)
        else:
            dates = snapshot.touched_dates(needed)[0] if is_long(needed) else np.empty(0, np.int64)
            spans = grid.spans_of(np.append(dates * DAY_NS, dates * DAY_NS + (DAY_NS - 1)), needed)
            parts = snapshot.span_aggregates(spans, policy=self.policy)
        auctions = self._auctions(needed)
        if len(auctions):
            parts = [*(part[spans.indices(part.time) >= 0] for part in parts), auctions]
            spans = spans.joined(grid.auction_spans(auctions.time, self._auction_ns, needed))
        bars = span_bars_of(parts, spans, dates_of)
        return bars if grid.resolution.is_period else bars.between(window.start_ns, window.end_ns)

    @property
    def _auction_ns(self) -> int:
        """The length of the intervals into which the prints of auctions are put: hours begin and end on whole ones."""
        return min(self.grid.resolution.length_ns, SECOND_NS)

    def _auctions(self, window: Window) -> Aggregates:
        """Return the prints of auctions in a window outside of the hours: they belong to the session of their date."""
        windows = self.grid.auction_windows(window)
        if not len(windows):
            return NO_AGGREGATES
        return self.view.snapshot.aggregates(windows, self._auction_ns, self.policy.auctions)


def merged_days(days: Bars, grid: BarGrid, window: Window) -> Bars:
    """Merge daily bars into the bars of a grid's periods. days: bars at midnight UTC of their date."""
    periods = grid.periods(window)
    index = np.searchsorted(periods.dates, days.time_ns // DAY_NS, side="right") - 1
    inside = (index >= 0) & (days.time_ns < periods.ends_ns[index])
    return merged_bars(days[inside], periods.labels[index[inside]])


def merged_bars(bars: Bars, labels: Integers) -> Bars:
    """Merge each run of bars with the same label into one bar.

    Adds the bars' rounded sums. An unknown trade_count, volume or notional makes the merged one unknown.
    """
    if not len(bars):
        return bars
    starts = np.flatnonzero(np.diff(labels, prepend=labels[0] - 1))
    if len(starts) == len(bars):
        return replace(bars, time_ns=labels)
    is_known = np.minimum.reduceat(bars.trade_count, starts) != UNKNOWN_COUNT
    return Bars(
        time_ns=labels[starts],
        open=bars.open[starts],
        high=np.maximum.reduceat(bars.high, starts),
        low=np.minimum.reduceat(bars.low, starts),
        close=bars.close[np.append(starts[1:], len(bars)) - 1],
        volume=np.add.reduceat(bars.volume, starts),
        trade_count=np.where(is_known, np.add.reduceat(bars.trade_count, starts), UNKNOWN_COUNT),
        notional=np.add.reduceat(bars.notional, starts),
    )
