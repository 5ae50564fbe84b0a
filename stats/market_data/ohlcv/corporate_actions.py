"""Bars adjusted by the stored corporate actions."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from stats.market_data.intervals.bar_grid import BarGrid, regular_day_grid
from stats.market_data.ohlcv.adjustment import RAW, Adjustment, Terms, adjustment_of
from stats.sessions.spans import SessionMode
from store.bar_policies import BarPolicy
from store.bars.bars import Bars, joined_bars
from store.log_views.log_view import LogView
from store.log_views.stored_bars import filled, with_stored_bars
from store.log_views.trade_bars import BarMaker, merged_bars, merged_days
from store.protocol import ALL_TIME, Window
from store.resolutions import Resolution
from store.timestamps import DAY_NS

# How far back the close before a dividend is looked for.
CLOSE_LOOKBACK_NS = 14 * DAY_NS
MINUTE_NS = Resolution.MINUTE.length_ns


@dataclass(frozen=True, slots=True)
class AdjustedBars:
    """The bars of `made`, adjusted to the shares after the last action.

    A bar in which an action takes effect is merged from minutes. Without minutes, all of it counts as before.
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
        """The intervals of a window in which an action takes effect after their start."""
        within = (self.adjustment.time_ns >= window.start_ns) & (self.adjustment.time_ns < window.end_ns)
        for time_ns in self.adjustment.time_ns[within].tolist():
            whole = self.grid.aligned(time_ns, time_ns + 1)
            if whole.start_ns < time_ns and whole.end_ns - whole.start_ns > MINUTE_NS:
                yield whole


@dataclass(frozen=True, slots=True)
class BarsOfDays:
    """Weeks or months merged from adjusted days: an action may take effect within one.

    whole: the same periods unmerged; those without known days are adjusted by their start.
    """

    days: AdjustedBars
    whole: BarMaker
    grid: BarGrid

    def bars(self, window: Window) -> Bars:
        days = self.days.bars(window)
        _, dates = day_grid(self.grid).ends_and_dates(days.time_ns, window)
        merged = merged_days(replace(days, time_ns=dates * DAY_NS), self.grid, window)
        return filled(merged, self.days.adjustment.applied(self.whole.bars(window)))


def day_grid(grid: BarGrid) -> BarGrid:
    """The days of the same exchange and hours: trading dates, unless the grid's own days are UTC days."""
    is_dated = grid.calendar is not None and not grid.resolution.is_period
    session = SessionMode.EXCHANGE if is_dated else grid.session
    return replace(grid, resolution=Resolution.DAY, session=session)


def minute_grid(grid: BarGrid) -> BarGrid:
    """The minutes of the same hours."""
    return replace(grid, resolution=Resolution.MINUTE)


@dataclass(frozen=True, slots=True)
class OfficialCloses:
    """The closes that dividend factors are computed from.

    days: makes the bars of `grid`, the instrument's `regular_day_grid`: the same for every query.
    """

    days: BarMaker
    grid: BarGrid

    def before(self, time_ns: int) -> float | None:
        """The last close before an action's stored time; None if the 14 days before have none."""
        effect_ns = _takes_effect(self.grid, time_ns)
        first_ns = max(effect_ns - CLOSE_LOOKBACK_NS, ALL_TIME.start_ns)
        window = self.grid.aligned(first_ns, effect_ns)
        bars = self.days.bars(window)
        ends_ns, _ = self.grid.ends_and_dates(bars.time_ns, window)
        closes = bars.close[(bars.time_ns >= first_ns) & (ends_ns <= effect_ns)]
        return float(closes[-1]) if len(closes) else None


def adjustment_by(actions: LogView, closes: OfficialCloses, grid: BarGrid, terms: Terms) -> Adjustment:
    """The adjustment of a grid's bars by the stored actions."""
    rows = actions.rows(ALL_TIME)
    if not rows.num_rows:
        return RAW
    return adjustment_of(
        rows,
        takes_effect=lambda time_ns: _takes_effect(grid, time_ns),
        terms=terms,
        close_before=closes.before,
    )


def _takes_effect(grid: BarGrid, time_ns: int) -> int:
    """When an action takes effect. A midnight UTC means the trading date; any other time the instant."""
    return time_ns if time_ns % DAY_NS else grid.date_start(time_ns)


@dataclass(frozen=True, slots=True)
class BarInputs:
    """Everything that bars are made from. terms: what adjusts them; None for bars as printed."""

    trades: LogView
    stored: LogView
    actions: LogView
    policy: BarPolicy
    terms: Terms | None

    def printed(self, grid: BarGrid) -> BarMaker:
        """Makes the bars of a grid as printed or stored."""
        return with_stored_bars(self.trades, self.stored, grid, self.policy)

    def adjusted(self, grid: BarGrid) -> BarMaker:
        """Makes the bars of a grid, adjusted by the actions in effect."""
        maker = self.printed(grid)
        if self.terms is None:
            return maker
        # The same closes whatever hours, resolution and session are asked for.
        regular = regular_day_grid(grid.calendar)
        closes = OfficialCloses(self.printed(regular), regular)
        adjustment = adjustment_by(self.actions, closes, grid, self.terms)
        minutes, days = self.printed(minute_grid(grid)), day_grid(grid)
        if grid.resolution not in {Resolution.WEEK, Resolution.MONTH}:
            return AdjustedBars(maker, minutes, grid, adjustment)
        return BarsOfDays(AdjustedBars(self.printed(days), minutes, days, adjustment), maker, grid)
