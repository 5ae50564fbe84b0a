"""The bars of one symbol's trades, stored bars and corporate actions, as the options ask for."""

from __future__ import annotations

from dataclasses import dataclass

from store.bars.adjustment import AdjustmentRules, NotApplied
from store.instruments import Instrument
from store.log_views.adjusted_bars import AdjustedBars, BarsOfDays, adjusted_bars, effects_until_ns
from store.log_views.bar_grid import BarGrid
from store.log_views.known_bars import bars_of_logs
from store.log_views.log_view import LogView
from store.log_views.trade_bars import BarMaker
from store.protocol import Window
from store.reading.arguments import IntervalArgument
from store.reading.bar_choice import BarChoice
from store.reading.bar_series import GridBars
from store.reading.exceptions import InvalidInterval
from store.reading.exchange_grids import grid_of_instrument, is_long, shown_until_ns


@dataclass(frozen=True, slots=True)
class SymbolBars:
    """The bars of one symbol.

    trades, stored, actions: as of the choice's `as_of`. actions: corporate actions; not needed for bars that are not
    adjusted. instrument: as declared last.
    """

    trades: LogView
    stored: LogView
    actions: LogView
    choice: BarChoice
    instrument: Instrument

    def series(self, interval: IntervalArgument) -> GridBars:
        """Return the bars of an interval. Raises `InvalidInterval`, `NoExchange` and `UnknownExchange`."""
        choice = self.choice
        if choice.is_then and choice.adjustment != "raw" and is_long(interval):
            raise InvalidInterval(
                "bars longer than a day as they were known are not adjusted for actions within them: give 1d"
            )
        grid = grid_of_instrument(self.instrument, choice, interval)
        return GridBars(
            (self.trades, self.stored),
            grid,
            self._adjusted(grid) if choice.is_adjusted else self._unadjusted(grid),
            shown_until_ns(choice, grid),
            is_cut=choice.is_then or not grid.is_plain,
        )

    def not_applied(self, window: Window, interval: IntervalArgument) -> list[NotApplied]:
        """Return the actions for which the bars of a window are not adjusted, although they should be."""
        if not self.choice.is_adjusted:
            return []
        bars = self.series(interval)
        start_ns = bars.start_of(window)
        if start_ns is None:
            return []
        return self._adjusted(bars.grid).not_applied(Window(start_ns, window.end_ns))

    def _unadjusted(self, grid: BarGrid) -> BarMaker:
        instrument, choice = self.instrument, self.choice
        settle_ns = instrument.settle_ns if choice.is_then else None
        policy = choice.given_policy or instrument.policy
        return bars_of_logs(self.trades, self.stored, grid, policy, settle_ns, known_at_ns=choice.known_at_ns)

    def _adjusted(self, grid: BarGrid) -> AdjustedBars | BarsOfDays:
        """Return the maker of adjusted bars. Actions count that take effect up to the end of today."""
        rules = AdjustmentRules(self.choice.adjustment == "all", self.instrument.currency)
        until_ns = effects_until_ns(grid, self.choice.now_ns)
        return adjusted_bars(self._unadjusted, grid, self.actions, rules, until_ns)
