"""What a client gets: every message from its token on, or an end with the token to resume from."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest

from front.lanes import Lane
from stats.live.bar_feed import BarMessage
from stats.live.channels import row_channel
from stats.live.connection import IDLE_SECONDS, MOST_WAITING, STALLED_SECONDS, Connection
from stats.live.frames import Message, StateMessage
from stats.live.hub import Hub
from stats.live.log_tail import LogTail
from stats.live.tokens import parse_tokens
from stats.live.wires import OwnWire
from store.datasets import TRADES
from store.exceptions import DataDamaged
from store.market_store import MarketStore
from store.protocol import Window
from tests.chance import SOAK, chosen_seed
from tests.patience import PATIENCE_SECONDS
from tests.stats.live.sockets import HeldSocket
from tests.store.builders import SYMBOL, batch, trade
from trades.stores import market_store

CHANNEL = f"trades:{SYMBOL}"
in_thread = Lane("live", threads=2, after=lambda: None).run


@pytest.fixture
def store(default_store) -> MarketStore:
    return market_store()


@asynccontextmanager
async def running_hub() -> AsyncIterator[Hub]:
    hub = Hub(in_thread, in_thread, in_thread)
    hub.start()
    try:
        yield hub
    finally:
        hub.stop()


async def eventually(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():
            await asyncio.sleep(0.005)


async def subscribed(hub: Hub, socket: HeldSocket, token: str | None = None, **options: Any) -> Connection:
    """A connection that is subscribed to the channel, from a token or from now on."""
    connection = Connection(socket, hub, in_thread, OwnWire())
    tokens = {} if token is None else {CHANNEL: parse_tokens(token)}
    usual: dict[str, Any] = {"is_latest": False}
    begun, begin = await connection.subscribe([row_channel("trades", SYMBOL)], tokens, **usual | options)
    connection.send({"op": "subscribed", "channels": begun})
    begin()
    return connection


def _has_come_to(socket: HeldSocket, seq: str) -> bool:
    return seqs(socket)[-1:] == [seq]


def run(test: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(test())  # type: ignore[arg-type]


def message(number: int, size: int = 0) -> Message:
    return Message(CHANNEL, str(number), payload_of(number, size))


def payload_of(number: int, size: int = 0) -> bytes:
    return b'{"seq":"%d","data":"%s"}' % (number, b"x" * size)


def bars(number: int, start: int, end: int, *, has_final: bool = False) -> BarMessage:
    """The bars of a window, in a frame of 10 KB."""
    return BarMessage(
        CHANNEL, str(number), payload_of(number, 10_000), Window(start, end), has_final=has_final
    )


def seqs(socket: HeldSocket) -> list[str]:
    return [each["seq"] for each in socket.messages if "seq" in each]


def test_clients_that_begin_anywhere_get_the_same_without_a_hole(store: MarketStore):
    chance = random.Random(chosen_seed())
    store.append(batch(trade(0, trade_id="begin")))

    async def test() -> None:
        async with running_hub() as hub:
            watcher = HeldSocket()
            await subscribed(hub, watcher, "0")
            sockets = []
            for number in range(30 if SOAK else 10):
                rows = (
                    trade(number * 1000 + row, trade_id=f"{number}-{row}")
                    for row in range(chance.randint(1, 900))
                )
                await in_thread(store.append, batch(*rows))
                hub.look(SYMBOL)
                known = seqs(watcher)
                socket = HeldSocket(is_held=chance.random() < 0.3)
                sockets.append((known[-1] if known else "0", socket))
                await subscribed(hub, socket, sockets[-1][0])
                socket.take_all()
            last = f"{store.log(TRADES, SYMBOL).head.token}."
            await eventually(lambda: seqs(watcher)[-1].startswith(last))
            expected = seqs(watcher)
            for token, socket in sockets:
                await eventually(partial(_has_come_to, socket, expected[-1]))
                assert seqs(socket) == expected[expected.index(token) + 1 if token != "0" else 0 :]
                frames = socket.messages[1:]
                assert [each["prev"] for each in frames[1:]] == [each["seq"] for each in frames[:-1]]

    run(test)


def test_a_client_for_which_too_many_messages_wait_is_cut_off_with_its_token(store: MarketStore):
    store.append(batch(trade(0)))

    async def test() -> None:
        async with running_hub() as hub:
            socket = HeldSocket()
            connection = await subscribed(hub, socket)
            subscription = connection.subscriptions[CHANNEL]
            socket.is_held = True
            written = 0
            for number in range(2 * MOST_WAITING):
                connection.deliver(subscription, message(number, 10_000))
                written = number if connection.ended is None else written
            closing = socket.messages[-1]
            assert socket.unsent_bytes < 2**17
            assert MOST_WAITING <= written < MOST_WAITING + 10
            assert socket.closed == (4413, "slow_consumer")
            assert (closing["op"], closing["code"]) == ("closing", "slow_consumer")
            assert closing["from"] == {CHANNEL: seqs(socket)[-1]}
            assert 0 < closing["retry_after"] <= 3
            assert not connection.subscriptions

    run(test)


def test_what_waits_is_sent_in_order_as_it_is_taken(store: MarketStore):
    store.append(batch(trade(0)))

    async def test() -> None:
        async with running_hub() as hub:
            socket = HeldSocket()
            connection = await subscribed(hub, socket)
            subscription = connection.subscriptions[CHANNEL]
            socket.is_held = True
            for number in range(100):
                connection.deliver(subscription, message(number, 10_000))
            assert len(seqs(socket)) < 10
            socket.take_all()
            await eventually(lambda: seqs(socket)[-1] == "99")
            assert seqs(socket) == [str(number) for number in range(100)]

    run(test)


@pytest.mark.parametrize("is_state", [True, False])
def test_what_may_be_replaced_is_replaced_by_the_newest(store: MarketStore, is_state: bool):
    store.append(batch(trade(0)))
    kind = StateMessage if is_state else Message

    async def test() -> None:
        async with running_hub() as hub:
            socket = HeldSocket()
            connection = await subscribed(hub, socket, is_latest=not is_state)
            subscription = connection.subscriptions[CHANNEL]
            socket.is_held = True
            for number in range(2 * MOST_WAITING):
                connection.deliver(subscription, kind(CHANNEL, str(number), payload_of(number, 10_000)))
            written = seqs(socket)
            assert connection.ended is None
            assert len(written) < 10
            socket.take_all()
            await eventually(lambda: seqs(socket)[-1] == f"{2 * MOST_WAITING - 1}")
            assert seqs(socket) == [*written, f"{2 * MOST_WAITING - 1}"]

    run(test)


def test_of_bars_only_open_ones_in_the_same_window_are_replaced(store: MarketStore):
    store.append(batch(trade(0)))

    async def test() -> None:
        async with running_hub() as hub:
            socket = HeldSocket()
            connection = await subscribed(hub, socket, is_latest=True)
            subscription = connection.subscriptions[CHANNEL]
            socket.is_held = True
            connection.send({"op": "pong", "data": "x" * 2**17})
            sent = [
                bars(1, 0, 1),
                bars(2, 0, 1),
                bars(3, 0, 2, has_final=True),
                bars(4, 0, 2),
                bars(5, 1, 2),
                bars(6, 1, 3),
            ]
            for each in sent:
                connection.deliver(subscription, each)
            assert seqs(socket) == []
            socket.take_all()
            await eventually(lambda: seqs(socket)[-1:] == ["6"])
            assert seqs(socket) == ["3", "4", "6"]

    run(test)


def test_a_log_that_cannot_be_read_ends_its_subscriptions_with_an_error(store: MarketStore, monkeypatch):
    store.append(batch(trade(0)))

    def read(_tail: LogTail, _upto: int | None = None) -> Any:
        raise DataDamaged("a block")

    async def test() -> None:
        async with running_hub() as hub:
            socket = HeldSocket()
            connection = await subscribed(hub, socket)
            monkeypatch.setattr(LogTail, "read", read)
            hub.look(SYMBOL)
            await eventually(lambda: not connection.subscriptions)
            assert (socket.messages[-1]["op"], socket.messages[-1]["code"]) == ("error", "data_damaged")
            assert connection.ended is None

    run(test)


def test_a_channel_that_takes_the_place_of_one_that_is_left_is_followed(store: MarketStore, monkeypatch):
    store.append(batch(trade(0)))

    async def test() -> None:
        async with running_hub() as hub:
            old = await hub.open(row_channel("trades", SYMBOL))
            (follower,) = hub._followed.values()
            async with follower.lock:
                hub.leave(old)
                await asyncio.sleep(0)
                # It failed meanwhile, and its other user was the first to see it.
                follower.channels.clear()
                hub._forget_unused(follower)
                socket = HeldSocket()
                await subscribed(hub, socket)
            assert hub._removing is not None
            await hub._removing
            store.append(batch(trade(1)))
            hub.look(SYMBOL)
            await eventually(lambda: len(seqs(socket)) == 1)

    run(test)


def test_a_silent_client_and_one_that_takes_nothing_are_cut_off(store: MarketStore):
    store.append(batch(trade(0)))

    async def test() -> None:
        async with running_hub() as hub:
            now = asyncio.get_running_loop().time()
            silent, stalled = HeldSocket(), HeldSocket()
            connections = [await subscribed(hub, silent), await subscribed(hub, stalled)]
            stalled.is_held = True
            connections[1].send({"op": "pong"})
            for connection in connections:
                connection.check_liveness(now + 1)
                assert connection.ended is None
            connections[1].check_liveness(now + 2 + STALLED_SECONDS)
            assert stalled.closed == (4413, "slow_consumer")
            connections[0].check_liveness(now + IDLE_SECONDS + 1)
            assert silent.closed == (4408, "idle")

    run(test)
