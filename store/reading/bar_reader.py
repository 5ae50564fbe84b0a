"""The reader's methods that return one symbol's bars and its last trade."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias, Unpack

from store.bars.adjustment import NotApplied
from store.bars.bars import Bars
from store.datasets import BARS, CORPORATE_ACTIONS, TRADES
from store.exceptions import StoreUnavailable, UnknownSymbol
from store.log_views.log_view import empty_view
from store.reading.arguments import (
    InstantArgument,
    IntervalArgument,
    aligned_window,
    exact_window,
)
from store.reading.bar_choice import DEFAULTS, BarChoice, BarOptions
from store.reading.bar_series import GridBars
from store.reading.latest import LatestTrades, Trade
from store.reading.rows import RowReader
from store.reading.symbol_bars import SymbolBars

# `Bars`, or the DataFrame that `frame=True` asks for (pandas is not typed here).
BarsOrFrame: TypeAlias = Bars | Any


# How many symbols' bars of an interval are kept.
_KEPT_SERIES = 4_096


class _KeptSeries(NamedTuple):
    """A symbol's bars of an interval, and the stamp of their logs when they were read; see `MarketStore.change_stamp`."""

    series: GridBars
    stamp: Callable[[], Hashable]
    stamped: Hashable


class SymbolBarReader(RowReader):
    """A reader of rows, joins and bars. The options of bars are those of `BarOptions`."""

    def __init__(self, where: Path | str) -> None:
        """See `open_store`."""
        super().__init__(where)
        self._latest = LatestTrades(self._store)
        self._kept: dict[tuple[str, str], _KeptSeries] = {}

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
        if not frame:
            return bars
        from store.reading.frames import bars_frame  # noqa: PLC0415 pandas takes half a second

        return bars_frame(bars)

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
        series = self._series(symbol, interval, choice)
        return series.bars(aligned_window(start, end, series.unit_ns))

    def _series(self, symbol: str, interval: IntervalArgument, choice: BarChoice) -> GridBars:
        """Return a symbol's bars of an interval. Without options they are kept until a commit or a declaration."""
        if choice is not DEFAULTS or not isinstance(interval, str):
            return self._symbol_bars(symbol, choice).series(interval)
        kept = self._kept.get((symbol, interval))
        stamp = self._store.change_stamp(((TRADES, symbol), (BARS, symbol))) if kept is None else kept.stamp
        try:
            # The stamp is taken before the logs are read: if a commit is made meanwhile, the next call reads them again.
            stamped = stamp()
        except OSError as error:
            raise StoreUnavailable(f"the logs of {symbol} cannot be read: {error}") from error
        if kept is not None and kept.stamped == stamped:
            return kept.series
        if len(self._kept) >= _KEPT_SERIES:
            self._kept.clear()
        series = self._symbol_bars(symbol, choice).series(interval)
        self._kept[symbol, interval] = _KeptSeries(series, stamp, stamped)
        return series

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
        instrument = self._store.instrument(symbol, as_of_ns=choice.as_of_ns)
        return SymbolBars(trades, stored, actions, choice, instrument)
