"""Makes bars that are adjusted for the stored corporate actions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from store.bars.adjustment import Adjustment, AdjustmentRules, adjustment_of
from store.bars.bars import Bars, joined_bars
from store.log_views.grids import DayGrid, Grid
from store.log_views.log_view import LogView
from store.log_views.stored_bars import with_missing_bars
from store.log_views.trade_bars import BarMaker, merged_bars, merged_days
from store.protocol import ALL_TIME, Window
from store.resolutions import Resolution
from store.timestamps import DAY_NS, MINUTE_NS

# The maximum age of the close that a dividend factor uses.
CLOSE_LOOKBACK_NS = 14 * DAY_NS
# Returns the maker of a grid's unadjusted bars.
MakerOf: TypeAlias = Callable[[Grid], BarMaker]


@dataclass(frozen=True, slots=True)
class AdjustedBars:
    """Makes the bars of `unadjusted`, adjusted to the shares after the last action.

    A bar during which an action takes effect is merged from adjusted minute bars. If there are none, the whole bar
    is adjusted as if it were before the action.
    """

    unadjusted: BarMaker
    minutes: BarMaker
    grid: Grid
    adjustment: Adjustment

    def bars(self, window: Window) -> Bars:
        bars = self.adjustment.applied(self.unadjusted.bars(window))
        for interval in self._intervals_with_action(window):
            start, end = bars.time_ns.searchsorted((interval.start_ns, interval.end_ns)).tolist()
            minutes = self.adjustment.applied(self.minutes.bars(interval))
            if start < end and len(minutes):
                label = np.full(len(minutes), bars.time_ns[start])
                bars = joined_bars([bars[:start], merged_bars(minutes, label), bars[end:]])
        return bars

    def _intervals_with_action(self, window: Window) -> Iterator[Window]:
        """Yield the window's intervals of more than a minute in which an action takes effect after their start."""
        time_ns = self.adjustment.time_ns
        for effect_ns in time_ns[(time_ns >= window.start_ns) & (time_ns < window.end_ns)].tolist():
            interval = self.grid.aligned(effect_ns, effect_ns + 1)
            if interval.start_ns < effect_ns and interval.end_ns - interval.start_ns > MINUTE_NS:
                yield interval


@dataclass(frozen=True, slots=True)
class BarsOfDays:
    """Makes weeks or months from adjusted days, because an action may take effect within a week or month.

    direct: makes the same weeks or months without days. Its bars are used for weeks or months that have no daily
    bars; they are adjusted by the factors at their start.
    """

    days: AdjustedBars
    direct: BarMaker
    grid: DayGrid

    @property
    def adjustment(self) -> Adjustment:
        return self.days.adjustment

    def bars(self, window: Window) -> Bars:
        days = self.days.bars(window)
        _, dates = self.grid.days().ends_and_dates(days.time_ns, window)
        merged = merged_days(replace(days, time_ns=dates * DAY_NS), self.grid, window)
        return with_missing_bars(merged, self.adjustment.applied(self.direct.bars(window)))


def adjusted_bars(
    maker_of: MakerOf, grid: DayGrid, actions: LogView, rules: AdjustmentRules, until_ns: int
) -> AdjustedBars | BarsOfDays:
    """Return a maker of a grid's bars, adjusted for the stored actions that take effect before `until_ns`."""
    regular_grid = grid.regular_days()
    regular_days = maker_of(regular_grid)
    adjustment = adjustment_of(
        actions.rows(ALL_TIME),
        rules=rules,
        takes_effect=lambda time_ns: _takes_effect(grid, time_ns),
        until_ns=until_ns,
        close_before=lambda time_ns: _official_close(regular_days, regular_grid, time_ns),
    )
    minutes, days = maker_of(grid.with_resolution(Resolution.MINUTE)), grid.days()
    if grid.resolution not in {Resolution.WEEK, Resolution.MONTH}:
        return AdjustedBars(maker_of(grid), minutes, grid, adjustment)
    return BarsOfDays(AdjustedBars(maker_of(days), minutes, days, adjustment), maker_of(grid), grid)


def _official_close(days: BarMaker, grid: DayGrid, time_ns: int) -> float | None:
    """Return the last official close in the 14 days before an action takes effect; None if there is none.

    days: makes the bars of `grid`. grid: the exchange's regular days, whatever is asked for. time_ns:
    the action's stored time.
    """
    effect_ns = _takes_effect(grid, time_ns)
    first_ns = max(effect_ns - CLOSE_LOOKBACK_NS, ALL_TIME.start_ns)
    window = grid.aligned(first_ns, effect_ns)
    bars = days.bars(window)
    ends_ns, _ = grid.ends_and_dates(bars.time_ns, window)
    closes = bars.close[(bars.time_ns >= first_ns) & (ends_ns <= effect_ns)]
    return float(closes[-1]) if len(closes) else None


def _takes_effect(grid: DayGrid, time_ns: int) -> int:
    """Return when an action takes effect, given its stored time.

    Midnight UTC means the start of that trading date. At any other time the action takes effect at that instant.
    """
    return time_ns if time_ns % DAY_NS else grid.date_start(time_ns)
