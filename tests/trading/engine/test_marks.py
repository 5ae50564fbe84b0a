"""The marks of the engine: those of the rows that it took, or those of the store when it begins again."""

import random
from decimal import Decimal

import pytest

from store.datasets import BARS, QUOTES, TRADES
from store.instruments import Instrument
from store.market_store import MarketStore
from store.timestamps import SECOND_NS
from store.walk import BEGINNING, LogPosition
from tests.chance import chosen_seed
from tests.trading.stored import NOON, SYMBOL, append, correct, quote, trade
from trades.stores import market_store
from trading.core.account import AccountState
from trading.core.events import Reference
from trading.core.positions import Position
from trading.core.terms import TRADABLE
from trading.engine.logs import DataClock, FollowedLog, ReadPosition, merged
from trading.market.followed import FollowedMarket
from trading.market.symbols import followed_market

HELD = AccountState(
    id="ACC",
    positions={
        SYMBOL: Position(
            symbol=SYMBOL, strategy="", terms=TRADABLE["equity"], quantity=Decimal(1), cost=Decimal(100)
        )
    },
)


@pytest.fixture
def store(default_store) -> MarketStore:
    return market_store()


def at_heads() -> FollowedMarket:
    return followed_market(lambda *_: None)


def mark(book: FollowedMarket, now_ns: int, state: AccountState = HELD) -> Reference | None:
    return book.marks(state, now_ns=now_ns).get(SYMBOL)


def write(store: MarketStore, chance: random.Random) -> None:
    """Prints and quotes at instants of their own, in any order within ten seconds, some corrected later."""
    seconds = list(range(80))
    chunks = [seconds[start : start + 8] for start in range(0, 80, 8)]
    for chunk in chunks:
        chance.shuffle(chunk)
        trades = [trade(at, 100.0 + at) for at in chunk[:4]]
        append(store, TRADES, *trades)
        append(store, QUOTES, *(quote(at, chance.choice([None, 90.0 + at]), 200.0 + at) for at in chunk[4:]))
        if chance.random() < 0.5:
            correct(store, max(trades, key=lambda row: row["timestamp"]), price=1.0)


def test_an_engine_that_begins_again_has_the_same_marks(store):
    write(store, random.Random(chosen_seed()))
    clock, start = DataClock(), ReadPosition(BEGINNING, 0)
    logs = {each.name: FollowedLog(store, clock, each, SYMBOL, start) for each in (TRADES, QUOTES)}

    def place_of(dataset: str, _: str) -> LogPosition | None:
        return logs[dataset].place.position if dataset in logs else None

    book = followed_market(place_of)
    asked, count = random.Random(chosen_seed()), 0
    for arrival in merged(logs.values()):
        now_ns = clock.advance(arrival.known_ns)
        logs[arrival.dataset].place = arrival.place
        assert arrival.row is not None
        book.take(arrival.row)
        if asked.random() < 0.5:
            assert mark(book, now_ns) == mark(followed_market(place_of), now_ns)
            count += 1
    assert count > 20


def test_without_trades_the_mark_is_the_close_of_the_last_bar_that_ended(store):
    prices = {"open": 1.0, "high": 4.0, "low": 1.0, "volume": 5.0, "resolution": "1m"}
    bars = [{"timestamp": NOON + n * 60 * SECOND_NS, "close": 2.0 + n, **prices} for n in range(3)]
    append(store, BARS, *bars)
    book = at_heads()
    assert mark(book, NOON + 59 * SECOND_NS) is None
    for now_seconds, close in ((60, "2.0"), (179, "3.0"), (180, "4.0")):
        found = mark(at_heads(), NOON + now_seconds * SECOND_NS)
        assert found is not None
        end_ns = NOON + now_seconds // 60 * 60 * SECOND_NS
        assert (found.price, found.at_ns) == (Decimal(close), end_ns)
    log = FollowedLog(store, DataClock(), BARS, SYMBOL, ReadPosition(BEGINNING, 0))
    assert [book.take(arrival.row) for arrival in log.arrivals() if arrival.row is not None] == [True] * 3
    assert mark(book, NOON) == found


def test_a_rate_is_that_of_the_last_whole_second(store):
    store.set_instrument(Instrument("EUR-USD", instrument_class="fx"))
    append(store, QUOTES, quote(1, 1.0, 1.5), quote(1.5, 2.0, 3.0), symbol="EUR-USD")
    for book in (at_heads(), at_heads()):
        assert book.rate("EUR", "USD", now_ns=NOON) is None
        for milliseconds, rate in ((1_000, "1.25"), (1_999, "1.25"), (2_000, "2.5")):
            found = book.rate("EUR", "USD", now_ns=NOON + milliseconds * SECOND_NS // 1_000)
            assert found is not None
            assert found[0] == Decimal(rate)


def test_without_a_rate_there_is_no_mark(store):
    append(store, TRADES, trade())
    assert mark(at_heads(), NOON, AccountState(id="ACC", currency="EUR", positions=HELD.positions)) is None
