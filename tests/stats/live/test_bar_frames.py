"""Channels of bars: what a client has after each message is what REST answers at the same commit."""

from typing import Any

import orjson
import pyarrow as pa
import pytest

from stats.live.channels import Channel, parse_channel
from stats.live.followers import Replay, SymbolFollower
from stats.live.frames import Message
from stats.live.tokens import parse_tokens
from store.datasets import BARS, TRADES
from store.market_store import MarketStore
from store.protocol import NO_COMMIT, Append
from store.timestamps import parse_timestamp
from tests.store.builders import MINUTE, SYMBOL, amendment, batch, cancel, instant, trade
from trades.stores import market_store

pytestmark = pytest.mark.system

RANGE = {"start": "2025-01-02T11:00:00Z", "end": "2025-01-02T14:00:00Z", "resolution": "1m"}


@pytest.fixture
def store(default_store) -> MarketStore:
    return market_store()


def channel() -> Channel:
    (found,) = parse_channel(f"bars.1m:{SYMBOL}")
    assert isinstance(found, Channel)
    return found


class Watcher:
    """What a client makes of its messages: the newest version of each bar, and the last token."""

    def __init__(self, seq: str, bars: list[dict[str, Any]] | None = None) -> None:
        self.seq = seq
        self.bars = {bar["timestamp"]: bar for bar in bars or []}

    def take(self, messages: list[Message]) -> None:
        for message in messages:
            document = orjson.loads(message.payload)
            self.seq = document["seq"]
            window = parse_timestamp(document["start"]), parse_timestamp(document["end"])
            gone = [each for each in self.bars if window[0] <= parse_timestamp(each) < window[1]]
            for time in gone:
                del self.bars[time]
            self.bars |= {bar["timestamp"]: bar for bar in document["data"]}

    def in_order(self) -> list[dict[str, Any]]:
        return [self.bars[time] for time in sorted(self.bars)]


def rest(api: Any) -> list[dict[str, Any]]:
    bars: list[dict[str, Any]] = api.get(f"/api/v1/market-data/equities/{SYMBOL}/ohlcv", RANGE).json()["bars"]
    return bars


def test_a_window_whose_trades_are_cancelled_is_empty(store: MarketStore, api):
    store.append(batch(trade(0, trade_id="a"), trade(5 * MINUTE, trade_id="b")))
    follower = SymbolFollower(SYMBOL)
    watcher = Watcher(follower.add(channel()).seq, rest(api))
    store.correct(amendment(cancel(5 * MINUTE, trade_id="b")))
    messages = follower.advance().messages
    watcher.take(messages)
    last = orjson.loads(messages[-1].payload)
    assert (last["start"], last["end"], last["data"]) == ("2025-01-02T12:05:00Z", "2025-01-02T12:06:00Z", [])
    assert watcher.in_order() == rest(api)


def test_an_instrument_that_is_declared_anew_resyncs_its_bars_only(store: MarketStore, api):
    store.append(batch(trade(0)))
    follower = SymbolFollower(SYMBOL)
    follower.add(channel())
    (rows,) = parse_channel(f"trades:{SYMBOL}")
    assert isinstance(rows, Channel)
    follower.add(rows)
    follower.advance()
    path = f"/api/v1/instruments/{SYMBOL}"
    assert (
        api.call("PUT", path, orjson.dumps({"class": "equity", "bar_policy": "us_equities"})).status_code
        == 200
    )
    (message,) = follower.advance().messages
    document = orjson.loads(message.payload)
    assert (document["op"], document["ch"]) == ("resync", f"bars.1m:{SYMBOL}")
    assert document["seq"] == store.log(TRADES, SYMBOL).head.token
    assert follower.advance().messages == []


def test_bars_that_are_stored_alone_are_resumed_from_their_own_token(store: MarketStore, api):
    rows = [
        {
            **dict.fromkeys(BARS.schema.names),
            "timestamp": instant(minute * MINUTE),
            "resolution": "1m",
            **dict.fromkeys(("open", "high", "low", "close"), 10.0),
            "volume": 5.0,
        }
        for minute in range(2)
    ]
    for row in rows:
        batch_of_bars = pa.RecordBatch.from_pylist([row], schema=BARS.schema)
        store.append(Append(BARS, SYMBOL, batch_of_bars, "key:1"))
    follower = SymbolFollower(SYMBOL)
    seq = follower.add(channel()).seq
    first = store.log(BARS, SYMBOL).at(1).commit.token
    assert seq == f"bars={store.log(BARS, SYMBOL).head.token}"
    late = Watcher(f"bars={first}", rest(api)[:1])
    replay = Replay(channel(), parse_tokens(f"bars={first}"))
    while messages := replay.next({TRADES: NO_COMMIT, BARS: store.log(BARS, SYMBOL).head}):
        late.take(messages)
    assert late.in_order() == rest(api)
    assert late.seq == seq
