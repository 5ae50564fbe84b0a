"""The reader of one store, for programs on the same machine."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias, TypedDict, Unpack

from store.arrays import Integers
from store.bar_policies import BAR_POLICIES, BarPolicy
from store.bars.bars import Bars
from store.bars.credit import DatesOf, utc_dates
from store.bars.quote_bars import QuoteBars
from store.csv.files.disk import file_signature
from store.datasets import BARS, TRADES
from store.declarations import Dataset
from store.instruments import Instrument
from store.log_views.grids import DayGrid, plain_grid
from store.log_views.known_bars import bars_of_logs
from store.log_views.log_view import view_as_of
from store.log_views.quote_windows import windowed_quote_bars
from store.log_views.trade_bars import BarMaker
from store.protocol import ALL_TIME, Window
from store.reading.arguments import (
    InstantArgument,
    IntervalArgument,
    aligned_window,
    check_day_words,
    instant_ns,
    interval_ns,
    resolution_of,
)
from store.reading.bar_logs import (
    DATES_APART_NS,
    BarLogs,
    GridBars,
    RegularSessions,
    bar_logs,
    dates_with_rows,
)
from store.reading.exceptions import (
    NoSessions,
    UnknownKnowledge,
    UnknownPolicy,
)
from store.reading.joins import JoinReader
from store.reading.latest import LatestTrades, Trade
from store.reading.panel import Panel, panel_of
from store.reading.rows import dataset_named
from store.reading.scan import Slice, close_before, merged_slices
from store.rows.knowledge import Knowledge
from store.timestamps import DAY_NS

_LONG = frozenset({"1w", "1M", "1mo"})
# `Bars`, or the DataFrame that `frame=True` asks for (pandas is not typed here).
BarsOrFrame: TypeAlias = Bars | Any


class BarOptions(TypedDict, total=False):
    """The options of `Reader.bars` that a panel passes on."""

    session: str | None
    hours: str | None
    anchor: str
    policy: str | BarPolicy | None
    as_of: InstantArgument | None
    knowledge: str


class Reader(JoinReader):
    """A reader of the rows and bars of a store in a folder; every call sees the newest commits. Thread-safe.

    The only files that it writes are derived files. Symbols are spelled as over HTTP, and an alias stands for
    its symbol. Windows are `[start, end)`; None means no bound. Instants are integers (nanoseconds since 1970),
    ISO 8601 texts, datetimes, `numpy.datetime64` or `pandas.Timestamp`, in UTC unless they have a zone. Bars
    are whole: start is rounded down and end is rounded up to the interval. `policy` is a bar policy or its
    name, by default the instrument's. With `as_of` only commits made by that instant are read. `frame=True`
    returns a pandas DataFrame indexed by UTC times. Raises `UnknownSymbol`, `DataDamaged` and the other
    `StorageError`s, and ValueErrors for invalid arguments: `InvalidArgument` with its subclasses, and
    `InvalidSymbol`.
    """

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
        session: str | None = None,
        hours: str | None = None,
        anchor: str = "clock",
        policy: str | BarPolicy | None = None,
        as_of: InstantArgument | None = None,
        knowledge: str = "now",
        frame: bool = False,
    ) -> BarsOrFrame:
        """Return bars as equally long numpy columns, one row per interval with a price.

        They are made from trades and, where there are no trades, from stored bars, as over HTTP. A bar has
        the trade_count -1 or the notional NaN if a stored part of it has no trade_count or vwap. interval: `1s`,
        `1min`, `5min`, `15min`, `1h`, `1d`, any other whole number of ns, us, ms, s, min, h or d, whole
        nanoseconds, or a timedelta. Bars of one day are trading dates if the instrument has sessions: the
        regular session of equities and options, else the whole date. Their time is midnight UTC of the date. With
        `session="utc"`, and of two days or more, days are UTC days. `1w` and `1M` are weeks and months of such days.
        hours: `all`, `regular` or `extended`. anchor: `session` lets intervals begin at the session's open. With these,
        and of weeks and months, the interval must be a resolution of HTTP. knowledge: `now`, or `then` for bars as they
        were known at their end plus the instrument's `settle` (see `store.rows.knowledge`). Raises `NoSessions` for
        trading dates if the store was opened without `sessions`.
        """
        name = self._named(symbol)
        grid = self._grid(name, interval, session=session, hours=hours, anchor=anchor, as_of=as_of)
        if grid is not None:
            settle_ns = self._settle_ns(name, as_of, knowledge)
            own = GridBars(self._bar_logs(name, as_of), grid, self._policy(name, policy, as_of), settle_ns)
            bars = own.bars(aligned_window(start, end, DAY_NS if grid.resolution.is_period else 1))
            return bars_frame(bars) if frame else bars
        length = interval_ns(interval)
        self._derive_at_first_use(TRADES, name)
        window, rule = aligned_window(start, end, length), self._policy(name, policy, as_of)
        is_then = knowledge_named(knowledge) is Knowledge.THEN
        if is_then or length == DAY_NS or self._has_stored_bars(name):
            logs = self._bar_logs(name, as_of)
            maker = self._maker(name, logs, length, rule, session=session, as_of=as_of, is_then=is_then)
            if is_then and (start is None or end is None):
                window = _within_rows([logs], window, length)
            bars = maker.bars(window)
        else:
            commit = self._commit_as_of(TRADES, name, as_of)
            dates_of = self._dates_for_credit(name, rule, as_of)
            bars = self._store.bars(name, window, length, policy=rule, dates_of=dates_of, commit=commit)
        return bars_frame(bars) if frame else bars

    def session_bars(
        self,
        symbol: str,
        start: InstantArgument | None = None,
        end: InstantArgument | None = None,
        *,
        policy: str | BarPolicy | None = None,
        as_of: InstantArgument | None = None,
        frame: bool = False,
    ) -> BarsOrFrame:
        """Return daily bars of the exchange's regular sessions, as over HTTP with `hours=regular`.

        start, end: trading dates. The bars' time is midnight UTC of their date; a date without a session has
        no bar. Raises `NoSessions` if the store was opened without `sessions`. For an instrument without an
        exchange it raises the error of `sessions`.
        """
        name = self._named(symbol)
        if self._sessions is None:
            raise NoSessions("session bars")
        dates, rule = aligned_window(start, end, DAY_NS), self._policy(name, policy, as_of)
        grid = self._sessions(self._instrument(name, as_of))
        bars = GridBars(self._bar_logs(name, as_of), grid, rule).bars(dates)
        return bars_frame(bars) if frame else bars

    def quote_bars(
        self,
        symbol: str,
        start: InstantArgument | None = None,
        end: InstantArgument | None = None,
        interval: IntervalArgument = "1min",
        exchange: str | None = None,
        *,
        as_of: InstantArgument | None = None,
        frame: bool = False,
    ) -> QuoteBars | Any:
        """Return bid and ask bars of one exchange's quotes.

        Without `exchange` all quotes are one stream, such as a best bid and offer. Each side opens at the
        last quote before the bar, even if that is before the window. A side that was never quoted is NaN.
        """
        name, length = self._named(symbol), interval_ns(interval)
        window = aligned_window(start, end, length)
        quotes = dataset_named("quotes")
        log = view_as_of(self._store, quotes, name, self._commit_as_of(quotes, name, as_of))
        bars = windowed_quote_bars(log, window, length, exchange)
        return bars_frame(bars) if frame else bars

    def latest(self, symbol: str) -> Trade:
        """Return the last trade by (event time, sequence, arrival).

        Raises `NoTrade` if all trades have been cancelled.
        """
        return self._latest.of(self._named(symbol))

    def scan(
        self,
        symbols: Sequence[str] | None = None,
        start: InstantArgument | None = None,
        end: InstantArgument | None = None,
        interval: IntervalArgument = "1min",
        *,
        session: str | None = None,
        policy: str | BarPolicy | None = None,
        as_of: InstantArgument | None = None,
        knowledge: str = "now",
        fill: bool = False,
    ) -> Iterator[tuple[int, Slice]]:
        """Yield (start in nanoseconds UTC, `Slice`) for each interval with a bar of any symbol, ascending.

        symbols: the universe; None means all symbols. The scan is one snapshot: each symbol is read as of its
        newest commit at the call, or as of `as_of`. With `fill`, a symbol that has had a bar, also before the
        scan, has one in every slice: its last close, with volume 0. At most 2^18 bars are in memory. Days are those of
        `bars`.
        """
        universe = self._universe(symbols)
        length = interval_ns(interval)
        logs = [self._bar_logs(symbol, as_of) for symbol in universe]
        window = aligned_window(start, end, length)
        if start is None or end is None:
            window = _within_rows(logs, window, length)
        is_then = knowledge_named(knowledge) is Knowledge.THEN
        makers = [
            self._maker(
                symbol,
                each,
                length,
                self._policy(symbol, policy, as_of),
                session=session,
                as_of=as_of,
                is_then=is_then,
            )
            for symbol, each in zip(universe, logs, strict=True)
        ]

        def bars_of(index: int, part: Window) -> Bars:
            return makers[index].bars(part)

        last_close = None
        if fill:
            last_close = [
                close_before(maker.bars, _rows_before(log, window, length), length)
                for maker, log in zip(makers, logs, strict=True)
            ]
        return merged_slices(universe, window, length, bars_of, last_close=last_close)

    def panel(
        self,
        symbols: Sequence[str] | None = None,
        start: InstantArgument | None = None,
        end: InstantArgument | None = None,
        interval: IntervalArgument = "1min",
        field: str = "close",
        *,
        fill: bool = False,
        frame: bool = False,
        **options: Unpack[BarOptions],
    ) -> Panel | Any:
        """Return one field of the bars of many symbols: a row per interval with a bar, a column per symbol.

        symbols: None means all symbols. field: open, high, low, close, volume, trade_count or notional. A missing value
        is NaN; with `fill`, after a symbol's first bar, also before the panel, a missing price is its last close and a missing volume 0. Bars,
        and `options`, are those of `bars`. Each symbol is read as of its newest commit, or as of `as_of`.
        """
        universe = self._universe(symbols)
        bars = [self.bars(symbol, start, end, interval, **options) for symbol in universe]
        last_close = None
        if fill:
            last_close = [self._close_before(symbol, start, end, interval, options) for symbol in universe]
        panel = panel_of(universe, bars, field, last_close=last_close)
        return panel.frame() if frame else panel

    def _close_before(
        self,
        symbol: str,
        start: InstantArgument | None,
        end: InstantArgument | None,
        interval: IntervalArgument,
        options: BarOptions,
    ) -> float:
        """Return a symbol's last close before a window; NaN if there is none."""
        length = interval_ns(interval)
        logs = self._bar_logs(symbol, options.get("as_of"))
        before = _rows_before(logs, aligned_window(start, end, length), length)

        def bars_of(part: Window) -> Bars:
            found: Bars = self.bars(symbol, part.start_ns, part.end_ns, interval, **options)
            return found

        return close_before(bars_of, before, length)

    def _policy(
        self, symbol: str, policy: str | BarPolicy | None, as_of: InstantArgument | None = None
    ) -> BarPolicy:
        """Return the given policy; if None, the instrument's, as of now or `as_of`. Raises `UnknownPolicy`."""
        if policy is None:
            return self._instrument(symbol, as_of).policy
        return policy if isinstance(policy, BarPolicy) else policy_named(policy)

    def _has_stored_bars(self, symbol: str) -> bool:
        file = self._bars_files.get(symbol)
        if file is None:
            file = self._store.commits_file(BARS, symbol)
            file_signature(file)  # raises `OSError` if the folder cannot be read
            self._bars_files[symbol] = file
        # Takes half the time of a failing stat, which matters for a read of bars in memory.
        return os.access(file, os.F_OK)

    def _instrument(self, symbol: str, as_of: InstantArgument | None) -> Instrument:
        as_of_ns = None if as_of is None else instant_ns(as_of)
        return self._store.instrument(symbol, as_of_ns=as_of_ns)

    def _bar_logs(self, symbol: str, as_of: InstantArgument | None) -> BarLogs:
        """Return trades and stored bars as of their newest commits or `as_of`. Raises `UnknownSymbol`."""
        return bar_logs(self._store, symbol, lambda dataset, name: self._pinned(dataset, name, as_of))

    def _trading_dates(
        self, symbol: str, session: str | None, as_of: InstantArgument | None
    ) -> DayGrid | None:
        """Return the trading dates of an instrument's daily bars; None if they are UTC days."""
        check_day_words(session, None, "clock")
        instrument = self._instrument(symbol, as_of)
        if session == "utc" or not instrument.has_sessions:
            return None
        if self._sessions is None:
            raise NoSessions(f"days of {symbol} (give session='utc' for UTC days)")
        grid = self._sessions(instrument)
        return grid if instrument.has_regular_days else grid.with_all_hours()

    def _settle_ns(self, symbol: str, as_of: InstantArgument | None, knowledge: str) -> int | None:
        """Return the instrument's `settle` for bars as they were known then; None for bars as of now."""
        is_then = knowledge_named(knowledge) is Knowledge.THEN
        return self._instrument(symbol, as_of).settle_ns if is_then else None

    def _grid(
        self,
        symbol: str,
        interval: IntervalArgument,
        *,
        session: str | None,
        hours: str | None,
        anchor: str,
        as_of: InstantArgument | None,
    ) -> DayGrid | None:
        """Return the exchange's grid of weeks, months, hours and intervals from the open; None for all others."""
        is_long = isinstance(interval, str) and interval in _LONG
        if hours is None and anchor == "clock" and not is_long:
            return None
        check_day_words(session, hours, anchor)
        resolution = resolution_of(interval)
        if self._sessions is None:
            raise NoSessions(f"weeks, months, hours and bars from the open of {symbol}")
        return self._sessions(
            self._instrument(symbol, as_of), resolution, session=session, hours=hours, anchor=anchor
        )

    def _maker(
        self,
        symbol: str,
        logs: BarLogs,
        length: int,
        policy: BarPolicy,
        *,
        session: str | None,
        as_of: InstantArgument | None,
        is_then: bool,
    ) -> BarMaker:
        """Return a maker of bars of one length. is_then: as they were known when they ended."""
        settle_ns = self._instrument(symbol, as_of).settle_ns if is_then else None
        days = self._trading_dates(symbol, session, as_of) if length == DAY_NS else None
        if days is not None:
            return GridBars(logs, days, policy, settle_ns)

        def dates_of(time_ns: Integers) -> Integers:
            instrument = self._instrument(symbol, as_of)
            if not len(time_ns) or not instrument.has_sessions:
                return time_ns // DAY_NS
            if self._sessions is None:
                raise NoSessions(
                    f"the dates of stored days of {symbol}, which begin at other times than midnight UTC,"
                )
            return self._sessions(instrument).trading_dates(time_ns)

        grid = plain_grid(length, dates_of, self._dates_for_credit(symbol, policy, as_of))
        return bars_of_logs(*logs, grid, policy, settle_ns)

    def _dates_for_credit(self, symbol: str, policy: BarPolicy, as_of: InstantArgument | None) -> DatesOf:
        """Return the trading dates that credited volume must not cross: UTC dates without `sessions`."""
        if self._sessions is None or policy.counts_every_print:
            return utc_dates
        instrument = self._instrument(symbol, as_of)
        return self._sessions(instrument).dates_for_credit if instrument.has_sessions else utc_dates

    def _pinned(self, dataset: Dataset, symbol: str, as_of: InstantArgument | None) -> int | None:
        self._derive_at_first_use(dataset, symbol)
        return self._commit_as_of(dataset, symbol, as_of)


def _within_rows(logs: Sequence[BarLogs], window: Window, length: int) -> Window:
    """Return the part of a window that may have bars of this length."""
    margin_ns = DATES_APART_NS if length == DAY_NS else 0
    dates = dates_with_rows(logs, window, trades_margin_ns=margin_ns)
    return Window(dates.start_ns - dates.start_ns % length, dates.end_ns + -dates.end_ns % length)


def _rows_before(logs: BarLogs, window: Window, length: int) -> Window:
    """Return the window before another one that may have bars of this length."""
    start_ns = ALL_TIME.start_ns - ALL_TIME.start_ns % length
    before = Window(start_ns, max(start_ns, window.start_ns))
    rows = _within_rows([logs], before, length)
    return Window(rows.start_ns, min(rows.end_ns, before.end_ns))


def knowledge_named(name: str) -> Knowledge:
    """Return the knowledge with this name. Raises `UnknownKnowledge`."""
    try:
        return Knowledge(name)
    except ValueError:
        raise UnknownKnowledge("knowledge", name, [each.value for each in Knowledge]) from None


def policy_named(name: str) -> BarPolicy:
    """Return the bar policy with this name. Raises `UnknownPolicy`."""
    try:
        return BAR_POLICIES[name]
    except KeyError:
        raise UnknownPolicy("bar policy", name, BAR_POLICIES) from None


def bars_frame(bars: Bars | QuoteBars) -> Any:
    """Return bars as a pandas DataFrame, indexed by the start of their interval in UTC."""
    from store.reading import frames  # noqa: PLC0415 pandas takes half a second to load

    return frames.bars_frame(bars)
