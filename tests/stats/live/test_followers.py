"""Messages of rows and corrections, and clients that begin somewhere in a log."""

import random
from collections.abc import Iterable, Iterator
from typing import Any

import orjson
import pytest

from stats.live.channels import row_channel
from stats.live.followers import Replay, SymbolFollower
from stats.live.frames import Message
from stats.live.log_tail import LogTail
from stats.live.tokens import parse_tokens
from store.datasets import TRADES, TRADING_STATUS
from store.exceptions import DataDamaged, StoreBusy
from store.market_store import MarketStore
from store.protocol import Append, CommitId
from tests.chance import chosen_seed
from tests.store.builders import SYMBOL, amendment, batch, cancel, correct, trade
from trades.stores import market_store

CHANNEL = f"trades:{SYMBOL}"


@pytest.fixture
def store(default_store) -> MarketStore:
    return market_store()


def documents(messages: list[Message]) -> list[dict[str, Any]]:
    return [orjson.loads(message.payload) for message in messages]


def replayed(seq: str, upto: CommitId) -> Iterator[dict[str, Any]]:
    """What a client gets that begins at a token."""
    replay = Replay(row_channel("trades", SYMBOL), parse_tokens(seq))
    while messages := replay.next({TRADES: upto}):
        yield from documents(messages)


def test_a_frame_has_the_rows_of_one_commit_as_rest_answers_them(store: MarketStore, api):
    store.append(batch(trade(0)))
    follower = SymbolFollower(SYMBOL)
    feed = follower.add(row_channel("trades", SYMBOL))
    begun = feed.seq
    store.append(batch(trade(1, 101.5, 7.0, trade_id="a", conditions="odd_lot"), trade(2)))
    head = store.log(TRADES, SYMBOL).head
    (frame,) = documents(follower.advance().messages)
    assert (frame["ch"], frame["prev"], frame["seq"]) == (CHANNEL, begun, f"{head.token}.1")
    answer = api.get(f"/api/v1/market-data/equities/{SYMBOL}/trades", {"last": 2})
    assert frame["data"] == answer.json()["trades"]
    assert follower.advance().messages == []


def test_corrections_come_on_the_channel_of_the_rows(store: MarketStore):
    store.append(batch(trade(1, trade_id="a"), trade(2, trade_id="b")))
    follower = SymbolFollower(SYMBOL)
    follower.add(row_channel("trades", SYMBOL))
    store.correct(amendment(cancel(1, trade_id="a"), correct(2, trade_id="b", new={"price": 9.0})))
    (frame,) = documents(follower.advance().messages)
    cancelled, corrected = frame["data"]
    assert frame["kind"] == "corrections"
    assert (cancelled["action"], cancelled["commit"], cancelled["ordinal"], cancelled["after"]) == (
        "cancel",
        1,
        0,
        None,
    )
    assert (corrected["before"]["price"], corrected["after"]["price"]) == (100.0, 9.0)


def test_a_declaration_is_a_frame_without_rows(store: MarketStore):
    store.append(batch(trade(1)))
    follower = SymbolFollower(SYMBOL)
    follower.add(row_channel("trades", SYMBOL))
    store.append(batch(complete_until=trade(10)["timestamp"]))
    (frame,) = documents(follower.advance().messages)
    assert frame["data"] == []
    assert frame["seq"] == store.log(TRADES, SYMBOL).head.token
    assert frame["complete_until"].startswith("2025-01-02T12:00:00")


def test_a_log_that_does_not_exist_yet_is_followed_from_its_first_row(store: MarketStore):
    follower = SymbolFollower(SYMBOL)
    feed = follower.add(row_channel("trades", SYMBOL))
    assert (feed.seq, follower.advance().messages) == ("0-000000", [])
    store.append(batch(trade(1)))
    (frame,) = documents(follower.advance().messages)
    assert frame["prev"] == "0-000000"


def test_from_any_token_nothing_is_missed_or_repeated(store: MarketStore):
    chance = random.Random(chosen_seed())
    follower = SymbolFollower(SYMBOL)
    follower.add(row_channel("trades", SYMBOL))
    frames: list[dict[str, Any]] = []
    for number in range(12):
        store.append(_random_batch(chance, number))
        if chance.random() < 0.4:
            store.correct(amendment(cancel(number * 10_000, trade_id=f"{number}-0")))
        if chance.random() < 0.6:
            frames += documents(follower.advance().messages)
    frames += documents(follower.advance().messages)
    head = store.log(TRADES, SYMBOL).head
    assert [frame["prev"] for frame in frames[1:]] == [frame["seq"] for frame in frames[:-1]]
    for index, frame in enumerate(frames):
        assert without_times(replayed(frame["prev"], head)) == without_times(frames[index:])


def without_times(frames: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The frames without the times at which they were sent."""
    return [{name: value for name, value in frame.items() if name != "sent_at"} for frame in frames]


def _random_batch(chance: random.Random, number: int) -> Append:
    count = chance.choice([1, 3, 499, 500, 501, 1_200])
    return batch(*(trade(number * 10_000 + row, trade_id=f"{number}-{row}") for row in range(count)))


def test_a_client_may_begin_inside_of_a_commit(store: MarketStore):
    store.append(batch(*(trade(row) for row in range(5))))
    head = store.log(TRADES, SYMBOL).head
    (frame,) = replayed(f"{head.token}.1", head)
    assert (frame["prev"], frame["seq"], len(frame["data"])) == (f"{head.token}.1", f"{head.token}.4", 3)
    assert list(replayed(head.token, head)) == list(replayed(f"{head.token}.4", head)) == []


def test_a_log_that_is_busy_costs_no_message_of_another(store: MarketStore, monkeypatch):
    follower = SymbolFollower(SYMBOL)
    follower.add(row_channel("trades", SYMBOL))
    follower.add(row_channel("status", SYMBOL))
    store.append(batch(trade(1)))
    usual = LogTail.read

    def read(tail: LogTail, upto: int | None = None) -> Any:
        if tail is follower._readers[TRADING_STATUS]:
            raise StoreBusy("suspended")
        return usual(tail, upto)

    with monkeypatch.context() as patch:
        patch.setattr(LogTail, "read", read)
        found = follower.advance()
        assert (len(found.messages), found.is_stale) == (1, True)
    assert follower.advance().messages == []


def test_a_damaged_log_fails_its_own_channels_only(store: MarketStore, monkeypatch):
    follower = SymbolFollower(SYMBOL)
    follower.add(row_channel("trades", SYMBOL))
    follower.add(row_channel("status", SYMBOL))
    store.append(batch(trade(1)))

    def read(_upto: int | None = None) -> Any:
        raise DataDamaged("a block")

    monkeypatch.setattr(follower._readers[TRADING_STATUS], "read", read)
    found = follower.advance()
    assert [message.channel for message in found.messages] == [CHANNEL]
    assert [*found.failed] == [f"status:{SYMBOL}"]
