"""Makes bars that are adjusted for the stored corporate actions."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from stats.market_data.intervals.bar_grid import BarGrid, regular_day_grid
from stats.market_data.ohlcv.adjustment import RAW, Adjustment, AdjustmentRules, adjustment_of
from stats.sessions.spans import SessionMode
from store.bar_policies import BarPolicy
from store.bars.bars import Bars, joined_bars
from store.log_views.log_view import LogView
from store.log_views.stored_bars import with_missing_bars, with_stored_bars
from store.log_views.trade_bars import BarMaker, merged_bars, merged_days
from store.protocol import ALL_TIME, Window
from store.resolutions import Resolution
from store.timestamps import DAY_NS

# The maximum age of the close that a dividend factor uses.
CLOSE_LOOKBACK_NS = 14 * DAY_NS
MINUTE_NS = Resolution.MINUTE.length_ns


@dataclass(frozen=True, slots=True)
class AdjustedBars:
    """The bars of `made`, adjusted to the shares after the last action.

    A bar during which an action takes effect is merged from adjusted minute bars. If there are none, the whole
    bar is adjusted as if it were before the action.
    """

    made: BarMaker
    minutes: BarMaker
    grid: BarGrid
    adjustment: Adjustment

    def bars(self, window: Window) -> Bars:
        raw = self.made.bars(window)
        bars = self.adjustment.applied(raw)
        for torn in self._torn(window):
            first, last = bars.time_ns.searchsorted((torn.start_ns, torn.end_ns)).tolist()
            minutes = self.adjustment.applied(self.minutes.bars(torn))
            if first < last and len(minutes):
                label = np.full(len(minutes), bars.time_ns[first])
                bars = joined_bars([bars[:first], merged_bars(minutes, label), bars[last:]])
        return bars

    def _torn(self, window: Window) -> Iterator[Window]:
        """The intervals of a window during which an action takes effect."""
        within = (self.adjustment.time_ns >= window.start_ns) & (self.adjustment.time_ns < window.end_ns)
        for time_ns in self.adjustment.time_ns[within].tolist():
            whole = self.grid.aligned(time_ns, time_ns + 1)
            if whole.start_ns < time_ns and whole.end_ns - whole.start_ns > MINUTE_NS:
                yield whole


@dataclass(frozen=True, slots=True)
class BarsOfDays:
    """Weeks or months, merged from adjusted days because an action may take effect within one.

    whole: makes the same weeks or months directly. They are used if no days are known, adjusted by their start.
    """

    days: AdjustedBars
    whole: BarMaker
    grid: BarGrid

    def bars(self, window: Window) -> Bars:
        days = self.days.bars(window)
        _, dates = day_grid(self.grid).ends_and_dates(days.time_ns, window)
        merged = merged_days(replace(days, time_ns=dates * DAY_NS), self.grid, window)
        return with_missing_bars(merged, self.days.adjustment.applied(self.whole.bars(window)))


def day_grid(grid: BarGrid) -> BarGrid:
    """The grid of days with the same calendar and hours.

    An intraday grid with a calendar gets trading dates; other grids keep their session mode.
    """
    is_dated = grid.calendar is not None and not grid.resolution.is_period
    session = SessionMode.EXCHANGE if is_dated else grid.session
    return replace(grid, resolution=Resolution.DAY, session=session)


def minute_grid(grid: BarGrid) -> BarGrid:
    """The grid of minutes with the same calendar and hours."""
    return replace(grid, resolution=Resolution.MINUTE)


@dataclass(frozen=True, slots=True)
class OfficialCloses:
    """The closes from which dividend factors are computed.

    grid: the instrument's `regular_day_grid`, the same for every query. days: makes its bars.
    """

    days: BarMaker
    grid: BarGrid

    def before(self, time_ns: int) -> float | None:
        """The last close before an action, given its stored time; None if the 14 days before it have none."""
        effect_ns = _takes_effect(self.grid, time_ns)
        first_ns = max(effect_ns - CLOSE_LOOKBACK_NS, ALL_TIME.start_ns)
        window = self.grid.aligned(first_ns, effect_ns)
        bars = self.days.bars(window)
        ends_ns, _ = self.grid.ends_and_dates(bars.time_ns, window)
        closes = bars.close[(bars.time_ns >= first_ns) & (ends_ns <= effect_ns)]
        return float(closes[-1]) if len(closes) else None


def adjustment_by(
    actions: LogView, closes: OfficialCloses, grid: BarGrid, rules: AdjustmentRules
) -> Adjustment:
    """The adjustment of a grid's bars for the stored actions."""
    rows = actions.rows(ALL_TIME)
    if not rows.num_rows:
        return RAW
    return adjustment_of(
        rows,
        takes_effect=lambda time_ns: _takes_effect(grid, time_ns),
        rules=rules,
        close_before=closes.before,
    )


def _takes_effect(grid: BarGrid, time_ns: int) -> int:
    """When an action takes effect: for a midnight UTC, at the start of that trading date; else at that instant."""
    return time_ns if time_ns % DAY_NS else grid.date_start(time_ns)


@dataclass(frozen=True, slots=True)
class BarInputs:
    """Everything that bars are made from. rules: which actions are applied; None for unadjusted bars."""

    trades: LogView
    stored: LogView
    actions: LogView
    policy: BarPolicy
    rules: AdjustmentRules | None

    def printed(self, grid: BarGrid) -> BarMaker:
        """A maker of a grid's unadjusted bars."""
        return with_stored_bars(self.trades, self.stored, grid, self.policy)

    def adjusted(self, grid: BarGrid) -> BarMaker:
        """A maker of a grid's adjusted bars; unadjusted if `rules` is None."""
        maker = self.printed(grid)
        if self.rules is None:
            return maker
        # The closes do not depend on the query's hours, resolution and session.
        regular = regular_day_grid(grid.calendar)
        closes = OfficialCloses(self.printed(regular), regular)
        adjustment = adjustment_by(self.actions, closes, grid, self.rules)
        minutes, days = self.printed(minute_grid(grid)), day_grid(grid)
        if grid.resolution not in {Resolution.WEEK, Resolution.MONTH}:
            return AdjustedBars(maker, minutes, grid, adjustment)
        return BarsOfDays(AdjustedBars(self.printed(days), minutes, days, adjustment), maker, grid)
