"""Makes bars that are adjusted for the stored corporate actions."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from stats.market_data.intervals.bar_grid import BarGrid, regular_day_grid
from stats.market_data.ohlcv.adjustment import Adjustment, AdjustmentRules, adjustment_of
from stats.sessions.schedule import SessionMode
from store.bar_policies import BarPolicy
from store.bars.bars import Bars, joined_bars
from store.log_views.known_bars import KnownLog, bars_of_logs
from store.log_views.log_view import LogView
from store.log_views.stored_bars import stored_bars_window, with_missing_bars
from store.log_views.trade_bars import BarMaker, merged_bars, merged_days
from store.protocol import ALL_TIME, Window
from store.resolutions import Resolution
from store.timestamps import DAY_NS

# The maximum age of the close that a dividend factor uses.
CLOSE_LOOKBACK_NS = 14 * DAY_NS
MINUTE_NS = Resolution.MINUTE.length_ns


@dataclass(frozen=True, slots=True)
class AdjustedBars:
    """Makes the bars of `unadjusted`, adjusted to the shares after the last action.

    A bar during which an action takes effect is merged from adjusted minute bars. If there are none, the whole bar
    is adjusted as if it were before the action.
    """

    unadjusted: BarMaker
    minutes: BarMaker
    grid: BarGrid
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
            interval = self.grid.interval(effect_ns)
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
    grid: BarGrid

    @property
    def adjustment(self) -> Adjustment:
        return self.days.adjustment

    def bars(self, window: Window) -> Bars:
        days = self.days.bars(window)
        _, dates = day_grid(self.grid).ends_and_dates(days.time_ns, window)
        merged = merged_days(replace(days, time_ns=dates * DAY_NS), self.grid, window)
        return with_missing_bars(merged, self.adjustment.applied(self.direct.bars(window)))


def day_grid(grid: BarGrid) -> BarGrid:
    """Return the grid of days with the same calendar and hours.

    An intraday grid with a calendar gets trading dates; other grids keep their session mode.
    """
    is_dated = grid.calendar is not None and not grid.resolution.is_period
    session = SessionMode.EXCHANGE if is_dated else grid.session
    return replace(grid, resolution=Resolution.DAY, session=session)


def _official_close(days: BarMaker, grid: BarGrid, time_ns: int) -> float | None:
    """Return the last official close in the 14 days before an action takes effect; None if there is none.

    days: makes the bars of `grid`. grid: the instrument's `regular_day_grid`, the same for every query. time_ns:
    the action's stored time.
    """
    effect_ns = _takes_effect(grid, time_ns)
    first_ns = max(effect_ns - CLOSE_LOOKBACK_NS, ALL_TIME.start_ns)
    window = grid.aligned(first_ns, effect_ns)
    bars = days.bars(window)
    ends_ns, _ = grid.ends_and_dates(bars.time_ns, window)
    closes = bars.close[(bars.time_ns >= first_ns) & (ends_ns <= effect_ns)]
    return float(closes[-1]) if len(closes) else None


def _takes_effect(grid: BarGrid, time_ns: int) -> int:
    """Return when an action takes effect, given its stored time.

    Midnight UTC means the start of that trading date. At any other time the action takes effect at that instant.
    """
    return time_ns if time_ns % DAY_NS else grid.date_start(time_ns)


@dataclass(frozen=True, slots=True)
class BarInputs:
    """Everything that bars are made from.

    rules: how actions are applied; None for unadjusted bars. settle_ns: see `bars_of_logs`.
    """

    trades: LogView
    stored_bars: LogView
    actions: LogView
    policy: BarPolicy
    rules: AdjustmentRules | None
    settle_ns: int | None = None

    def unadjusted(self, grid: BarGrid) -> BarMaker:
        """Return the maker of a grid's unadjusted bars."""
        return bars_of_logs(self.trades, self.stored_bars, grid, self.policy, self.settle_ns)

    def adjusted(self, grid: BarGrid) -> BarMaker:
        """Return the maker of a grid's adjusted bars; unadjusted if `rules` is None."""
        maker = self.unadjusted(grid)
        if self.rules is None:
            return maker
        adjustment = self._adjustment(grid, self.rules)
        minutes, days = self.unadjusted(grid.with_resolution(Resolution.MINUTE)), day_grid(grid)
        if grid.resolution not in {Resolution.WEEK, Resolution.MONTH}:
            return AdjustedBars(maker, minutes, grid, adjustment)
        return BarsOfDays(AdjustedBars(self.unadjusted(days), minutes, days, adjustment), maker, grid)

    def _adjustment(self, grid: BarGrid, rules: AdjustmentRules) -> Adjustment:
        """Return the adjustment of a grid's bars for the stored actions."""
        # Official closes do not depend on the query's hours, resolution and session.
        regular_grid = regular_day_grid(grid.calendar)
        regular_days = self.unadjusted(regular_grid)
        return adjustment_of(
            self.actions.rows(ALL_TIME),
            takes_effect=lambda time_ns: _takes_effect(grid, time_ns),
            rules=rules,
            close_before=lambda time_ns: _official_close(regular_days, regular_grid, time_ns),
        )


@dataclass(frozen=True, slots=True)
class BarKnowledge:
    """Counts the rows of bars by the time that told when they were known."""

    inputs: BarInputs
    grid: BarGrid

    def of_bars(self, first_ns: int, last_ns: int) -> dict[str, int]:
        """Return the counts of the rows of the bars between two labels, both included; see `KnowledgeTimes.counts`."""
        inputs, counts = self.inputs, Counter[str]()
        settle_ns = inputs.settle_ns or 0
        window = Window(first_ns, self.grid.interval(last_ns).end_ns)
        labels = np.array([first_ns, last_ns])
        ends_ns, _ = self.grid.ends_and_dates(labels, self.grid.aligned(window.start_ns, window.end_ns))
        for view in (inputs.trades, inputs.stored_bars):
            if not view.is_empty:
                reach = window if view is inputs.trades else stored_bars_window(window, self.grid)
                found = KnownLog(view, self.grid, inputs.policy, settle_ns).versions(reach)
                counts.update(found.counts(int(ends_ns[0]) + settle_ns, int(ends_ns[1]) + settle_ns))
        return counts
