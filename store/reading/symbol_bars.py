"""The bars of one symbol's trades, stored bars and corporate actions, or of its quotes, as the options ask for."""

from __future__ import annotations

import math
from dataclasses import dataclass

from store.bars.adjustment import AdjustmentRules, NotApplied
from store.bars.bars import Bars
from store.bars.quote_bars import QuoteBars
from store.instruments import Instrument
from store.log_views.adjusted_bars import AdjustedBars, BarsOfDays, adjusted_bars, effects_until_ns
from store.log_views.bar_grid import BarGrid
from store.log_views.known_bars import bars_of_logs
from store.log_views.log_view import LogView
from store.log_views.quote_windows import windowed_quote_bars
from store.log_views.trade_bars import BarMaker
from store.protocol import Window
from store.reading.arguments import IntervalArgument
from store.reading.bar_choice import BarChoice
from store.reading.bar_series import BarSeries, GridBars
from store.reading.exceptions import InvalidInterval
from store.reading.exchange_grids import grid_of_terms, is_long, shown_until_ns
from store.terms import TermsPeriod
from store.timestamps import DAY_NS


@dataclass(frozen=True, slots=True)
class SymbolBars:
    """The bars of one symbol.

    trades, stored, actions: as of the choice's `as_of`. actions: corporate actions; not needed for bars that are not
    adjusted. terms: those that bars have by their end, oldest first.
    """

    trades: LogView
    stored: LogView
    actions: LogView
    choice: BarChoice
    terms: tuple[TermsPeriod, ...]

    def series(self, interval: IntervalArgument) -> BarSeries[Bars]:
        """Return the bars of an interval. Raises `InvalidInterval`, `NoExchange` and `UnknownExchange`."""
        if self.choice.is_then and self.choice.adjustment != "raw" and is_long(interval):
            raise InvalidInterval(
                "bars longer than a day as they were known are not adjusted for actions within them: give 1d"
            )
        return BarSeries(tuple(self._of_terms(each, interval) for each in self.terms))

    def not_applied(self, window: Window, interval: IntervalArgument) -> list[NotApplied]:
        """Return the actions for which the bars of a window are not adjusted, although they should be."""
        if not self.choice.is_adjusted:
            return []
        bars = self._of_terms(self.terms[-1], interval)
        start_ns = bars.start_of(window)
        if start_ns is None:
            return []
        adjusted = self._adjusted(bars.grid, self.terms[-1].instrument)
        return adjusted.not_applied(Window(start_ns, window.end_ns))

    def _of_terms(self, terms: TermsPeriod, interval: IntervalArgument) -> GridBars[Bars]:
        choice, instrument = self.choice, terms.instrument
        grid = grid_of_terms(terms, self.terms[-1], choice, interval)
        maker = self._adjusted(grid, instrument) if choice.is_adjusted else self._unadjusted(grid, instrument)
        return GridBars(
            Bars,
            (self.trades, self.stored),
            grid,
            maker,
            shown_until_ns(choice, grid),
            Window(terms.from_ns, terms.until_ns),
            is_cut=choice.is_then or not grid.is_plain,
        )

    def _unadjusted(self, grid: BarGrid, instrument: Instrument) -> BarMaker:
        settle_ns = instrument.settle_ns if self.choice.is_then else None
        policy = self.choice.given_policy or instrument.policy
        return bars_of_logs(
            self.trades, self.stored, grid, policy, settle_ns, known_at_ns=self.choice.known_at_ns
        )

    def _adjusted(self, grid: BarGrid, instrument: Instrument) -> AdjustedBars | BarsOfDays:
        """Return the maker of adjusted bars. Actions count that take effect up to the end of today."""
        rules = AdjustmentRules(self.choice.adjustment == "all", instrument.currency)
        until_ns = effects_until_ns(grid, self.choice.now_ns)
        return adjusted_bars(
            lambda each: self._unadjusted(each, instrument), grid, self.actions, rules, until_ns
        )


@dataclass(frozen=True, slots=True)
class _QuoteBarMaker:
    """Makes the bars of a log's quotes. exchange: None means all quotes as one stream."""

    log: LogView
    grid: BarGrid
    settle_ns: int | None
    exchange: str | None

    def bars(self, window: Window) -> QuoteBars:
        return windowed_quote_bars(self.log, window, self.grid, self.exchange, self.settle_ns)


def quote_series(
    log: LogView,
    terms: tuple[TermsPeriod, ...],
    choice: BarChoice,
    exchange: str | None,
    interval: IntervalArgument,
) -> BarSeries[QuoteBars]:
    """Return the bars of a symbol's quotes. log, terms: as for `SymbolBars`. exchange: None means all as one stream."""
    parts = []
    for each in terms:
        grid = grid_of_terms(each, terms[-1], choice, interval)
        maker = _QuoteBarMaker(log, grid, each.instrument.settle_ns if choice.is_then else None, exchange)
        ends, until_ns = Window(each.from_ns, each.until_ns), shown_until_ns(choice, grid)
        parts.append(GridBars(QuoteBars, (log,), grid, maker, until_ns, ends))
    return BarSeries(tuple(parts))


def last_close(series: BarSeries[Bars], window: Window, length_ns: int) -> float:
    """Return the close of the last bar before those of a window; NaN if there is none.

    Searches backwards, in ever longer parts. length_ns: the length of the bars.
    """
    before = series.last.window_before(window)
    end_ns, length = before.end_ns, max(length_ns, DAY_NS - DAY_NS % length_ns)
    while end_ns > before.start_ns:
        start_ns = max(before.start_ns, end_ns - length)
        bars = series.bars(Window(start_ns, end_ns))
        if len(bars):
            return float(bars.close[-1])
        end_ns, length = start_ns, length * 8
    return math.nan
