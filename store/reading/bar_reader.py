"""The reader's methods that return one symbol's bars and its last trade."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, TypeAlias, Unpack

from store.bars.adjustment import NotApplied
from store.bars.bars import Bars
from store.datasets import BARS, CORPORATE_ACTIONS, TRADES
from store.exceptions import UnknownSymbol
from store.instrument_calendars import trading_dates
from store.log_views.log_view import empty_view
from store.reading.arguments import (
    InstantArgument,
    IntervalArgument,
    aligned_window,
    exact_window,
    interval_ns,
)
from store.reading.bar_choice import DEFAULTS, BarChoice, BarOptions, SessionBarOptions
from store.reading.exchange_grids import is_long
from store.reading.latest import LatestTrades, Trade
from store.reading.quote_reader import QuoteReader, bars_frame
from store.reading.symbol_bars import SymbolBars
from store.timestamps import DAY_NS

# `Bars`, or the DataFrame that `frame=True` asks for (pandas is not typed here).
BarsOrFrame: TypeAlias = Bars | Any


class SymbolBarReader(QuoteReader):
    """A reader of rows, joins, quotes and bars. The options of bars are those of `BarOptions`."""

    def __init__(self, where: Path | str) -> None:
        """See `open_store`."""
        super().__init__(where)
        self._latest = LatestTrades(self._store)

    def bars(
        self,
        symbol: str,
        start: InstantArgument | None = None,
        end: InstantArgument | None = None,
        interval: IntervalArgument = "1min",
        *,
        frame: bool = False,
        **options: Unpack[BarOptions],
    ) -> BarsOrFrame:
        """Return bars as equally long numpy columns, one row per interval with a price.

        They are made from trades and, where there are no trades, from stored bars, as over HTTP. A bar has
        the trade_count -1 or the notional NaN if a stored part of it has no trade_count or vwap. interval: `1s`,
        `1min`, `5min`, `15min`, `1h`, `1d`, any other whole number of ns, us, ms, s, min, h or d, whole
        nanoseconds, or a timedelta. Bars of one day are trading dates if the instrument has sessions: the
        regular session of equities and options, else the whole date. Their time is midnight UTC of the date. With
        `session="utc"`, and of two days or more, days are UTC days. `1w` and `1M` are weeks and months of such days.
        With hours, anchor or adjustment, and of weeks and months, the interval must be a resolution of HTTP. Raises
        `NoExchange` if hours, anchor or trading dates are asked for and the instrument has no exchange, and
        `UnknownExchange` if no trading hours are known for its exchange.
        """
        name, choice = self._named(symbol), BarChoice(**options) if options else DEFAULTS
        bars = self._bars(name, start, end, interval, choice)
        return bars_frame(bars) if frame else bars

    def session_bars(
        self,
        symbol: str,
        start: InstantArgument | None = None,
        end: InstantArgument | None = None,
        *,
        frame: bool = False,
        **options: Unpack[SessionBarOptions],
    ) -> BarsOrFrame:
        """Return daily bars of the exchange's regular sessions, as over HTTP with `hours=regular`.

        They are `bars` of a day with these hours. A date without a session has no bar. Raises `NoExchange`
        for an instrument without an exchange.
        """
        return self.bars(symbol, start, end, "1d", frame=frame, hours="regular", **options)

    def not_applied(
        self,
        symbol: str,
        start: InstantArgument | None = None,
        end: InstantArgument | None = None,
        interval: IntervalArgument = "1d",
        **options: Unpack[BarOptions],
    ) -> list[NotApplied]:
        """Return the corporate actions that should adjust the bars of a window, and do not, each with the reason.

        They are `not_applied` of HTTP. options: those of `bars`; `adjustment` is `all` by default.
        """
        options.setdefault("adjustment", "all")
        bars = self._symbol_bars(self._named(symbol), BarChoice(**options))
        return bars.not_applied(exact_window(start, end), interval)

    def latest(self, symbol: str) -> Trade:
        """Return the last trade by (event time, sequence, arrival).

        Raises `NoTrade` if all trades have been cancelled.
        """
        return self._latest.of(self._named(symbol))

    def _bars(
        self,
        symbol: str,
        start: InstantArgument | None,
        end: InstantArgument | None,
        interval: IntervalArgument,
        choice: BarChoice,
    ) -> Bars:
        if choice.is_plain and not is_long(interval):
            length = interval_ns(interval)
            if length != DAY_NS and not self._store.heads(BARS, (symbol,)):
                return self._plain_bars(symbol, start, end, length, choice)
        series = self._symbol_bars(symbol, choice).series(interval)
        return series.bars(aligned_window(start, end, series.last.unit_ns))

    def _plain_bars(
        self,
        symbol: str,
        start: InstantArgument | None,
        end: InstantArgument | None,
        length: int,
        choice: BarChoice,
    ) -> Bars:
        """Return bars of trades of one length in UTC; the same as those of `SymbolBars`, sooner."""
        self._derive_at_first_use(TRADES, symbol)
        window, as_of_ns = aligned_window(start, end, length), choice.as_of_ns
        instrument = self._store.instrument(symbol, as_of_ns=as_of_ns)
        policy = choice.given_policy or instrument.policy
        dates_of = partial(trading_dates, instrument=instrument)
        trades = self._snapshot(TRADES, symbol, choice.as_of)
        return trades.bars(window, length, policy=policy, dates_of=dates_of)

    def _symbol_bars(self, symbol: str, choice: BarChoice) -> SymbolBars:
        """Return a symbol's bars as of its newest commits or `as_of`. Raises `UnknownSymbol`."""
        wanted = (TRADES, BARS, CORPORATE_ACTIONS) if choice.is_adjusted else (TRADES, BARS)
        found = self._existing(wanted, symbol, choice.as_of)
        if not {TRADES, BARS}.intersection(found):
            raise UnknownSymbol(symbol)
        trades, stored, actions = (
            found.get(each) or empty_view(self._store.log(each, symbol))
            for each in (TRADES, BARS, CORPORATE_ACTIONS)
        )
        terms = self._terms(symbol, choice.as_of, choice.knowledge)
        return SymbolBars(trades, stored, actions, choice, terms)
