"""Pages of an exchange's candles and trades. A page claims a stretch of time only if the exchange has shown its rows."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import pyarrow as pa

from sources.asking import batch_of
from sources.protocol import SourceFailed, SourcePage, SourceRefused
from store.datasets import BARS, TRADES
from store.protocol import Window
from store.timestamps import SECOND_NS, format_timestamp

MILLISECOND_NS = 1_000_000
TESTED, READ, UNTESTED = "tested", "read in its source, not tested", "untested"
TRADES_A_PAGE = 1_000
Candle = Sequence[float]
_MOST_EMPTY = 100
# Kraken's list of a trade has the seconds at its third place; Bitfinex's shorter one the amount.
_KRAKEN_MEMBERS = 6
# In an instant that is not older than this another trade may still arrive.
_SETTLED_NS = 5 * SECOND_NS


class Traits(NamedTuple):
    """What is known of an exchange.

    tested: one of `TESTED`, `READ`, `UNTESTED`. trades: how its history of trades is read: by `id`, by `time`, or ""
    if it has only the newest. since_alone: to a question without an end it answers with the first rows from `since` on.
    newest: it gives only so many of its newest candles, whatever is asked; 0: it gives all. elsewhere: exchanges for
    people whose country it refuses.
    """

    tested: str = UNTESTED
    trades: str = ""
    since_alone: bool = False
    newest: int = 0
    elsewhere: tuple[str, ...] = ()

    @property
    def honours_since(self) -> bool:
        return self.tested != UNTESTED and not self.newest


TRAITS = {
    "binance": Traits(TESTED, "id", since_alone=True, elsewhere=("binanceus",)),
    "kraken": Traits(TESTED, "time", newest=720),
    "binanceus": Traits(READ, "id", since_alone=True),
    "coinbase": Traits(READ),
    "okx": Traits(READ, elsewhere=("okxus", "myokx")),
    "bybit": Traits(READ, elsewhere=("bybiteu",)),
    "bitfinex": Traits(READ, "time", since_alone=True),
    "deribit": Traits(READ, "time"),
}
"""The exchanges whose class in ccxt was read. Of all others nothing is known."""


class CandleSeries(NamedTuple):
    """A series of candles of an exchange.

    ask: returns the candles from one instant to another or, with None, from the first on, ascending; milliseconds.
    step_ms: a candle's length. a_page: the most candles in an answer. closed_ms: candles that begin before are closed.
    """

    ask: Callable[[int, int | None], list[Candle]]
    resolution: str
    step_ms: int
    a_page: int
    closed_ms: int

    def page(self, candles: list[Candle], start_ms: int, end_ms: int, window: Window) -> SourcePage:
        """Return the page of a part of a window."""
        answered = Window(start_ms * MILLISECOND_NS, end_ms * MILLISECOND_NS).within(window)
        return SourcePage(candle_rows(candles, self.resolution), answered)


def candle_pages(series: CandleSeries, traits: Traits, window: Window) -> Iterator[SourcePage]:
    """Yield pages of closed candles, ascending. Raises `SourceError`s.

    An empty answer proves nothing. A hole is answered if the exchange gave a later candle to a `since` that it honours.
    """
    cursor, last_ms = -(-window.start_ns // MILLISECOND_NS), -(-window.end_ns // MILLISECOND_NS)
    last_ms = min(last_ms, series.closed_ms)
    empty = reach = 0
    while cursor < last_ms:
        until = min(cursor + series.a_page * series.step_ms, last_ms)
        rows = [row for row in series.ask(cursor, until - 1) if row[0] >= cursor]
        inside = [row for row in rows if row[0] < until]
        if inside:
            first, empty = int(inside[0][0]), 0
            if traits.newest and first >= cursor + series.step_ms:
                reach = first
            claimed = cursor if traits.honours_since else first
            cursor = int(inside[-1][0]) + series.step_ms
            yield series.page(inside, claimed, cursor, window)
        elif rows:
            # The answer to another question: the exchange does not have what was asked.
            reach = int(rows[0][0])
            cursor = max(until, min(reach, last_ms))
        elif traits.since_alone:
            later = _first_later(series, cursor, until)
            yield series.page([], cursor, later or cursor, window)
            cursor = later or last_ms
        else:
            cursor, empty = until, empty + 1
            if empty == _MOST_EMPTY:
                raise SourceRefused(f"the exchange has no candles up to {_text(cursor)}: begin later")
    if reach:
        raise SourceRefused(
            f"the exchange gives only its newest candles, here from {_text(reach)} on, and nothing is known of the time before:"
            " begin there, or fetch --trades"
        )


def _first_later(series: CandleSeries, cursor: int, until: int) -> int:
    """Return when the first candle after an empty stretch begins; 0 if there is none yet."""
    later = next((int(row[0]) for row in series.ask(cursor, None) if row[0] >= cursor), 0)
    if 0 < later < until:
        raise SourceFailed("the exchange answers the same question with and without rows")
    return later


class ExchangeTrade(NamedTuple):
    """A trade: nanoseconds UTC, its id, price, amount, and whether the buyer's order was resting."""

    time_ns: int
    trade_id: str | None
    price: float
    amount: float
    buyer_is_maker: bool | None


def trade_pages(
    ask: Callable[[ExchangeTrade | None], list[ExchangeTrade]], window: Window, *, by_id: bool
) -> Iterator[SourcePage]:
    """Yield pages of trades, ascending. Raises `SourceError`s.

    ask: returns a page of trades: of None the first of the window; of a trade those after it or, without `by_id`,
    those from its instant on. The next page may have more trades of a page's last instant, so
    trades of that instant are yielded with it.
    """
    start_ns, held = window.start_ns, list[ExchangeTrade]()
    while True:
        asked_ns = time.time_ns()
        new = ask(held[-1] if held else None)
        rows = [row for row in ([*held, *new] if by_id else new) if row.time_ns >= start_ns]
        last_ns = rows[-1].time_ns if rows else start_ns
        end_ns = min(last_ns, window.end_ns)
        earlier = [row for row in rows if row.time_ns < end_ns]
        held = rows[len(earlier) :]
        if start_ns < end_ns:
            yield SourcePage(trade_rows(earlier), Window(start_ns, end_ns))
            start_ns = end_ns
        elif by_id and new:
            continue
        elif len(new) >= TRADES_A_PAGE:
            when = _text(start_ns // MILLISECOND_NS)
            raise SourceRefused(f"the exchange has too many trades in one instant, {when}, to be read")
        else:
            if held and last_ns < asked_ns - _SETTLED_NS:
                yield SourcePage(trade_rows(held), Window(start_ns, last_ns + MILLISECOND_NS))
            return
        if last_ns >= window.end_ns:
            return


def candle_rows(candles: list[Candle], resolution: str) -> pa.RecordBatch:
    """Return candles in the schema of BARS."""
    names = ("open", "high", "low", "close", "volume")
    columns: dict[str, Any] = {
        name: [each[column] for each in candles] for column, name in enumerate(names, 1)
    }
    columns["timestamp"] = [int(each[0]) * MILLISECOND_NS for each in candles]
    return batch_of(BARS, {**columns, "resolution": [resolution] * len(candles)})


def trade_rows(trades: list[ExchangeTrade]) -> pa.RecordBatch:
    """Return trades in the schema of TRADES."""
    names = ("timestamp", "trade_id", "price", "volume", "buyer_is_maker")
    return batch_of(TRADES, {name: [each[column] for each in trades] for column, name in enumerate(names)})


def trade_of(row: Mapping[str, Any]) -> ExchangeTrade:
    """Return a trade of ccxt, with a time of whole milliseconds, as its live trades have.

    Kraken's history has finer times, in `info`, which ccxt rounds: they are cut. So a trade has one time, live and from history.
    """
    time_ms, info, side = int(row["timestamp"]), row.get("info"), row.get("side")
    if isinstance(info, list) and len(info) >= _KRAKEN_MEMBERS:
        time_ms = int(Decimal(str(info[2])) * 1000)
    is_maker = None if side is None else side == "sell"
    return ExchangeTrade(
        time_ms * MILLISECOND_NS, row.get("id"), float(row["price"]), float(row["amount"]), is_maker
    )


def _text(instant_ms: int) -> str:
    return format_timestamp(instant_ms * MILLISECOND_NS)
