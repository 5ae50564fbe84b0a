"""What bars are made from, and the reader of bars as rows of an answer."""

from collections import Counter
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, ClassVar

import numpy as np
import pyarrow as pa

from stats.caching.keys import DIFFERS_BY_PAGE, Irrelevant
from stats.market_data.documents import NotAppliedDocument, UnadjustedDocument
from stats.market_data.intervals.finality import FinalBars
from stats.market_data.intervals.windows import part_in_memory, part_over_gaps
from stats.market_data.rows import Rows
from stats.rendering.table import ColumnRole, OutColumn, Table
from store.arrays import Floats, Integers, Mask, is_among
from store.bar_policies import BarPolicy
from store.bars.adjustment import AdjustmentRules
from store.bars.bars import Bars
from store.cached_property import cached_property
from store.datasets import BARS
from store.log_views.adjusted_bars import AdjustedBars, BarsOfDays, adjusted_bars
from store.log_views.bar_grid import BarGrid
from store.log_views.known_bars import KnownLog, bars_of_logs
from store.log_views.log_view import LogView
from store.log_views.stored_bars import marked_bars, stored_bars_window
from store.log_views.trade_bars import BarMaker
from store.protocol import ALL_TIME, Window
from store.rows.knowledge import KnownBy
from store.timestamps import format_timestamp

# Every decimal number of this many digits is a float64 of its own.
_EXACT_DIGITS = 15
_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class BarInputs:
    """Everything that bars are made from.

    settle_ns: see `bars_of_logs`. rules: how actions are applied; None for unadjusted bars. actions_until_ns: actions
    that take effect at or after this time are ignored.
    """

    trades: LogView
    stored_bars: LogView
    actions: LogView
    policy: BarPolicy
    settle_ns: int | None = None
    rules: AdjustmentRules | None = None
    actions_until_ns: Annotated[int, DIFFERS_BY_PAGE] = ALL_TIME.start_ns

    def unadjusted(self, grid: BarGrid) -> BarMaker:
        """Return the maker of a grid's unadjusted bars."""
        return bars_of_logs(self.trades, self.stored_bars, grid, self.policy, self.settle_ns)

    def adjusted(self, grid: BarGrid) -> BarMaker:
        """Return the maker of a grid's adjusted bars; unadjusted if `rules` is None."""
        if self.rules is None:
            return self.unadjusted(grid)
        return adjusted_bars(self.unadjusted, grid, self.actions, self.rules, self.actions_until_ns)


@dataclass(frozen=True, slots=True)
class NoActions:
    """A note: the bars of a share are unadjusted, because nobody has stored its corporate actions."""

    name: ClassVar = "unadjusted"

    def of_page(
        self, _times_ns: Integers, _start_ns: int | None, _end_ns: int | None
    ) -> list[UnadjustedDocument]:
        """See `BarRowReader.of_page`."""
        return [UnadjustedDocument(reason="no actions stored")]


@dataclass(frozen=True, slots=True)
class BarKnowledge:
    """A note: counts the rows of a grid's bars in some logs by the time that told when they were known."""

    logs: tuple[LogView, ...]
    grid: BarGrid
    policy: BarPolicy
    settle_ns: int
    name: ClassVar = "knowledge"

    def of_page(self, times_ns: Integers, _start_ns: int | None, _end_ns: int | None) -> dict[str, int]:
        """Return the counts of the rows of the page's bars; see `KnowledgeTimes.counts`."""
        counts = Counter[str]()
        if not len(times_ns):
            return _all_counts(counts)
        first_ns, last_ns = int(times_ns[0]), int(times_ns[-1])
        window = Window(self.grid.interval(first_ns).start_ns, self.grid.interval(last_ns).end_ns)
        settle_ns = self.settle_ns
        for view in self.logs:
            if not view.is_empty:
                reach = stored_bars_window(window, self.grid) if view.dataset is BARS else window
                found = KnownLog(view, self.grid, self.policy, self.settle_ns).versions(reach)
                counts.update(found.counts(window.start_ns + settle_ns + 1, window.end_ns + settle_ns))
        return _all_counts(counts)


def _all_counts(counts: dict[str, int]) -> dict[str, int]:
    return {name.value: counts.get(name.value, 0) for name in KnownBy}


@dataclass(frozen=True)
class BarRowReader:
    """Reads bars on a grid as rows. As a note it tells which actions the bars are not adjusted for.

    window: the part of the range that may have bars. has_integer_volume: whether volumes are integers.
    final_bars: tells which bars are final; None if the rows have no column `final`. is_plain: whether the rows have
    nothing but times, prices and volumes.
    """

    inputs: BarInputs
    window: Annotated[Window, Irrelevant("the plan's range, and where the logs have rows, say it")]
    grid: BarGrid
    has_integer_volume: bool
    final_bars: Annotated[FinalBars | None, DIFFERS_BY_PAGE]
    is_plain: Annotated[bool, Irrelevant("the query's dataset says it")] = False
    name: ClassVar = "not_applied"

    @property
    def columns(self) -> tuple[OutColumn, ...]:
        if self.is_plain:
            return price_and_volume_columns(has_integer_volume=self.has_integer_volume)
        return bar_columns(
            has_integer_volume=self.has_integer_volume,
            with_date=self.grid.resolution.is_period,
            with_final=self.final_bars is not None,
        )

    @cached_property
    def _maker(self) -> BarMaker:
        return self.inputs.adjusted(self.grid)

    def of_page(
        self, _times_ns: Integers, start_ns: int | None, _end_ns: int | None
    ) -> list[NotAppliedDocument] | None:
        """Return the stored actions that should adjust bars of the page or later ones, and do not."""
        maker = self._maker
        if not isinstance(maker, AdjustedBars | BarsOfDays):
            return None
        start_ns = self.window.start_ns if start_ns is None else start_ns
        found = [
            NotAppliedDocument(
                timestamp=format_timestamp(each.timestamp_ns), kind=each.kind, reason=each.reason
            )
            for each in maker.not_applied(Window(start_ns, self.window.end_ns))
        ]
        return found or None

    def floor(self, time_ns: int) -> int:
        return self.grid.interval(time_ns).start_ns

    def part(self, window: Window, count: int, *, from_end: bool) -> Window:
        logs = (self.inputs.trades, self.inputs.stored_bars)
        if self.inputs.settle_ns is not None and not self.inputs.trades.is_empty:
            # Bars as they were known are made of rows.
            return part_in_memory(self.inputs.trades, self.grid, window, count, from_end=from_end)
        return part_over_gaps(logs, self.grid, window, count, from_end=from_end)

    def rows(self, window: Window) -> Rows:
        bars, is_stored = self._marked_bars(window)
        values = {
            "timestamp": bars.time_ns,
            "open": bars.open,
            "high": bars.high,
            "low": bars.low,
            "close": bars.close,
            "volume": bars.volume,
            **({} if self.is_plain else self._derived(bars, is_stored, window)),
        }
        return Rows.of(Table.of(self.columns, values), bars.time_ns)

    def _marked_bars(self, window: Window) -> tuple[Bars, Mask]:
        """Return the window's bars, and whether each has a stored part."""
        if self.inputs.rules is None or self.inputs.stored_bars.is_empty:
            return marked_bars(self._maker, window)
        bars, is_stored = marked_bars(self.inputs.unadjusted(self.grid), window)
        adjusted = self._maker.bars(window)
        return adjusted, is_among(adjusted.time_ns, bars.time_ns[is_stored])

    def _derived(self, bars: Bars, is_stored: Mask, window: Window) -> dict[str, Any]:
        """Return the columns beyond times, prices and volumes."""
        ends_ns, dates = self.grid.ends_and_dates(bars.time_ns, window)
        values = {
            "vwap": self._vwap(bars, is_stored),
            "trade_count": pa.array(bars.trade_count, mask=bars.trade_count < 0),
            "date": dates,
        }
        if self.final_bars is not None:
            values["final"] = self.final_bars.mask(bars.time_ns, ends_ns)
        return values

    def _vwap(self, bars: Bars, is_stored: Mask) -> Floats:
        vwap = vwap_of(bars, every_print=self.inputs.policy.counts_every_print)
        return np.where(is_stored, _as_stored(vwap, bars), vwap) if is_stored.any() else vwap

    def total_estimate(self) -> int:
        trades, stored_bars = self.inputs.trades, self.inputs.stored_bars
        rows = trades.row_bound(self.window) + stored_bars.row_bound(
            stored_bars_window(self.window, self.grid)
        )
        return min(rows, -(-(self.window.end_ns - self.window.start_ns) // self.grid.resolution.length_ns))


@cache
def bar_columns(
    *, has_integer_volume: bool, with_date: bool, with_final: bool = True
) -> tuple[OutColumn, ...]:
    """Return the columns of bars. has_integer_volume: whether volumes are integers."""
    return (
        *price_and_volume_columns(has_integer_volume=has_integer_volume),
        OutColumn("vwap", ColumnRole.NUMBER),
        OutColumn("trade_count", ColumnRole.INTEGER),
        *((OutColumn("final", ColumnRole.FLAG),) if with_final else ()),
        *((OutColumn("date", ColumnRole.DATE),) if with_date else ()),
    )


@cache
def price_and_volume_columns(*, has_integer_volume: bool) -> tuple[OutColumn, ...]:
    """Return the columns of times, prices and volumes."""
    prices = (OutColumn(name, ColumnRole.NUMBER) for name in ("open", "high", "low", "close"))
    return (
        OutColumn("timestamp", ColumnRole.TIME, is_integer=True),
        *prices,
        OutColumn("volume", ColumnRole.VOLUME, has_integer_volume),
    )


def vwap_of(bars: Bars, *, every_print: bool) -> Floats:
    """Return notional / volume; NaN if the volume is zero or the notional unknown.

    If every print counts, rounding could take the result beyond low and high; such an excess is cut off. A stored
    vwap may lie beyond them by more.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        vwap = np.where(bars.volume > 0, bars.notional / bars.volume, np.nan)
    if not every_print or not ((vwap < bars.low) | (vwap > bars.high)).any():
        return vwap
    clipped = np.clip(vwap, bars.low, bars.high)
    return np.where(np.abs(vwap - clipped) <= _ROUNDING * np.abs(clipped), clipped, vwap)


def _as_stored(vwap: Floats, bars: Bars) -> Floats:
    """Return the number of at most 15 digits that gives the bar's notional, where there is one; else `vwap`.

    A stored vwap has no more digits. Its product with the volume is rounded, so the quotient may be its neighbour.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = 10.0 ** (_EXACT_DIGITS - 1 - np.floor(np.log10(np.abs(vwap))))
        rounded = np.rint(vwap * scale) / scale
        return np.where(rounded * bars.volume == bars.notional, rounded, vwap)
