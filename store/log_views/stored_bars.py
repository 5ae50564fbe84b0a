"""Stored bars: bars from a vendor or an import. They fill intervals without trades."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
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
from store.resolutions import USUAL_RESOLUTIONS, Resolution
from store.rows.knowledge import by_resolution
from store.timestamps import DAY_NS, MINUTE_NS

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
    """What one bar was merged from, in order: stored bars, and bars of trades.

    rank: that of each bar's resolution. is_stored: which bars are stored; the others are made from trades.
    """

    bars: Bars
    rank: Integers
    is_stored: Mask


class _ShorterBars(NamedTuple):
    """Bars shorter than a grid's: the grid's label of each, whether it has a stored part, its resolution's rank."""

    bars: Bars
    labels: Integers
    has_stored: Mask
    rank: Integers


def parts_of_bar(maker: BarMaker, interval: Window) -> BarParts | None:
    """Return what the bar of an interval was merged from; None if there is no stored bar in it, or no bar.

    maker: as `with_stored_bars` returns it.
    """
    return maker.parts_of_bar(interval) if isinstance(maker, _WithStoredBars) else None


def marked_bars(maker: BarMaker, window: Window) -> tuple[Bars, Mask]:
    """Return a window's bars, and whether each has a stored part. maker: see `parts_of_bar`."""
    if isinstance(maker, _WithStoredBars):
        return maker.marked_bars(window)
    bars = maker.bars(window)
    return bars, np.zeros(len(bars), np.bool_)


def with_stored_bars(of_trades: Callable[[BarGrid], BarMaker], stored: StoredRows, grid: BarGrid) -> BarMaker:
    """Return a maker of a grid's bars from trades and, where there are no trades, from stored bars.

    of_trades: returns the maker of any grid's bars of trades.
    """
    return of_trades(grid) if stored.is_empty else _WithStoredBars(of_trades, stored, grid)


@dataclass(frozen=True, slots=True)
class _WithStoredBars:
    """A maker of bars from trades; intervals without trades are filled from stored bars.

    If an interval has shorter stored bars, they are merged with bars of its trades: a backfilled morning
    becomes part of the day's bar. The interval's own stored bar is used if the interval has no trades and the
    shorter bars do not have more volume; of an unknown volume none is more. A bar has `UNKNOWN_COUNT` trades, a volume
    of NaN or a notional of NaN if one of its parts is a stored bar without `trade_count`, `volume` or `vwap`.
    """

    of_trades: Callable[[BarGrid], BarMaker]
    stored: StoredRows
    grid: BarGrid

    def bars(self, window: Window) -> Bars:
        return self._bars(window)[0]

    def marked_bars(self, window: Window) -> tuple[Bars, Mask]:
        """Return the window's bars, and whether each has a stored part."""
        bars, stored = self._bars(window)
        return bars, is_among(bars.time_ns, stored.time_ns)

    def _bars(self, window: Window) -> tuple[Bars, Bars]:
        """Return the window's bars, and those that have a stored part."""
        of_trades = self.of_trades(self.grid).bars(window)
        stored, _ = self._with_stored_part(window, of_trades)
        return with_missing_bars(stored, of_trades), stored

    def parts_of_bar(self, interval: Window) -> BarParts | None:
        """See `parts_of_bar`."""
        found = list(self.merged_from(interval))
        bars = Bars.joined([each.bars for each in found])
        order = np.argsort(bars.time_ns)
        rank, is_stored = (
            np.concatenate([getattr(each, name) for each in found])[order] for name in ("rank", "is_stored")
        )
        return BarParts(bars[order], rank, is_stored) if is_stored.any() else None

    def merged_from(self, window: Window, labels: Integers | None = None) -> Iterator[BarParts]:
        """Yield what the window's bars with a stored part were merged from. labels: of these bars alone; None for all."""
        stored, ranks = self._with_stored_part(window, self.of_trades(self.grid).bars(window))
        wanted = np.ones(len(stored), np.bool_) if labels is None else np.isin(stored.time_ns, labels)
        own = self.grid.resolution.rank
        is_own = ranks == own
        yield _parts_of_one(stored[wanted & is_own], own, is_stored=True)
        for rank in np.unique(ranks[wanted & ~is_own]).tolist():
            parts = self._parts(Resolution.ranked(rank), window)
            is_part = np.isin(parts.labels, stored.time_ns[wanted & (ranks == rank)])
            for length in np.unique(parts.rank[is_part]).tolist():
                of_length = is_part & (parts.rank == length)
                yield _parts_of_one(parts.bars[of_length & ~parts.has_stored], length, is_stored=False)
                maker = replace(self, grid=self.grid.with_resolution(Resolution.ranked(length)))
                starts_ns = parts.bars.time_ns[of_length & parts.has_stored]
                yield from maker.merged_from(maker.grid.aligned(window.start_ns, window.end_ns), starts_ns)

    def _with_stored_part(self, window: Window, of_trades: Bars) -> tuple[Bars, Integers]:
        """Return the window's bars that have a stored part, and the rank of the resolution that each is merged from.

        of_trades: the window's bars made from trades.
        """
        by_resolution = self._by_resolution(window)
        own_resolution = self.grid.resolution
        bars, ranks = of_trades[:0], np.empty(0, np.int64)
        if own_resolution in by_resolution:
            own = by_resolution.pop(own_resolution)
            bars = own[~is_among(own.time_ns, of_trades.time_ns)]
            ranks = np.full(len(bars), own_resolution.rank)
        merged_labels: dict[Resolution, Integers] = {}
        for resolution, of_parts in reversed(self._labels_by_part(by_resolution).items()):
            labels = of_parts
            for longer, longer_labels in merged_labels.items():
                # Bars that were merged from a longer resolution already contain the bars of this one.
                labels = np.setdiff1d(labels, longer_labels) if longer.is_made_of(resolution) else labels
            if len(labels):
                candidates = self._of_parts(resolution, labels, window)
                joined = Bars.joined([bars, candidates])
                chosen = _larger_by_volume(joined)
                bars = joined[chosen]
                ranks = np.append(ranks, np.full(len(candidates), resolution.rank))[chosen]
                if self._nests(resolution, window):
                    merged_labels[resolution] = labels
        return bars, ranks

    def _labels_by_part(self, by_resolution: dict[Resolution, Bars]) -> dict[Resolution, Integers]:
        """Return the labels of bars that have stored parts, by the resolution of the parts, shortest first.

        Weeks and months of regular sessions are merged from days, also where minutes are stored: a day of trades has
        its auctions, which no minute has.
        """
        is_of_days = self.grid.is_of_regular_sessions and self.grid.resolution != Resolution.DAY
        found: dict[Resolution, Integers] = {}
        for resolution, bars in by_resolution.items():
            part = Resolution.DAY if is_of_days and not resolution.is_period else resolution
            found[part] = np.union1d(found[part], bars.time_ns) if part in found else bars.time_ns
        return found

    def _by_resolution(self, window: Window) -> dict[Resolution, Bars]:
        """Return the window's stored bars by resolution, shortest first, each merged to the grid's intervals.

        Resolutions of which the grid's bars cannot be made are left out.
        """
        rows = self.stored.rows(stored_bars_window(window, self.grid))
        found = {}
        for resolution, own in by_resolution(rows):
            if self.grid.resolution.is_made_of(resolution):
                of_one = rows if isinstance(own, slice) else rows.filter(pa.array(own))
                bars = self._on_grid(of_one, resolution, window)
                if len(bars):
                    found[resolution] = bars
        return found

    def _of_parts(self, resolution: Resolution, labels: Integers, window: Window) -> Bars:
        """Return the bars with these labels, merged from shorter bars; bars without a stored part are left out."""
        first, last = int(labels[0]), int(labels[-1])
        parts_window = Window(
            max(self.grid.aligned(first, first + 1).start_ns, window.start_ns),
            min(self.grid.aligned(last, last + 1).end_ns, window.end_ns),
        )
        parts = self._parts(resolution, parts_window)
        inside = parts.labels != OUTSIDE
        merged = merged_bars(parts.bars[inside], parts.labels[inside])
        has_stored = np.isin(merged.time_ns, parts.labels[parts.has_stored])
        return merged[has_stored & np.isin(merged.time_ns, labels)]

    def _parts(self, resolution: Resolution, window: Window) -> _ShorterBars:
        """Return the bars of a resolution in a window.

        A bar with prints of two of the grid's intervals is replaced by shorter ones.
        """
        maker = replace(self, grid=self.grid.with_resolution(resolution))
        bars, is_stored = maker.marked_bars(maker.grid.aligned(window.start_ns, window.end_ns))
        labels = self._labels_of_parts(bars.time_ns, resolution, window)
        rank = np.full(len(bars), resolution.rank)
        if self._nests(resolution, window):
            return _ShorterBars(bars, labels, is_stored, rank)
        length, is_shared = resolution.length_ns, labels == OUTSIDE
        pieces = self._parts(self._nesting(resolution, window), window)
        of_shared = np.isin(pieces.bars.time_ns // length * length, bars.time_ns[is_shared])
        joined = Bars.joined([bars[~is_shared], pieces.bars[of_shared]])
        order = np.argsort(joined.time_ns)
        return _ShorterBars(
            joined[order],
            np.concatenate([labels[~is_shared], pieces.labels[of_shared]])[order],
            np.concatenate([is_stored[~is_shared], pieces.has_stored[of_shared]])[order],
            np.concatenate([rank[~is_shared], pieces.rank[of_shared]])[order],
        )

    def _labels_of_parts(self, time_ns: Integers, resolution: Resolution, window: Window) -> Integers:
        """Return the grid's labels for shorter bars; `OUTSIDE` if a bar has prints of two intervals."""
        if self._is_multiple_of(resolution):
            return time_ns // self.grid.resolution.length_ns * self.grid.resolution.length_ns
        if resolution.is_period or not len(time_ns):
            return self.grid.labels_of(time_ns, window)
        spans = self.grid.spans(stored_bars_window(window, self.grid))
        first = spans.end_ns.searchsorted(time_ns, side="right")
        last = spans.start_ns.searchsorted(time_ns + resolution.length_ns) - 1
        first_labels, last_labels = (
            spans.label_ns[np.clip(each, 0, len(spans) - 1)] for each in (first, last)
        )
        labels = np.where(first_labels == last_labels, first_labels, OUTSIDE)
        # A bar between two spans has prints of auctions.
        return np.where(last < first, self.grid.auction_labels(time_ns, window), labels)

    def _nests(self, resolution: Resolution, window: Window) -> bool:
        """Return whether no bar of a resolution can have prints of two of the grid's intervals."""
        if resolution.is_period or self._is_multiple_of(resolution):
            return True
        spans, length = self.grid.spans(stored_bars_window(window, self.grid)), resolution.length_ns
        meet = (spans.end_ns[:-1] - 1) // length == spans.start_ns[1:] // length
        return not (meet & (spans.label_ns[:-1] != spans.label_ns[1:])).any()

    def _is_multiple_of(self, resolution: Resolution) -> bool:
        length = self.grid.resolution.length_ns
        return self.grid.is_of_multiples and length % resolution.length_ns == 0

    def _nesting(self, resolution: Resolution, window: Window) -> Resolution:
        """Return the longest usual resolution that divides a resolution, and nests; see `_nests`."""
        length = resolution.length_ns
        shorter = (each for each in reversed(USUAL_RESOLUTIONS) if MINUTE_NS <= each.length_ns < length)
        divisors = (each for each in shorter if resolution.is_made_of(each) and self._nests(each, window))
        # Intervals of the grid begin at whole minutes or at multiples of their length.
        return next(divisors, Resolution.of_length(math.gcd(MINUTE_NS, length)))

    def _on_grid(self, rows: pa.Table, resolution: Resolution, window: Window) -> Bars:
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
        return merged_bars(bars, labels) if inside.all() else merged_bars(bars[inside], labels[inside])

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


def _parts_of_one(bars: Bars, rank: int, *, is_stored: bool) -> BarParts:
    return BarParts(bars, np.full(len(bars), rank), np.full(len(bars), is_stored))


def stored_bars_window(window: Window, grid: BarGrid) -> Window:
    """Return the window of stored bars on which a window's bars depend.

    It is longer, because a stored day may begin outside its date's window.
    """
    before_ns = _ROWS_BEFORE_NS if grid.resolution.is_period else DAY_NS
    return Window(window.start_ns - before_ns, window.end_ns + DAY_NS).within(ALL_TIME)


def _larger_by_volume(bars: Bars) -> Integers:
    """Return, for each time, the index of the bar with the most volume, because the others lack parts.

    bars: at most two of each time. Of equal volumes, and if one is unknown (NaN), it is the first bar.
    """
    order = np.argsort(bars.time_ns, kind="stable")
    time_ns = bars.time_ns[order]
    second = np.flatnonzero(time_ns[1:] == time_ns[:-1]) + 1
    is_larger = bars.volume[order[second]] > bars.volume[order[second - 1]]
    chosen: Integers = np.delete(order, second - is_larger)
    return chosen


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
