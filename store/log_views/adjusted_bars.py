"""Makes bars that are adjusted for the stored corporate actions."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from calendars.trading_calendar import start_of_row
from store.arrays import Integers
from store.bars.adjustment import Adjustment, AdjustmentRules, NotApplied, adjustment_of
from store.bars.bars import Bars
from store.log_views.bar_grid import BarGrid
from store.log_views.log_view import LogView
from store.log_views.stored_bars import with_missing_bars
from store.log_views.trade_bars import BarMaker, merged_bars, merged_days
from store.protocol import ALL_TIME, Window
from store.resolutions import Resolution
from store.timestamps import DAY_NS, MINUTE_NS

# The maximum age of the close that a dividend factor uses.
CLOSE_LOOKBACK_NS = 14 * DAY_NS
# Returns the maker of a grid's unadjusted bars.
MakerOf: TypeAlias = Callable[[BarGrid], BarMaker]


@dataclass(frozen=True, slots=True)
class AdjustedBars:
    """Makes the bars of `unadjusted`, adjusted to the shares after the last action.

    adjustment: by the instants at which actions take effect. A bar with such an instant inside is merged from adjusted
    shorter bars. by_date: the adjustment of bars that have no shorter ones. It differs only for days, weeks and months in
    UTC: there an action takes effect at midnight UTC of its date.
    """

    unadjusted: BarMaker
    maker_of: MakerOf
    grid: BarGrid
    adjustment: Adjustment
    by_date: Adjustment

    def bars(self, window: Window) -> Bars:
        bars = self.by_date.applied(self.unadjusted.bars(window))
        for interval in self._intervals_with_action(window):
            start, end = bars.time_ns.searchsorted((interval.start_ns, interval.end_ns)).tolist()
            parts = self._parts(interval) if start < end else bars[:0]
            if len(parts):
                label = np.full(len(parts), bars.time_ns[start])
                bars = Bars.joined([bars[:start], merged_bars(parts, label), bars[end:]])
        return bars

    def not_applied(self, window: Window) -> list[NotApplied]:
        """Return the actions for which a window's bars are not adjusted, although they should be.

        They take effect after the window's start and have no factor, or take effect within a bar that has no shorter bars.
        """
        return [
            *(each for each in self.adjustment.not_applied if each.effect_ns > window.start_ns),
            *_within_bars(self.adjustment, self.grid, window, self._is_whole),
        ]

    def _is_whole(self, interval: Window) -> bool:
        by_date = self.by_date.time_ns
        is_inside = ((by_date > interval.start_ns) & (by_date < interval.end_ns)).any()
        return bool(is_inside and not len(self._parts(interval)) and len(self.unadjusted.bars(interval)))

    def _intervals_with_action(self, window: Window) -> Iterator[Window]:
        """Yield the window's intervals of more than a minute in which an action takes effect after their start."""
        for effect_ns in _within(self.adjustment.time_ns, window).tolist():
            interval = self.grid.aligned(effect_ns, effect_ns + 1)
            if interval.start_ns < effect_ns and interval.end_ns - interval.start_ns > MINUTE_NS:
                yield interval

    def _parts(self, interval: Window) -> Bars:
        """Return an interval's adjusted bars of the longest resolution of which none has both sides of an action."""
        edges_ns = np.append(_within(self.adjustment.time_ns, interval), (interval.start_ns, interval.end_ns))
        shortest = Resolution.of_length(math.gcd(MINUTE_NS, self.grid.resolution.length_ns))
        resolution = next((each for each in _PARTS if not (edges_ns % each.length_ns).any()), shortest)
        return self.adjustment.applied(self.maker_of(self.grid.with_resolution(resolution)).bars(interval))


@dataclass(frozen=True, slots=True)
class BarsOfDays:
    """Makes periods of several days from adjusted days, because an action may take effect within a period.

    direct: makes the same periods without days. Its bars are used for periods that have no daily bars; they are
    adjusted by the factors at their start.
    """

    days: AdjustedBars
    direct: BarMaker
    grid: BarGrid

    def bars(self, window: Window) -> Bars:
        return with_missing_bars(self._merged(window), self.days.by_date.applied(self.direct.bars(window)))

    def not_applied(self, window: Window) -> list[NotApplied]:
        """Return those of the days, and the actions that take effect within a week or month that has no daily bars."""
        return [
            *self.days.not_applied(window),
            *_within_bars(self.days.by_date, self.grid, window, self._is_whole),
        ]

    def _merged(self, window: Window) -> Bars:
        days = self.days.bars(window)
        _, dates = self.grid.days().ends_and_dates(days.time_ns, window)
        return merged_days(replace(days, time_ns=dates * DAY_NS), self.grid, window)

    def _is_whole(self, interval: Window) -> bool:
        return not len(self._merged(interval)) and len(self.direct.bars(interval)) > 0


# The lengths of shorter bars, of which a bar with an action is merged.
_PARTS = [Resolution.parse(name) for name in ("1h", "30m", "15m", "5m", "1m")]


def _within(time_ns: Integers, window: Window) -> Integers:
    return time_ns[(time_ns >= window.start_ns) & (time_ns < window.end_ns)]


def _within_bars(
    adjustment: Adjustment, grid: BarGrid, window: Window, is_whole: Callable[[Window], bool]
) -> Iterator[NotApplied]:
    """Yield a window's actions that take effect after the start of an interval whose bar is whole."""
    for index, effect_ns in enumerate(adjustment.time_ns.tolist()):
        interval = grid.aligned(effect_ns, effect_ns + 1)
        if (
            window.start_ns < effect_ns < window.end_ns
            and interval.start_ns < effect_ns
            and is_whole(interval)
        ):
            yield adjustment.within_bar(index)


def adjusted_bars(
    maker_of: MakerOf, grid: BarGrid, actions: LogView, rules: AdjustmentRules, until_ns: int
) -> AdjustedBars | BarsOfDays:
    """Return a maker of a grid's bars, adjusted for the stored actions that take effect before `until_ns`.

    Actions take effect with the exchange's trading dates, also if days are cut in UTC.
    """
    regular_grid = grid.regular_days()
    regular_days = maker_of(regular_grid)
    adjustment = adjustment_of(
        actions.rows(ALL_TIME),
        rules=rules,
        takes_effect=lambda time_ns: start_of_row(time_ns, grid.calendar),
        until_ns=until_ns,
        close_before=lambda time_ns: _official_close(regular_days, regular_grid, time_ns),
    )
    is_in_utc = grid.resolution.is_period and grid.period_calendar is None
    by_date = adjustment.at_stored_times() if is_in_utc else adjustment
    if grid.resolution <= Resolution.DAY:
        return AdjustedBars(maker_of(grid), maker_of, grid, adjustment, by_date)
    days = grid.days()
    return BarsOfDays(AdjustedBars(maker_of(days), maker_of, days, adjustment, by_date), maker_of(grid), grid)


def effects_until_ns(grid: BarGrid, now_ns: int) -> int:
    """Return the end of today's trading date: actions count that take effect before it."""
    return grid.regular_days().aligned(now_ns, now_ns + 1).end_ns


def _official_close(days: BarMaker, grid: BarGrid, time_ns: int) -> float | None:
    """Return the last official close in the 14 days before an action takes effect; None if there is none.

    days: makes the bars of `grid`. grid: the exchange's regular days, whatever is asked for. time_ns:
    the action's stored time.
    """
    effect_ns = start_of_row(time_ns, grid.calendar)
    first_ns = max(effect_ns - CLOSE_LOOKBACK_NS, ALL_TIME.start_ns)
    window = grid.aligned(first_ns, effect_ns)
    bars = days.bars(window)
    ends_ns, _ = grid.ends_and_dates(bars.time_ns, window)
    closes = bars.close[(bars.time_ns >= first_ns) & (ends_ns <= effect_ns)]
    return float(closes[-1]) if len(closes) else None
