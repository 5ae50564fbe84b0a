"""Makes one symbol's bars from its trades, stored bars and corporate actions, as the options ask for."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from store.bar_policies import BarPolicy
from store.bars.adjustment import AdjustmentRules, NotApplied
from store.instruments import Instrument
from store.log_views.adjusted_bars import AdjustedBars, BarsOfDays, adjusted_bars, effects_until_ns
from store.log_views.bar_grid import BarGrid
from store.log_views.grids import Grid, plain_grid
from store.log_views.known_bars import bars_of_logs
from store.log_views.log_view import LogView
from store.log_views.trade_bars import BarMaker
from store.protocol import ALL_TIME, Window
from store.reading.arguments import IntervalArgument, interval_ns
from store.reading.bar_choice import BarChoice
from store.reading.bar_logs import BarLogs
from store.reading.bar_series import BarSeries, EndsWithin, GridBars, LengthBars, TermsSeries
from store.reading.exceptions import InvalidInterval
from store.reading.exchange_grids import grid_by_terms, is_long, shown_until_ns
from store.terms import TermsPeriod
from store.timestamps import DAY_NS


@dataclass(frozen=True, slots=True)
class SymbolBars:
    """The bars of one symbol.

    instrument, logs, actions: as of the choice's `as_of`. actions: corporate actions; not needed for bars that are not
    adjusted. terms: those that bars have by their end, oldest first. ends: only bars that end in this window.
    """

    instrument: Instrument
    logs: BarLogs
    actions: LogView
    choice: BarChoice
    terms: tuple[TermsPeriod, ...]
    ends: Window = ALL_TIME

    def series(self, interval: IntervalArgument) -> BarSeries:
        """Return the bars of an interval. Raises `InvalidInterval`, `NoExchange` and `UnknownExchange`."""
        if self.choice.is_then and self.choice.adjustment != "raw" and is_long(interval):
            raise InvalidInterval(
                "weeks and months as they were known are not adjusted for actions within them: give 1d"
            )
        if len(self.terms) > 1:
            # The last terms are kept for hours that were not declared then.
            one = replace(self, terms=self.terms[-1:])
            return TermsSeries(
                tuple(
                    replace(one, instrument=each.instrument, ends=Window(each.from_ns, each.until_ns)).series(
                        interval
                    )
                    for each in self.terms
                )
            )
        grid, choice = self._exchange_grid(interval), self.choice
        if grid is not None:
            maker = self._adjusted(grid) if choice.is_adjusted else self._unadjusted(grid)
            return GridBars(self.logs, grid, maker, shown_until_ns(choice, grid))
        length = interval_ns(interval)
        maker = self._unadjusted(plain_grid(length, self.instrument))
        return LengthBars(self.logs, length, maker, shown_until_ns(choice, length), choice.is_then)

    def not_applied(self, window: Window, interval: IntervalArgument) -> list[NotApplied]:
        """Return the actions for which the bars of a window are not adjusted, although they should be."""
        grid = self._exchange_grid(interval)
        if grid is None or not self.choice.is_adjusted:
            return []
        bars = GridBars(self.logs, grid, self._unadjusted(grid), shown_until_ns(self.choice, grid))
        start_ns = bars.start_of(window)
        if start_ns is None:
            return []
        return self._adjusted(grid).not_applied(Window(start_ns, window.end_ns))

    def _exchange_grid(self, interval: IntervalArgument) -> BarGrid | None:
        """Return the grid by the instrument's hours, or the last ones if the options need hours and it had none."""
        return grid_by_terms(self.instrument, self.terms[-1].instrument, self.choice, interval)

    def _unadjusted(self, grid: Grid) -> BarMaker:
        settle_ns = self.instrument.settle_ns if self.choice.is_then else None
        maker = bars_of_logs(*self.logs, grid, self._policy, settle_ns, known_at_ns=self.choice.known_at_ns)
        return maker if self.ends == ALL_TIME else EndsWithin(maker, grid, self.ends)

    def _adjusted(self, grid: BarGrid) -> AdjustedBars | BarsOfDays:
        """Return the maker of adjusted bars. Actions count that take effect up to the end of today."""
        rules = AdjustmentRules(self.choice.adjustment == "all", self.instrument.currency)
        until_ns = effects_until_ns(grid, self.choice.now_ns)
        return adjusted_bars(self._unadjusted, grid, self.actions, rules, until_ns)

    @property
    def _policy(self) -> BarPolicy:
        return self.choice.given_policy or self.instrument.policy


def last_close(series: BarSeries, window: Window, length_ns: int) -> float:
    """Return the close of the last bar before those of a window; NaN if there is none.

    Searches backwards, in ever longer parts. length_ns: the length of the bars.
    """
    before = series.window_before(window)
    end_ns, length = before.end_ns, max(length_ns, DAY_NS - DAY_NS % length_ns)
    while end_ns > before.start_ns:
        start_ns = max(before.start_ns, end_ns - length)
        bars = series.bars(Window(start_ns, end_ns))
        if len(bars):
            return float(bars.close[-1])
        end_ns, length = start_ns, length * 8
    return math.nan
