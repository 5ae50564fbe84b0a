"""Channels of bars: what a client has after each message is what REST answers at the same commit."""

import random
from typing import Any

import orjson
import pyarrow as pa
import pytest

from stats.live import bar_feed
from stats.live.channels import Channel, parse_channel
from stats.live.followers import Replay, SymbolFollower
from stats.live.frames import FRAME_ROWS, Message
from stats.live.tokens import parse_tokens
from store.datasets import BARS, TRADES
from store.market_store import MarketStore
from store.protocol import NO_COMMIT, Append
from store.timestamps import parse_timestamp
from tests.chance import SOAK, chosen_seed
from tests.store.builders import MINUTE, SECOND, SYMBOL, amendment, batch, cancel, instant, trade
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


def write(store: MarketStore, chance: random.Random, number: int, standing: list[int]) -> None:
    """Store trades, some of them late; or cancel one. standing: the numbers of earlier batches whose first trade stands."""
    if len(standing) > 3 and chance.random() < 0.25:
        chosen = standing.pop(chance.randrange(len(standing)))
        store.correct(amendment(cancel(chosen, trade_id=f"{chosen}-0")))
        return
    times = [number + chance.randint(-5, 5) * 20 * SECOND * row for row in range(chance.randint(1, 5))]
    store.append(
        batch(
            *(
                trade(time, 100 + chance.random(), trade_id=f"{number}-{row}")
                for row, time in enumerate(times)
            )
        )
    )
    standing.append(number)


@pytest.mark.parametrize("frame_rows", [FRAME_ROWS, 2])
def test_live_bars_equal_rest_after_each_commit_and_from_each_token(
    store: MarketStore, api, monkeypatch: pytest.MonkeyPatch, frame_rows: int
):
    monkeypatch.setattr(bar_feed, "FRAME_ROWS", frame_rows)
    chance, cut = random.Random(chosen_seed()), 0
    store.append(batch(trade(0, trade_id="first")))
    follower = SymbolFollower(SYMBOL)
    watcher = Watcher(follower.add(channel()).seq, rest(api))
    tokens, standing = [], list[int]()
    for number in range(1, 25 if SOAK else 13):
        write(store, chance, number, standing)
        messages = follower.advance().messages
        cut += len(messages) > 1
        watcher.take(messages)
        assert watcher.in_order() == rest(api)
        tokens.append((watcher.seq, rest(api)))
    assert (cut > 0) is (frame_rows == 2)
    heads = {TRADES: store.log(TRADES, SYMBOL).head, BARS: follower.commits(channel())[BARS]}
    for seq, bars in tokens:
        late = Watcher(seq, bars)
        replay = Replay(channel(), parse_tokens(seq))
        assert replay.feed.seq == seq
        while messages := replay.next(heads):
            late.take(messages)
        assert late.in_order() == rest(api)
        assert late.seq == watcher.seq


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
