"""The reader's methods that return quotes, the best of all venues, quote bars, and trades with their quotes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Unpack

from store import lazy_pyarrow as pa
from store.bars.quote_bars import QuoteBars
from store.datasets import OPTION_QUOTES, QUOTES, TRADES
from store.declarations import Dataset
from store.instruments import OPTION, Instrument
from store.log_views.best_quotes import (
    BEST,
    BEST_QUOTES,
    DEFAULT_MAX_AGE_NS,
    LONGEST_MAX_AGE_NS,
    BestQuoteView,
    window_of_changes,
)
from store.log_views.last_rows import RowView
from store.log_views.log_view import ROWS_AT_ONCE, rows_backwards
from store.log_views.spreads import BEST_QUOTED_TRADES, QUOTED_TRADES, QuotedTrades
from store.log_views.venue_hours import venue_hours_of
from store.protocol import Window
from store.reading.arguments import (
    InstantArgument,
    IntervalArgument,
    aligned_window,
    exact_window,
    instant_ns,
    interval_ns,
)
from store.reading.bar_choice import BarChoice, QuoteBarOptions
from store.reading.columns import Columns, select
from store.reading.exceptions import InvalidArgument, InvalidInterval, UnknownName
from store.reading.joins import JoinReader, joined_rows
from store.reading.rows import RowOptions, Rows
from store.reading.symbol_bars import quote_series
from store.terms import Settle


class BestQuote(NamedTuple):
    """The best bid and offer after a change.

    timestamp: nanoseconds UTC. An absent side is NaN, and its exchange None. state: `normal`, `locked`, `crossed`,
    `one_sided` or `empty`.
    """

    timestamp: int
    bid: float
    bid_size: float
    ask: float
    ask_size: float
    bid_exchange: str | None
    ask_exchange: str | None
    state: str


class NoQuote(LookupError):
    """No venue has quoted the symbol.

    Ask again after new quotes.
    """


class QuoteReader(JoinReader):
    """A reader of rows, joins, quotes and quote bars."""

    def quotes(
        self,
        symbol: str,
        start: InstantArgument | None = None,
        end: InstantArgument | None = None,
        *,
        exchange: str | None = None,
        max_age: IntervalArgument | None = None,
        **options: Unpack[RowOptions],
    ) -> Rows:
        """Return quotes; an absent side is NaN.

        With `exchange="best"` return the changes of the best bid and offer of all venues, as over HTTP: each with the
        venue of each side and `state`. Quotes take part for at most `max_age` (by default 1h), while their venue is
        open, and if no condition of theirs excludes them.
        """
        max_age_ns = _max_age_ns(exchange, max_age)
        if max_age_ns is None:
            return self.rows("quotes", symbol, start, end, **options)
        return self._best_quotes(symbol, exact_window(start, end), max_age_ns, options)

    def spreads(
        self,
        symbol: str,
        start: InstantArgument | None = None,
        end: InstantArgument | None = None,
        *,
        exchange: str = BEST,
        max_age: IntervalArgument | None = None,
        horizon: IntervalArgument = "5min",
        lag: IntervalArgument = 0,
        tolerance: IntervalArgument | None = None,
        columns: Sequence[str] | None = None,
        as_of: InstantArgument | None = None,
        knowledge: str = "now",
        frame: bool = False,
    ) -> Rows:
        """Return trades, each with the best bid and offer before it, and mid, side, effective and realised spread.

        The rule is that of `asof_join`, over the rows of `quotes(exchange="best", max_age=)`. With `exchange="all"`
        every quote replaces the one before, whichever its venue. The spreads are in the currency of the price; see
        `store.log_views.spreads` for definitions and sources. horizon: the time from a trade to the midpoint of its
        realised spread. A realised spread is NaN while a quote from before its horizon's end may still come.
        """
        max_age_ns = _max_age_ns(exchange, max_age)
        dataset = QUOTED_TRADES if max_age_ns is None else BEST_QUOTED_TRADES
        names = [column.name for column in dataset.columns] if columns is None else select(dataset, columns)
        quotes = self._view_or_empty(QUOTES, symbol, as_of, knowledge)
        instrument = self._instrument(quotes.symbol, as_of)
        right: RowView = quotes
        if max_age_ns is not None:
            right = BestQuoteView(quotes, max_age_ns, venue_hours_of(instrument))
        rows = self._view(TRADES, symbol, as_of, knowledge).rows(exact_window(start, end))
        known_until_ns = quotes.complete_until(Settle.of(self._terms(quotes.symbol, as_of, knowledge)))
        quoted = QuotedTrades(self._join(right, lag, tolerance), interval_ns(horizon), known_until_ns)
        return joined_rows(dataset, rows, quoted.columns(rows), names, frame=frame)

    def quote_bars(
        self,
        symbol: str,
        start: InstantArgument | None = None,
        end: InstantArgument | None = None,
        interval: IntervalArgument = "1min",
        exchange: str | None = None,
        *,
        frame: bool = False,
        **options: Unpack[QuoteBarOptions],
    ) -> QuoteBars | Any:
        """Return bid and ask bars of one exchange's quotes.

        Without `exchange` all quotes are one stream, such as a best bid and offer. Each side opens at the
        last quote before the bar, even if that is before the window. A side that was never quoted is NaN. Intervals,
        days and options are those of `bars`.
        """
        if exchange in {"all", BEST}:
            raise InvalidArgument(
                f"quote bars are of one venue or, without exchange, of all: not of {exchange!r}"
            )
        choice, name = BarChoice(**options), self._named(symbol)
        terms = self._terms(name, choice.as_of, choice.knowledge)
        log = self._view(_quotes_of(terms[-1].instrument), name, choice.as_of)
        series = quote_series(log, terms, choice, exchange, interval)
        bars = series.bars(aligned_window(start, end, series.last.unit_ns))
        return bars_frame(bars) if frame else bars

    def best_quote(
        self,
        symbol: str,
        at: InstantArgument | None = None,
        *,
        max_age: IntervalArgument | None = None,
        as_of: InstantArgument | None = None,
        knowledge: str = "now",
    ) -> BestQuote:
        """Return the last change of the best bid and offer at or before an instant; None means now, or `as_of`.

        Raises `NoQuote` if there is none, and the errors of `quotes`.
        """
        at_ns = BarChoice(as_of=as_of).now_ns if at is None else instant_ns(at)
        best = self._best(symbol, _age_in_best_ns(max_age), as_of, knowledge)
        changes = next(rows_backwards(best.log, at_ns + 1, read=best.rows), None)
        if changes is None:
            raise NoQuote(f"no venue had quoted {symbol} by then")
        (row,) = changes.slice(changes.num_rows - 1).to_pylist()
        return BestQuote(**row)

    def _best_quotes(self, symbol: str, asked: Window, max_age_ns: int, options: RowOptions) -> Rows:
        names, as_of = options.get("columns"), options.get("as_of")
        names = (
            [column.name for column in BEST_QUOTES.columns] if names is None else select(BEST_QUOTES, names)
        )
        best = self._best(symbol, max_age_ns, as_of, options.get("knowledge", "now"))
        window = window_of_changes(best.log, asked, max_age_ns)
        parts = [BEST_QUOTES.schema.empty_table()]
        while window.start_ns < window.end_ns:
            part = best.take_window(window, ROWS_AT_ONCE)
            parts.append(best.rows(part))
            window = Window(part.end_ns, window.end_ns)
        columns = Columns(BEST_QUOTES, pa.concat_tables(parts).select(names))
        return columns.frame() if options.get("frame") else columns

    def _best(
        self, symbol: str, max_age_ns: int, as_of: InstantArgument | None, knowledge: str
    ) -> BestQuoteView:
        instrument = self._instrument(self._named(symbol), as_of)
        hours = venue_hours_of(instrument)
        return BestQuoteView(self._view(_quotes_of(instrument), symbol, as_of, knowledge), max_age_ns, hours)

    def _instrument(self, symbol: str, as_of: InstantArgument | None) -> Instrument:
        return self._store.instrument(symbol, as_of_ns=None if as_of is None else instant_ns(as_of))


def _max_age_ns(exchange: str | None, max_age: IntervalArgument | None) -> int | None:
    """Return how long a quote takes part in the best; None for all quotes as stored."""
    if exchange not in {None, "all", BEST}:
        raise UnknownName("exchange of quotes", str(exchange), ["all", BEST])
    if exchange != BEST:
        if max_age is not None:
            raise InvalidInterval("max_age is of exchange='best': give both or neither")
        return None
    return _age_in_best_ns(max_age)


def _age_in_best_ns(max_age: IntervalArgument | None) -> int:
    """Return how long a quote takes part in the best, by default 1h. Raises `InvalidInterval`."""
    max_age_ns = DEFAULT_MAX_AGE_NS if max_age is None else interval_ns(max_age)
    if max_age_ns > LONGEST_MAX_AGE_NS:
        raise InvalidInterval("max_age must be at most 1d")
    return max_age_ns


def _quotes_of(instrument: Instrument) -> Dataset:
    """Return the dataset of an instrument's quotes."""
    return OPTION_QUOTES if instrument.instrument_class == OPTION else QUOTES


def bars_frame(bars: Any) -> Any:
    """Return bars as a pandas DataFrame, indexed by the start of their interval in UTC."""
    from store.reading import frames  # noqa: PLC0415 pandas takes half a second to load

    return frames.bars_frame(bars)
