"""Stored bars: bars from a vendor or an import. They fill intervals without trades."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from store import lazy_pyarrow as pa
from store.arrays import Integers, Mask, is_among
from store.bars.bars import Bars
from store.lazy_imports import compute as pc
from store.log_views.bar_grid import BarGrid
from store.log_views.session_spans import OUTSIDE
from store.log_views.trade_bars import UNKNOWN_COUNT, BarMaker, merged_bars
from store.protocol import ALL_TIME, Window
from store.resolutions import Resolution
from store.rows.knowledge import by_resolution
from store.timestamps import DAY_NS

_PRICES_AND_VOLUME = ("open", "high", "low", "close", "volume")
# A stored bar may begin this long before its window, because closed dates belong to the next trading date.
_ROWS_BEFORE_NS = 14 * DAY_NS
# Trading dates are looked up from this long before a window, so that the trading date at or after each row is
# found.
_DATES_BEFORE_NS = 28 * DAY_NS


class StoredRows(Protocol):
    """A log of stored bars, or what was known of it."""

    @property
    def is_empty(self) -> bool: ...

    def rows(self, window: Window) -> pa.Table: ...


@dataclass(frozen=True, slots=True)
class BarParts:
    """The stored bars that one bar was merged from, in order, and their resolution."""

    bars: Bars
    resolution: Resolution


class _StoredParts(NamedTuple):
    """A window's stored bars of one resolution, and the label of each in the grid."""

    bars: Bars
    labels: Integers
    resolution: Resolution


def parts_of_bar(maker: BarMaker, interval: Window) -> BarParts | None:
    """Return what the bar of an interval was merged from; None if it is made from trades, or there is no bar.

    maker: as `with_stored_bars` returns it.
    """
    return maker.parts_of_bar(interval) if isinstance(maker, _WithStoredBars) else None


def marked_bars(maker: BarMaker, window: Window) -> tuple[Bars, Mask]:
    """Return a window's bars, and whether each is made from stored bars. maker: see `parts_of_bar`."""
    if isinstance(maker, _WithStoredBars):
        return maker.marked_bars(window)
    bars = maker.bars(window)
    return bars, np.zeros(len(bars), np.bool_)


def with_stored_bars(of_trades: BarMaker, stored: StoredRows, grid: BarGrid) -> BarMaker:
    """Return a maker of a grid's bars from trades and, where there are no trades, from stored bars.

    of_trades: makes the grid's bars of trades.
    """
    return of_trades if stored.is_empty else _WithStoredBars(of_trades, stored, grid)


@dataclass(frozen=True, slots=True)
class _WithStoredBars:
    """A maker of bars from trades; intervals without a bar of trades are filled from stored bars.

    An interval has its own stored bar, else the merged stored bars of the longest resolution that has any in it. A
    bar has `UNKNOWN_COUNT` trades, a volume of NaN or a notional of NaN if one of its parts has no `trade_count`,
    `volume` or `vwap`.
    """

    of_trades: BarMaker
    stored: StoredRows
    grid: BarGrid

    def bars(self, window: Window) -> Bars:
        return self.marked_bars(window)[0]

    def marked_bars(self, window: Window) -> tuple[Bars, Mask]:
        """Return the window's bars, and whether each is made from stored bars."""
        of_trades = bars = self.of_trades.bars(window)
        for parts in self._parts(window):
            bars = with_missing_bars(bars, merged_bars(parts.bars, parts.labels))
        return bars, ~is_among(bars.time_ns, of_trades.time_ns)

    def parts_of_bar(self, interval: Window) -> BarParts | None:
        """See `parts_of_bar`."""
        if len(self.of_trades.bars(interval)):
            return None
        return next((BarParts(each.bars, each.resolution) for each in self._parts(interval)), None)

    def _parts(self, window: Window) -> Iterator[_StoredParts]:
        """Yield the window's stored bars by resolution, the grid's own and then the longest first.

        Resolutions of which the grid's bars cannot be made are left out.
        """
        rows = self.stored.rows(stored_bars_window(window, self.grid))
        for resolution, own in reversed(list(by_resolution(rows))):
            if self.grid.resolution.is_made_of(resolution):
                of_one = rows if isinstance(own, slice) else rows.filter(pa.array(own))
                parts = self._on_grid(of_one, resolution, window)
                if len(parts.bars):
                    yield parts

    def _on_grid(self, rows: pa.Table, resolution: Resolution, window: Window) -> _StoredParts:
        time_ns = rows.column("timestamp").to_numpy()
        labels = self._labels(time_ns, resolution, window)
        inside = labels != OUTSIDE
        columns = {name: rows.column(name).to_numpy() for name in (*_PRICES_AND_VOLUME, "vwap")}
        vwap, volume = columns.pop("vwap"), columns["volume"]
        bars = Bars(
            time_ns=time_ns,
            **columns,
            trade_count=pc.fill_null(rows.column("trade_count"), UNKNOWN_COUNT).to_numpy(),
            notional=np.where(volume == 0, 0.0, vwap * volume),
        )
        return _StoredParts(bars[inside], labels[inside], resolution)

    def _labels(self, time_ns: Integers, resolution: Resolution, window: Window) -> Integers:
        """Return the grid's labels for bars that begin at these times.

        The label is `OUTSIDE` unless the whole bar lies in one interval of the window and in its hours.
        """
        if not resolution.is_period:
            labels = self.grid.labels_of(time_ns, window)
            last = self.grid.labels_of(time_ns + (resolution.length_ns - 1), window)
            return np.where(labels == last, labels, OUTSIDE)
        days = self.grid.dates_of_rows(time_ns)
        return (
            self.grid.labels_of(days * DAY_NS, window) if self.grid.is_plain else self._of_dates(days, window)
        )

    def _of_dates(self, days: Integers, window: Window) -> Integers:
        """Return the label of each date's period; a closed date belongs to the next trading date."""
        before = Window(max(window.start_ns - _DATES_BEFORE_NS, ALL_TIME.start_ns), window.end_ns)
        dates = self.grid.with_resolution(Resolution.DAY).periods(before)
        index = np.searchsorted(dates.dates, days)
        begins = dates.spans.start_ns[np.searchsorted(dates.spans.label_ns, dates.labels)]
        has_date = index < len(begins)
        labels = np.full_like(days, OUTSIDE)
        labels[has_date] = self.grid.labels_of(begins[index[has_date]], window)
        return labels


def stored_bars_window(window: Window, grid: BarGrid) -> Window:
    """Return the window of stored bars on which a window's bars depend.

    It is longer, because a stored day may begin outside its date's window.
    """
    before_ns = _ROWS_BEFORE_NS if grid.resolution.is_period else DAY_NS
    return Window(window.start_ns - before_ns, window.end_ns + DAY_NS).within(ALL_TIME)


def with_missing_bars(bars: Bars, candidates: Bars) -> Bars:
    """Return the bars, and the candidates at times without a bar."""
    missing = candidates[~is_among(candidates.time_ns, bars.time_ns)]
    if not len(missing):
        return bars
    joined = Bars.joined([bars, missing])
    return joined[np.argsort(joined.time_ns, kind="stable")]


def resolutions_in(rows: pa.Table | pa.RecordBatch) -> list[Resolution]:
    """Return the resolutions of stored bars, the shortest first."""
    names = pc.unique(rows.column("resolution")).to_pylist()
    return sorted(map(Resolution.parse, names))
