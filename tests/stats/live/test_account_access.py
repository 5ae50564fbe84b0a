"""Who may have the channels of an account, for how long, and what sends a notification."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, MutableMapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

import orjson
import pytest
from django.db import DatabaseError, transaction
from django.test import RequestFactory

from front.lanes import Lane
from ops.redis.connection import is_available
from ratelimit.models import ApiKey
from stats.live import callers, hub
from stats.live.accounts import ACCOUNT_FEEDS
from stats.live.application import LiveFeed
from stats.live.commit_notifier import CommitNotifier, account_changed
from stats.live.connection import Connection
from stats.live.hub import Lanes
from stats.live.sockets import ENVIRON, SOCKET
from tests.api_client import make_key
from tests.patience import PATIENCE_SECONDS
from tests.ratelimit.redis_server import RedisServer
from tests.stats.live.memory_accounts import MemoryAccounts
from tests.stats.live.sockets import HeldSocket
from tests.stats.live.test_account_channels import FeedClient
from tests.stats.live.test_connection import eventually, run, running_hub
from web.correlation import ENVIRON_NAME

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.system]

# One thread uses the database of the tests: in memory, SQLite refuses to read what another thread writes.
in_database = Lane("database", threads=1, after=lambda: None).run
TRADER = {"scopes": ("market:read", "trading:read"), "accounts": ["A1", "GONE"]}


@pytest.fixture
def accounts(api) -> Iterator[MemoryAccounts]:
    found = MemoryAccounts("A1", "A2")
    with ACCOUNT_FEEDS.replaced(found):
        yield found


class Talk:
    """A connection of a feed that is spoken to in the process. status: of the answer, if it was refused."""

    feed: LiveFeed

    def __init__(self) -> None:
        self.socket = HeldSocket()
        self.status = 0
        self._sent: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._sent.put_nowait({"type": "websocket.connect"})

    async def serve(self, feed: LiveFeed, key: str | None) -> None:
        headers = {} if key is None else {"X-API-Key": key}
        environ = RequestFactory().get("/ws/v1/stream", headers=headers).environ
        extensions = {ENVIRON: {**environ, ENVIRON_NAME: "a"}, SOCKET: self.socket}
        await feed({"extensions": extensions}, self._sent.get, self._take)

    async def ask(self, **message: Any) -> dict[str, Any]:
        """Send a message, and return its answer."""
        known = len(self.socket.messages)
        self._sent.put_nowait({"type": "websocket.receive", "text": orjson.dumps(message).decode()})
        await eventually(lambda: len(self.socket.messages) > known)
        answer: dict[str, Any] = self.socket.messages[known]
        return answer

    def leave(self) -> None:
        self._sent.put_nowait({"type": "websocket.disconnect"})

    async def _take(self, message: MutableMapping[str, Any]) -> None:
        self.status = message.get("status", self.status)


@asynccontextmanager
async def talking(**terms: Any) -> AsyncIterator[Talk]:
    """A connection with a key that has these terms."""
    feed = LiveFeed(Lanes(*[in_database] * len(Lanes._fields)))
    key = await in_database(lambda: make_key(**terms))
    talk = Talk()
    talk.feed = feed
    serving = asyncio.create_task(talk.serve(feed, key))
    try:
        yield talk
    finally:
        talk.leave()
        await serving
        await feed.close()


@pytest.mark.parametrize(
    ("terms", "channel", "code"),
    [
        ({"scopes": ("market:read",), "accounts": ["A1"]}, "orders:A1", "missing_scope"),
        ({**TRADER, "sensitivity": "internal"}, "orders:A1", "insufficient_sensitivity"),
        (TRADER, "orders:A2", "unknown_account"),
        (TRADER, "orders:GONE", "unknown_account"),
        (TRADER, "portfolio:NONE", "unknown_account"),
        (TRADER, "alerts:A1,A2", "unknown_account"),
        ({}, "orders:*", "unknown_account"),
        ({}, "orders:A\x00", "unknown_account"),
        ({}, "orders:A1?x=1", "unknown_account"),
        (TRADER, "orders:", "unknown_channel"),
        (TRADER, "orders.1m:A1", "unknown_channel"),
    ],
)
def test_a_channel_that_the_caller_may_not_have_is_refused(accounts, terms, channel: str, code: str):
    async def test() -> None:
        async with talking(**terms) as talk:
            answer = await talk.ask(op="subscribe", channels=[channel])
            assert (answer["op"], answer["code"]) == ("error", code)

    run(test)


def test_of_anothers_account_is_told_what_is_told_of_an_unknown_one(accounts: MemoryAccounts):
    async def test() -> None:
        async with talking(**TRADER) as talk:
            texts = []
            for account in ("A2", "GONE", "A9"):
                answer = await talk.ask(op="subscribe", channels=[f"orders:{account}"])
                texts.append(answer["message"].replace(account, ""))
            assert len(set(texts)) == 1

    run(test)


def test_the_owner_gets_its_channels(accounts: MemoryAccounts):
    accounts.record("A1", orders=[{"order_id": "o1"}])

    async def test() -> None:
        async with talking(**TRADER) as talk:
            names = ["orders:A1", "alerts:A1", "portfolio:A1"]
            answer = await talk.ask(op="subscribe", channels=names, **{"from": {"orders:A1": "0"}})
            assert answer["channels"] == {"orders:A1": "0", "alerts:A1": "0", "portfolio:A1": "1"}
            await eventually(lambda: {"orders:A1", "portfolio:A1"} == _channels_of(talk))

    run(test)


def _channels_of(talk: Talk) -> set[str]:
    return {each["ch"] for each in talk.socket.messages if "data" in each}


@pytest.mark.parametrize("number", ["-1", "01", "17-9f3a2c.3", "1" * 19, "\u0661"])
def test_what_is_no_number_of_an_event_is_refused(accounts: MemoryAccounts, number: str):
    async def test() -> None:
        async with talking(**TRADER) as talk:
            tokens = {"orders:A1": number}
            answer = await talk.ask(op="subscribe", channels=["orders:A1"], **{"from": tokens})
            assert (answer["op"], answer["code"]) == ("error", "invalid_resume_token")

    run(test)


def test_a_connection_ends_when_its_caller_may_no_longer_have_the_account(accounts: MemoryAccounts):
    changes: tuple[tuple[dict[str, Any], tuple[int, str] | None], ...] = (
        ({"scopes": ["market:read"]}, (4403, "forbidden")),
        ({"sensitivity": "internal"}, (4403, "forbidden")),
        ({"accounts": ["A2"]}, (4403, "forbidden")),
        ({"accounts": ["A1"], "rate": 17}, None),
    )

    async def test() -> None:
        async with AsyncExitStack() as stack:
            talks = [await stack.enter_async_context(talking(**TRADER)) for _ in changes]
            for talk in talks:
                assert (await talk.ask(op="subscribe", channels=["orders:A1"]))["op"] == "subscribed"
            keys = await in_database(lambda: [*ApiKey.objects.order_by("-pk")[: len(changes)]])
            for key, (change, _) in zip(reversed(keys), changes, strict=True):
                await in_database(partial(ApiKey.objects.filter(pk=key.pk).update, **change))
            await eventually(lambda: all(talk.socket.closed for talk in talks[:-1]))
            assert [talk.socket.closed for talk in talks] == [expected for _, expected in changes]

    run(test)


def test_it_ends_also_if_the_account_is_lost_while_the_client_subscribes(
    accounts: MemoryAccounts, monkeypatch: pytest.MonkeyPatch
):
    subscribe = Connection.subscribe

    async def test() -> None:
        async with talking(**TRADER) as talk:
            await eventually(lambda: talk.feed._credentials)
            [credential] = talk.feed._credentials.values()

            async def late(*arguments: Any, **options: Any) -> Any:
                await in_database(partial(ApiKey.objects.update, accounts=["A2"]))
                await eventually(lambda: credential.identity.caller.accounts == {"A2"})
                return await subscribe(*arguments, **options)

            monkeypatch.setattr(Connection, "subscribe", late)
            await talk.ask(op="subscribe", channels=["orders:A1"])
            await eventually(lambda: talk.socket.closed)
            assert talk.socket.closed == (4403, "forbidden")

    run(test)


def test_without_the_database_what_was_found_last_counts(
    accounts: MemoryAccounts, monkeypatch: pytest.MonkeyPatch
):
    asked = []

    def fail(*_: Any, **__: Any) -> None:
        asked.append(1)
        raise DatabaseError

    async def test() -> None:
        async with talking(**TRADER) as talk:
            await eventually(lambda: talk.feed._clients)
            [client] = talk.feed._clients

            def accounts_now() -> frozenset[str]:
                assert client.identity is not None
                return client.identity.caller.accounts

            await in_database(partial(ApiKey.objects.update, accounts=["A2"]))
            await eventually(lambda: accounts_now() == {"A2"})
            monkeypatch.setattr(callers, "identify", fail)
            # A client that has come since makes all of them be told again.
            [credential] = talk.feed._credentials.values()
            credential.is_new = True
            await eventually(lambda: len(asked) > 1)
            assert accounts_now() == {"A2"}

    run(test)


def test_the_bell_is_rung_when_the_transaction_commits(project_redis: RedisServer):
    async def test() -> None:
        told: list[str] = []
        notifier = CommitNotifier(told.append)
        listening = asyncio.create_task(notifier.listen())
        await eventually(lambda: notifier.is_listening)
        await asyncio.to_thread(_rolled_back)
        await asyncio.to_thread(_committed, lambda: list(told))
        await eventually(lambda: told)
        assert told == ["@A1"]
        listening.cancel()
        notifier.close()

    run(test)


def _rolled_back() -> None:
    with transaction.atomic():
        account_changed("ROLLED")
        transaction.set_rollback(True)


def _committed(told: Callable[[], list[str]]) -> None:
    with transaction.atomic():
        account_changed("A1")
        time.sleep(0.05)
        assert told() == []


def test_the_bell_brings_an_event_before_the_feed_looks_by_itself(
    accounts: MemoryAccounts, project_redis: RedisServer, monkeypatch
):
    monkeypatch.setattr(hub, "POLL_SECONDS", 2 * PATIENCE_SECONDS)

    async def test() -> None:
        async with running_hub() as running:
            client = FeedClient(running)
            await client.subscribe("orders:A1")
            await eventually(lambda: running._notifier.is_listening)
            accounts.record("A1", orders=[{"order_id": "o1"}])
            await asyncio.to_thread(account_changed, "A1")
            await eventually(lambda: client.numbers("orders:A1") == [1])

    run(test)


def test_without_redis_the_transaction_commits_all_the_same():
    with transaction.atomic():
        account_changed("A1")
    assert not is_available()
