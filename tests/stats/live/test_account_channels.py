"""Channels of accounts: every event with rows, in order, from any number on; and the portfolio's newest state."""

import asyncio
import random
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from stats.live import account_follower
from stats.live.accounts import ACCOUNT_FEEDS
from stats.live.channels import account_channel
from stats.live.connection import Connection
from stats.live.frames import StateMessage
from stats.live.hub import Hub, LiveChannel
from stats.live.tokens import parse_event_number
from stats.live.wires import OwnWire
from tests.chance import chosen_seed
from tests.stats.live.memory_accounts import MemoryAccounts
from tests.stats.live.sockets import HeldSocket
from tests.stats.live.test_connection import eventually, in_thread, run, running_hub

pytestmark = pytest.mark.system

ORDERS, ALERTS, PORTFOLIO = "orders:A1", "alerts:A1", "portfolio:A1"


@pytest.fixture
def accounts(default_store) -> Iterator[MemoryAccounts]:
    found = MemoryAccounts("A1", "A2")
    with ACCOUNT_FEEDS.replaced(found):
        yield found


class FeedClient:
    """A client of the hub. begun: the tokens that it was told."""

    def __init__(self, hub: Hub) -> None:
        self.socket = HeldSocket()
        self.connection = Connection(self.socket, hub, in_thread, OwnWire())
        self.begun: dict[str, str] = {}

    async def subscribe(self, *names: str, **tokens: str) -> None:
        channels = [account_channel(*name.split(":")) for name in names]
        parsed = {f"{kind}:A1": parse_event_number(token) for kind, token in tokens.items()}
        self.begun, begin = await self.connection.subscribe(channels, parsed, is_latest=False)
        begin()

    def frames(self, channel: str) -> list[dict[str, Any]]:
        return [each for each in self.socket.messages if each.get("ch") == channel and "data" in each]

    def numbers(self, channel: str) -> list[int]:
        return [int(each["seq"]) for each in self.frames(channel)]

    def has_joined(self, channel: str) -> bool:
        """Whether it reads with all others, and no longer by itself."""
        subscription = self.connection.subscriptions[channel]
        return subscription in subscription.live.subscribers

    def is_chained(self, channel: str) -> bool:
        """Whether each frame names the one before it, and the first one the token that was told."""
        frames = self.frames(channel)
        seqs = [self.begun[channel], *(each["seq"] for each in frames)]
        return [each["prev"] for each in frames] == seqs[:-1]


def an_order(number: int) -> dict[str, Any]:
    return {"order_id": f"o{number}", "state": "working"}


def record_some(accounts: MemoryAccounts, chance: random.Random) -> None:
    for _ in range(chance.choice([1, 3, 250])):
        rows = {"orders": [an_order(1)] * chance.randrange(3)} if chance.random() < 0.6 else {}
        alerts = {"alerts": [{"kind": "k"}]} if chance.random() < 0.1 else {}
        accounts.record("A1", **rows, **alerts)


def test_clients_that_begin_anywhere_get_each_event_of_the_channel_once(accounts: MemoryAccounts):
    chance = random.Random(chosen_seed())

    async def test() -> None:
        async with running_hub() as hub:
            clients: list[tuple[FeedClient, int]] = []
            for _ in range(20):
                record_some(accounts, chance)
                if chance.random() < 0.7:
                    hub.look("@A1")
                head = accounts.head("A1") or 0
                begin = chance.choice([0, head, chance.randint(0, head)])
                client = FeedClient(hub)
                await client.subscribe(ORDERS, ALERTS, orders=str(begin), alerts=str(begin))
                clients.append((client, begin))
                await asyncio.sleep(chance.choice([0, 0.01]))
            for client, begin in clients:
                for kind in ("orders", "alerts"):
                    expected = [number for number in accounts.numbers("A1", kind) if number > begin]
                    channel = f"{kind}:A1"
                    await eventually(partial(_has, client, channel, expected))
                    assert client.is_chained(channel)
                    await eventually(partial(client.has_joined, channel))

    run(test)


def _has(client: FeedClient, channel: str, expected: list[int]) -> bool:
    return client.numbers(channel) == expected


def test_a_frame_has_the_rows_of_one_event(accounts: MemoryAccounts):
    accounts.record("A1")

    async def test() -> None:
        async with running_hub() as hub:
            client = FeedClient(hub)
            await client.subscribe(ORDERS)
            accounts.record("A1")
            accounts.record("A1", orders=[an_order(1), an_order(2)])
            accounts.record("A2", orders=[an_order(3)])
            hub.look("@A1")
            await eventually(lambda: client.frames(ORDERS))
            (frame,) = client.frames(ORDERS)
            assert frame.pop("sent_at")
            assert frame == {
                "ch": ORDERS,
                "seq": "3",
                "prev": "0",
                "at": "1970-01-01T00:00:00.000003Z",
                "data": [an_order(1), an_order(2)],
            }

    run(test)


def test_without_a_bell_the_events_are_found(accounts: MemoryAccounts):
    async def test() -> None:
        async with running_hub() as hub:
            client = FeedClient(hub)
            await client.subscribe(ORDERS)
            accounts.record("A1", orders=[an_order(1)])
            await eventually(lambda: client.frames(ORDERS))

    run(test)


def test_one_reader_serves_all_clients(accounts: MemoryAccounts):
    async def test() -> None:
        async with running_hub() as hub:
            clients = [FeedClient(hub) for _ in range(50)]
            for client in clients:
                await client.subscribe(ORDERS)
            accounts.reads = 0
            accounts.record("A1", orders=[an_order(1)])
            hub.look("@A1")
            await eventually(lambda: all(client.frames(ORDERS) for client in clients))
            assert accounts.reads < len(clients)

    run(test)


def test_a_number_that_the_account_has_not_reached_is_answered_resync(accounts: MemoryAccounts):
    accounts.record("A1", orders=[an_order(1)])
    accounts.record("A1")

    async def test() -> None:
        async with running_hub() as hub:
            client = FeedClient(hub)
            await client.subscribe(ORDERS, orders="57")
            assert client.begun == {ORDERS: "1"}
            assert client.socket.messages == [{"op": "resync", "ch": ORDERS, "seq": "1"}]
            accounts.record("A1", orders=[an_order(2)])
            await eventually(lambda: client.numbers(ORDERS) == [3])
            assert client.is_chained(ORDERS)

    run(test)


def test_clients_of_a_restored_account_are_told(accounts: MemoryAccounts):
    for number in range(5):
        accounts.record("A1", orders=[an_order(number)])

    async def test() -> None:
        async with running_hub() as hub:
            client = FeedClient(hub)
            await client.subscribe(ORDERS)
            accounts.restore("A1", 2)
            await eventually(lambda: client.socket.messages)
            assert client.socket.messages == [{"op": "resync", "ch": ORDERS, "seq": "2"}]
            accounts.record("A1", orders=[an_order(3)])
            await eventually(lambda: client.frames(ORDERS))
            assert [(each["seq"], each["prev"]) for each in client.frames(ORDERS)] == [("3", "2")]

    run(test)


@pytest.mark.parametrize("tokens", [{}, {"portfolio": "0"}, {"portfolio": "99"}])
def test_the_portfolio_begins_with_the_state(accounts: MemoryAccounts, tokens: dict[str, str]):
    accounts.record("A1")

    async def test() -> None:
        async with running_hub() as hub:
            client = FeedClient(hub)
            await client.subscribe(PORTFOLIO, **tokens)
            assert client.begun == {PORTFOLIO: "1"}
            (state,) = client.frames(PORTFOLIO)
            assert (state["seq"], state["data"]) == ("1", [{"events": 1, "price": 0}])
            accounts.record("A1")
            hub.look("@A1")
            await eventually(lambda: client.numbers(PORTFOLIO) == [1, 2])
            later = FeedClient(hub)
            await later.subscribe(PORTFOLIO)
            assert later.frames(PORTFOLIO)[0]["data"] == [{"events": 2, "price": 0}]

    run(test)


def test_the_portfolio_is_read_a_few_times_a_second_and_sent_if_it_has_changed(accounts: MemoryAccounts):
    channel = account_channel("portfolio", "A1")
    follower = account_follower.AccountFollower("A1", is_told=lambda: False)
    follower.add(channel)
    for _ in range(20):
        accounts.record("A1")
        assert follower.advance().messages == []
    _let_pass(follower, account_follower._PAUSE_NS)
    assert [each.seq for each in follower.advance().messages] == ["20"]
    _let_pass(follower, account_follower._PAUSE_WITHOUT_EVENT_NS)
    assert follower.advance().messages == []
    accounts.price = 7
    _let_pass(follower, account_follower._PAUSE_NS)
    assert follower.advance().messages == []
    _let_pass(follower, account_follower._PAUSE_WITHOUT_EVENT_NS)
    assert [type(each) for each in follower.advance().messages] == [StateMessage]


def test_an_account_without_events_is_not_read_while_notifications_come(accounts: MemoryAccounts):
    is_told = True
    follower = account_follower.AccountFollower("A1", is_told=lambda: is_told)
    follower.add(account_channel("orders", "A1"))
    assert follower.due_ns is not None
    assert follower.due_ns > time.time_ns() + account_follower._PAUSE_WITHOUT_EVENT_NS
    follower.add(account_channel("portfolio", "A1"))
    # Prices move without events.
    assert follower.due_ns <= time.time_ns() + account_follower._PAUSE_WITHOUT_EVENT_NS
    accounts.record("A1")
    follower.advance()
    assert follower.due_ns <= time.time_ns() + account_follower._PAUSE_NS
    is_told = False
    follower.advance()
    assert follower.due_ns == 0


def _let_pass(follower: account_follower.AccountFollower, pause_ns: int) -> None:
    (feed,) = follower._feeds.values()
    assert isinstance(feed, account_follower.PortfolioFeed)
    feed._read_ns -= pause_ns


def test_a_client_that_takes_nothing_gets_the_newest_portfolio_only(accounts: MemoryAccounts, monkeypatch):
    monkeypatch.setattr(account_follower, "_PAUSE_NS", 0)

    async def test() -> None:
        async with running_hub() as hub:
            client = FeedClient(hub)
            await client.subscribe(PORTFOLIO)
            client.socket.is_held = True
            client.connection.send({"op": "pong", "text": "x" * 100_000})
            for number in range(1, 10):
                accounts.record("A1")
                hub.look("@A1")
                (live,) = (each.live for each in client.connection.subscriptions.values())
                await eventually(partial(_is_at, live, str(number)))
            client.socket.take_all()
            await eventually(lambda: client.numbers(PORTFOLIO)[-1] == 9)
            assert client.numbers(PORTFOLIO) == [0, 9]

    run(test)


def _is_at(live: LiveChannel, seq: str) -> bool:
    return live.seq == seq


def test_without_the_database_the_channels_wait(accounts: MemoryAccounts, monkeypatch):
    monkeypatch.setattr(account_follower, "_PAUSE_AFTER_FAILURE_NS", 0)

    async def test() -> None:
        async with running_hub() as hub:
            client = FeedClient(hub)
            await client.subscribe(ORDERS, PORTFOLIO)
            accounts.is_away, accounts.reads = True, 0
            accounts.record("A1", orders=[an_order(1)])
            await eventually(lambda: accounts.reads > 2)
            accounts.is_away = False
            await eventually(lambda: client.numbers(ORDERS) == [1])
            assert client.connection.ended is None

    run(test)


def test_a_channel_that_fails_costs_no_other_account_its_messages(accounts: MemoryAccounts, monkeypatch):
    async def test() -> None:
        async with running_hub() as hub:
            watcher, client = FeedClient(hub), FeedClient(hub)
            await watcher.subscribe(ORDERS)
            await client.subscribe(ORDERS, PORTFOLIO)
            monkeypatch.setattr(account_follower, "_PAUSE_NS", 0)
            accounts.price = object()
            accounts.record("A1", orders=[an_order(1)])
            hub.look("@A1")
            await eventually(lambda: client.connection.ended)
            assert client.socket.closed == (4500, "server_error")
            assert client.numbers(ORDERS) == [1]
            accounts.record("A1", orders=[an_order(2)])
            await eventually(lambda: watcher.numbers(ORDERS) == [1, 2])

    run(test)
