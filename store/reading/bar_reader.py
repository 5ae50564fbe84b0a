"""The reader's methods that return one symbol's bars and its last trade."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, TypeAlias, Unpack

from store.bar_policies import EVERY_PRINT
from store.bars.bars import Bars
from store.bars.credit import utc_dates
from store.bars.quote_bars import QuoteBars
from store.csv.files.disk import file_signature
from store.datasets import BARS, QUOTES, TRADES
from store.declarations import Dataset
from store.log_views.grids import plain_grid
from store.log_views.known_bars import KnownLog
from store.log_views.known_quotes import windowed_known_quote_bars
from store.log_views.quote_windows import windowed_quote_bars
from store.reading.arguments import InstantArgument, IntervalArgument, aligned_window, interval_ns
from store.reading.bar_choice import DEFAULTS, BarChoice, BarOptions, SessionBarOptions
from store.reading.bar_logs import RegularSessions, bar_logs
from store.reading.joins import JoinReader
from store.reading.latest import LatestTrades, Trade
from store.reading.symbol_bars import SymbolBars, chosen_policy, dates_for_credit, is_long
from store.timestamps import DAY_NS

# `Bars`, or the DataFrame that `frame=True` asks for (pandas is not typed here).
BarsOrFrame: TypeAlias = Bars | Any


class BarReader(JoinReader):
    """A reader of rows, joins and bars. The options of bars are those of `BarOptions`."""

    def __init__(self, path: Path | str, *, sessions: RegularSessions | None = None) -> None:
        """See `open_store`."""
        super().__init__(path)
        self._latest = LatestTrades(self._store)
        self._bars_files: dict[str, str] = {}
        self._sessions = sessions

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
        With hours or anchor, and of weeks and months, the interval must be a resolution of HTTP. Raises `NoSessions`
        for trading dates if the store was opened without `sessions`.
        """
        name, choice = self._named(symbol), BarChoice(**options) if options else DEFAULTS
        bars = self._plain_bars(name, start, end, interval, choice)
        if bars is None:
            bars = self._symbol_bars(name, choice).bars(start, end, interval)
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

        They are `bars` of a day with these hours. A date without a session has no bar. Raises `NoSessions` if the
        store was opened without `sessions`. For an instrument without an exchange it raises the error of `sessions`.
        """
        return self.bars(symbol, start, end, "1d", frame=frame, hours="regular", **options)

    def quote_bars(
        self,
        symbol: str,
        start: InstantArgument | None = None,
        end: InstantArgument | None = None,
        interval: IntervalArgument = "1min",
        exchange: str | None = None,
        *,
        as_of: InstantArgument | None = None,
        knowledge: str = "now",
        frame: bool = False,
    ) -> QuoteBars | Any:
        """Return bid and ask bars of one exchange's quotes.

        Without `exchange` all quotes are one stream, such as a best bid and offer. Each side opens at the
        last quote before the bar, even if that is before the window. A side that was never quoted is NaN. knowledge:
        `then` for bars as they were known at their end plus `settle`.
        """
        length = interval_ns(interval)
        window = aligned_window(start, end, length)
        view = self._view(QUOTES, symbol, as_of, knowledge)
        if view.settle_ns is None:
            bars = windowed_quote_bars(view, window, length, exchange)
        else:
            log = KnownLog(view, plain_grid(length, utc_dates), EVERY_PRINT, view.settle_ns)
            bars = windowed_known_quote_bars(log, window, exchange)
        return bars_frame(bars) if frame else bars

    def latest(self, symbol: str) -> Trade:
        """Return the last trade by (event time, sequence, arrival).

        Raises `NoTrade` if all trades have been cancelled.
        """
        return self._latest.of(self._named(symbol))

    def _plain_bars(
        self,
        symbol: str,
        start: InstantArgument | None,
        end: InstantArgument | None,
        interval: IntervalArgument,
        choice: BarChoice,
    ) -> Bars | None:
        """Return bars of trades of one length in UTC by the shortest way; None if they are others."""
        if choice.needs_resolution or choice.is_then or is_long(interval):
            return None
        length = interval_ns(interval)
        if length == DAY_NS or self._has_stored_bars(symbol):
            return None
        self._derive_at_first_use(TRADES, symbol)
        instrument = self._store.instrument(symbol, as_of_ns=choice.as_of_ns)
        policy = chosen_policy(instrument, choice)
        return self._store.bars(
            symbol,
            aligned_window(start, end, length),
            length,
            policy=policy,
            dates_of=dates_for_credit(instrument, self._sessions, policy),
            commit=self._commit_as_of(TRADES, symbol, choice.as_of),
        )

    def _has_stored_bars(self, symbol: str) -> bool:
        file = self._bars_files.get(symbol)
        if file is None:
            file = self._store.commits_file(BARS, symbol)
            file_signature(file)  # raises `OSError` if the folder cannot be read
            self._bars_files[symbol] = file
        # Takes half the time of a failing stat, which matters for a read of bars in memory.
        return os.access(file, os.F_OK)

    def _symbol_bars(self, symbol: str, choice: BarChoice) -> SymbolBars:
        """Return a symbol's bars as of its newest commits or `as_of`. Raises `UnknownSymbol`, `UnknownPolicy`."""

        def commit_of(dataset: Dataset, name: str) -> int | None:
            self._derive_at_first_use(dataset, name)
            return self._commit_as_of(dataset, name, choice.as_of)

        instrument = self._store.instrument(symbol, as_of_ns=choice.as_of_ns)
        return SymbolBars(instrument, bar_logs(self._store, symbol, commit_of), self._sessions, choice)


def bars_frame(bars: Bars | QuoteBars) -> Any:
    """Return bars as a pandas DataFrame, indexed by the start of their interval in UTC."""
    from store.reading import frames  # noqa: PLC0415 pandas takes half a second to load

    return frames.bars_frame(bars)
