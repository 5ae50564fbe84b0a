"""What the live feed costs its callers: replays, connections, and channels of all symbols."""

import asyncio
import gc
from collections.abc import Hashable, Iterator, Sequence
from time import thread_time
from types import SimpleNamespace
from typing import Any

import pytest
from rest_framework.exceptions import PermissionDenied

from ratelimit.callers import Caller
from ratelimit.credentials.identify import Identity
from ratelimit.limits import services
from ratelimit.limits.open_calls import OpenCalls
from stats.live import callers, client
from stats.live.application import LiveFeed
from stats.live.callers import ConnectionLimits
from stats.live.channels import new_channels, parse_channel, row_channel
from stats.live.connection import Connection, Wildcard
from stats.live.ends import IDLE
from stats.live.followers import Replay
from stats.live.hub import Lanes
from stats.live.tokens import parse_tokens
from stats.live.wires import OwnWire
from store.declarations import Dataset
from store.exceptions import UnknownSymbol
from store.market_store import MarketStore
from tests.api_client import make_key
from tests.chance import SOAK
from tests.memory_store import MemoryStore
from tests.patience import is_kept
from tests.stats.live.sockets import HeldSocket
from tests.stats.live.test_account_access import Talk, in_database, talking
from tests.stats.live.test_connection import eventually, in_thread, run, running_hub
from tests.store.builders import batch, trade
from trades.stores import market_store
from web.requests.work import WorkKind, count_work

CALLER = Caller("key:1", "desk", "default", 10, frozenset(), sensitivity="confidential")
FOLLOWED = 3_000 if SOAK else 300
MOST_SECONDS = 0.05
ALL: Any = parse_channel("trades:*")[0]


@pytest.fixture
def store(default_store) -> MarketStore:
    return market_store()


@pytest.fixture
def owed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The tokens of each debt."""
    debts: list[int] = []

    def charge_debt(_caller: Caller, _access: Any, *, tokens: int) -> Any:
        debts.append(tokens)
        return SimpleNamespace(bucket=None)

    monkeypatch.setattr(services, "charge_debt", charge_debt)
    return debts


def limits() -> ConnectionLimits:
    return ConnectionLimits(OpenCalls(1), Lanes(*[in_thread] * len(Lanes._fields)))


def test_rows_that_are_read_again_are_charged_beyond_the_first_thousand(owed: list[int]):
    async def scene() -> None:
        connection = limits()
        for rows in (600, 400, 1, 4_999):
            await connection.read_old(CALLER, count_work, WorkKind.ROWS, rows)
        with pytest.raises(ZeroDivisionError):
            await connection.read_old(CALLER, _fails, 3_000)

    run(scene)
    assert owed == [1, 4, 3]


def _fails(rows: int) -> None:
    count_work(WorkKind.ROWS, rows)
    raise ZeroDivisionError


def test_a_replay_that_takes_long_is_charged_by_its_time(owed: list[int], monkeypatch, settings):
    settings.PROCESSOR_MS_PER_TOKEN = 10
    times_ns = iter((0, 59_000_000))
    monkeypatch.setattr("web.requests.work.time.thread_time_ns", lambda: next(times_ns))
    run(lambda: limits().read_old(CALLER, count_work, WorkKind.ROWS, 2_000))
    assert owed == [4]


def test_the_rows_of_a_replay_are_counted(store: MarketStore, owed: list[int]):
    store.append(batch(*(trade(number, trade_id=str(number)) for number in range(2_500))))

    async def scene() -> None:
        connection = limits()
        channel = row_channel("trades", "AAPL")
        replay = await connection.read_old(CALLER, Replay, channel, parse_tokens("0"))
        head = {channel.datasets[0]: store.log(*channel.log).head}
        assert await connection.read_old(CALLER, replay.next, head)

    run(scene)
    assert sum(owed) >= 2


def test_a_connection_without_the_scope_is_refused_and_charged(monkeypatch: pytest.MonkeyPatch):
    charged: list[int] = []

    def admit(_caller: Caller, _access: Any, *, cost: int) -> Any:
        charged.append(cost)
        return SimpleNamespace(admitted=True)

    monkeypatch.setattr(callers, "admit", admit)
    with pytest.raises(PermissionDenied, match="market:read"):
        callers.check_caller(Identity(CALLER))
    assert charged == [1]


@pytest.mark.parametrize(("symbols", "tokens"), [(0, 0), (1_000, 0), (1_001, 1), (10_000, 9)])
def test_a_wildcard_costs_a_token_per_thousand_symbols(monkeypatch, symbols: int, tokens: int):
    charged: list[int] = []
    monkeypatch.setattr(client, "charge", lambda _caller, cost: charged.append(cost))
    monkeypatch.setattr(client, "symbols_of_all", lambda _all: [f"S{number}" for number in range(symbols)])
    _, wildcards, _ = client._channels(["trades:*"], {}, CALLER)
    assert [(each, len(channels)) for each, channels in wildcards] == [(ALL, symbols)]
    # The message was charged one.
    assert charged == [tokens]


def test_only_symbols_that_a_wildcard_does_not_know_are_looked_up(store: MarketStore):
    for symbol in ("A", "B", "C"):
        store.append(batch(trade(0), symbol=symbol))
    known = {f"trades:{symbol}" for symbol in "ABC"}
    assert new_channels(ALL, [known, {*known, "trades:D"}]) == []
    assert [each.name for each in new_channels(ALL, [known, {"trades:A", "trades:B"}])] == ["trades:C"]


class LoopTime:
    """The most processor time that the event loop's thread uses between two ticks: a gap that no other program makes."""

    def __init__(self) -> None:
        self.longest = 0.0

    async def tick(self) -> None:
        last = thread_time()
        while True:
            await asyncio.sleep(0.001)
            now = thread_time()
            self.longest, last = max(self.longest, now - last), now


@pytest.fixture
def no_collection() -> Iterator[None]:
    """No garbage collection: this process has many times the objects of a web process."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.seconds
@pytest.mark.usefixtures("no_collection")
def test_channels_of_all_symbols_begin_and_end_without_a_gap(settings):
    settings.MARKET_STORES = {"default": {"BACKEND": f"{__name__}.ManySymbols", "OPTIONS": {}}}
    channels = new_channels(ALL, [set()])
    assert len(channels) == FOLLOWED

    async def scene() -> None:
        async with running_hub() as hub:
            gaps = LoopTime()
            ticking = asyncio.create_task(gaps.tick())
            clients = [wildcard_client(hub) for _ in range(2)]
            for each in clients:
                wildcard = each.connection.wildcards[ALL.name]
                await each._subscribe_new(wildcard, channels, {}, from_beginning=False)
                assert len(each.connection.subscriptions) == FOLLOWED
            await asyncio.sleep(0.3)
            left = await clients[0]._unsubscribe([ALL.name])
            assert len(left) == FOLLOWED + 1
            clients[1].connection.end(IDLE)
            await eventually(lambda: not hub._followed)
            ticking.cancel()
            assert is_kept(MOST_SECONDS, gaps.longest)

    run(scene)


@pytest.mark.system
@pytest.mark.django_db(transaction=True)
def test_an_unsubscribe_that_names_something_wrong_ends_nothing(api, store: MarketStore):
    store.append(batch(trade(0)))

    async def scene() -> None:
        async with talking() as talk:
            await talk.ask(op="subscribe", channels=["trades:AAPL", "quotes:AAPL", "trades:*"])
            await eventually(lambda: len(talk.socket.messages) == 2)
            for wrong in ("trades:NOTSTORED", "trades", "bars.1m:AAPL?hours=never"):
                for names in (["trades:AAPL", "trades:*", wrong], [wrong, "quotes:AAPL"]):
                    assert (await talk.ask(op="unsubscribe", channels=names))["op"] == "error"
            answer = await talk.ask(op="unsubscribe", channels=["trades:*", "trades:AAPL", "quotes:AAPL"])
            assert sorted(answer["channels"]) == ["quotes:AAPL", "trades:*", "trades:AAPL"]

    run(scene)


@pytest.mark.system
@pytest.mark.django_db(transaction=True)
def test_a_channel_whose_symbol_is_no_longer_known_can_be_left(api, store: MarketStore, monkeypatch):
    store.append(batch(trade(0)))

    def refuse(_text: str) -> Any:
        raise UnknownSymbol("AAPL")

    async def scene() -> None:
        async with talking() as talk:
            await talk.ask(op="subscribe", channels=["trades:AAPL"])
            monkeypatch.setattr(client, "parse_channel", refuse)
            answer = await talk.ask(op="unsubscribe", channels=["trades:AAPL"])
            assert answer["channels"] == ["trades:AAPL"]

    run(scene)


def wildcard_client(hub: Any) -> client.Client:
    found: Any = client.Client.__new__(client.Client)
    found.connection = Connection(HeldSocket(), hub, in_thread, OwnWire())
    found.connection.wildcards[ALL.name] = Wildcard(ALL, is_latest=False)
    return found  # type: ignore[no-any-return]


class ManySymbols(MemoryStore):
    """A store that has so many symbols, with a row each."""

    def __init__(self) -> None:
        super().__init__()
        for number in range(FOLLOWED):
            self.append(batch(trade(0), symbol=f"S{number}"))

    def heads(self, dataset: Dataset, symbols: Sequence[str] | None = None) -> dict[str, Hashable]:
        # The original looks at all logs each time.
        return dict.fromkeys(symbols or (), 1)


@pytest.mark.django_db(transaction=True)
def test_a_caller_has_so_many_connections(api, settings):
    settings.MAX_LIVE_CONNECTIONS_PER_CALLER = 1

    async def scene() -> None:
        feed = LiveFeed(Lanes(*[in_database] * len(Lanes._fields)))
        key = await in_database(make_key)
        first, second, page = Talk(), Talk(), Talk()
        serving = asyncio.create_task(first.serve(feed, key))
        await eventually(lambda: feed._clients)
        await second.serve(feed, key)
        assert second.status == 429
        opened = asyncio.create_task(page.serve(feed, None))
        closing = await page.ask(op="auth", key=key)
        assert (closing["op"], closing["code"]) == ("closing", "too_many_live_connections")
        assert page.socket.closed == (4429, "too_many_live_connections")
        for talk, task in ((page, opened), (first, serving)):
            talk.leave()
            await task
        again = Talk()
        serving = asyncio.create_task(again.serve(feed, key))
        assert (await again.ask(op="ping"))["op"] == "pong"
        again.leave()
        await serving
        await feed.close()

    run(scene)
