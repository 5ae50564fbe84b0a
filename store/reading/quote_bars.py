"""Makes one symbol's quote bars, as the options ask for."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from store.bar_policies import EVERY_PRINT
from store.bars.quote_bars import QuoteBars, joined_quote_bars
from store.log_views.bar_grid import BarGrid
from store.log_views.grids import Grid, plain_grid
from store.log_views.known_bars import KnownLog
from store.log_views.known_quotes import windowed_known_quote_bars
from store.log_views.log_view import LogView
from store.log_views.quote_windows import windowed_quote_bars
from store.protocol import Window
from store.reading.arguments import InstantArgument, IntervalArgument, aligned_window, interval_ns
from store.reading.bar_choice import BarChoice
from store.reading.bar_logs import DATES_APART_NS, dates_with_rows
from store.reading.exchange_grids import grid_by_terms, grid_window, shown_until_ns
from store.terms import TermsPeriod
from store.timestamps import DAY_NS


@dataclass(frozen=True, slots=True)
class SymbolQuoteBars:
    """The bars of one symbol's quotes.

    log: the quotes as of the choice's `as_of`. terms: those that bars have by their end, oldest first. exchange: None
    means all quotes as one stream.
    """

    log: LogView
    terms: tuple[TermsPeriod, ...]
    choice: BarChoice
    exchange: str | None

    def bars(
        self, start: InstantArgument | None, end: InstantArgument | None, interval: IntervalArgument
    ) -> QuoteBars:
        """Return the bars of an interval. Of two bars of one time the older terms' stays."""
        parts = [self._of_period(each, start, end, interval) for each in self.terms]
        if len(parts) == 1:
            return parts[0]
        bars = joined_quote_bars(parts)
        _, index = np.unique(bars.time_ns, return_index=True)
        return bars[index]

    def _of_period(
        self,
        period: TermsPeriod,
        start: InstantArgument | None,
        end: InstantArgument | None,
        interval: IntervalArgument,
    ) -> QuoteBars:
        last = self.terms[-1].instrument
        grid = grid_by_terms(period.instrument, last, self.choice, interval)
        if grid is None:
            length = interval_ns(interval)
            window = aligned_window(start, end, length)
            window = Window(window.start_ns, min(window.end_ns, shown_until_ns(self.choice, length)))
            return self._windowed(period, window, plain_grid(length, period.instrument))
        return self._on_grid(
            period, aligned_window(start, end, DAY_NS if grid.resolution.is_period else 1), grid
        )

    def _on_grid(self, period: TermsPeriod, asked: Window, grid: BarGrid) -> QuoteBars:
        """Return the bars of an exchange's grid; the time of a day, week or month is midnight UTC of its first date."""
        rows_window = dates_with_rows([(self.log, DATES_APART_NS)], asked)
        window = grid_window(grid, rows_window, shown_until_ns(self.choice, grid))
        if window is None:
            return joined_quote_bars([])
        bars = self._windowed(period, window, grid)
        if not grid.resolution.is_period:
            return bars
        _, days = grid.ends_and_dates(bars.time_ns, window)
        return replace(bars, time_ns=days * DAY_NS)

    def _windowed(self, period: TermsPeriod, window: Window, grid: Grid) -> QuoteBars:
        """Return the bars of an aligned window that end in a period, labelled by their start."""
        if not self.choice.is_then:
            return windowed_quote_bars(self.log, window, grid, self.exchange)
        if period.until_ns <= window.start_ns or period.from_ns > window.end_ns:
            return joined_quote_bars([])
        known = KnownLog(self.log, grid, EVERY_PRINT, period.instrument.settle_ns)
        bars = windowed_known_quote_bars(known, window, self.exchange)
        ends_ns, _ = grid.ends_and_dates(bars.time_ns, window)
        return bars[(ends_ns >= period.from_ns) & (ends_ns < period.until_ns)]
