"""What the event loop answers itself: calls whose key and answer this process has in memory, as the front door does."""

import asyncio
import json
import socket
from collections.abc import Iterator
from ipaddress import ip_network
from typing import Any

import pytest
import uvloop
from django.utils import timezone

from audit.services import call_spool
from front import loop_door
from front.door import FrontDoor
from front.loop_door import LoopDoor
from front.ready_answer import ReadyAnswer
from ratelimit.callers import Caller
from ratelimit.keys.api_keys import prefix_of
from ratelimit.keys.selectors import key_cache
from ratelimit.limits.services import admit
from ratelimit.models import ApiKey
from stats.caching.response_cache import RESPONSE_CACHE
from stats.delivery.held_answer import HeldAnswer
from tests.api_client import Api, make_key
from tests.system.batches import Batch
from tests.system.clients import OHLC
from tests.system.front_door import LEFT, SYMBOL, TAKEN, environ_of, visible
from web.endpoints import Access

BY_NAME = {"X-Correlation-ID": "loop-door"}


@pytest.fixture(autouse=True)
def _with_tokens(monkeypatch):
    """Charge in the loop's next turn what the loop door would charge by its own connection to Redis."""

    def admit_now(caller: Caller, access: Access, *, cost: int, then: Any, **_named: object) -> bool:
        admission = admit(caller, access, cost=cost)
        if admission.admitted:
            asyncio.get_running_loop().call_soon(then, admission)
        return admission.admitted

    monkeypatch.setattr(loop_door, "admit_soon", admit_now)


@pytest.fixture
def key(api: Api) -> Iterator[str]:
    assert api.ingest(Batch(1, SYMBOL, 300, has_ids=True).body).status_code == 200
    yield make_key()
    RESPONSE_CACHE.local.clear()


def in_loop(query: str, headers: dict[str, str], *, peer: str = "127.0.0.1") -> ReadyAnswer | None:
    """The event loop's answer."""
    sent = [
        (b"host", b"localhost"),
        *((name.lower().encode(), text.encode()) for name, text in headers.items()),
    ]
    target = f"{OHLC}?symbol={SYMBOL}{query}".encode()
    return answered(peer, target, sent)


def answered(peer: str, target: bytes, sent: list[tuple[bytes, bytes]]) -> ReadyAnswer | None:
    answers: list[ReadyAnswer | None] = [None]

    async def in_a_loop() -> None:
        door = LoopDoor()
        call = door.read(peer, b"", target, sent)
        if call is not None:
            door.answer(call, answers.append)
            await asyncio.sleep(0)

    asyncio.run(in_a_loop())
    return answers[-1]


def headers_of(answer: ReadyAnswer) -> dict[str, str]:
    lines = answer.lines.decode("latin-1").split("\r\n")
    return dict(line.split(": ", 1) for line in lines if line)


def records(correlation_id: str) -> list[dict[str, object]]:
    lines = [
        json.loads(line) for path in call_spool().folder.iterdir() for line in path.read_bytes().splitlines()
    ]
    return [
        {name: line[name] for name in line.keys() - {"at", "latency_us"}}
        for line in lines
        if line["correlation_id"] == correlation_id
    ]


@pytest.mark.parametrize("condition", [{}, {"If-None-Match": "*"}], ids=["200", "304"])
@pytest.mark.parametrize("query", TAKEN.values(), ids=TAKEN)
def test_the_loop_answers_and_records_as_the_front_door_does(key, query, condition):
    named = {"X-API-Key": key, **condition}
    environ = environ_of("GET", query, {**named, "X-Correlation-ID": f"door{query}{len(condition)}"[:20]})
    assert FrontDoor()(environ_of("GET", query, {"X-API-Key": key})) is not None
    door = FrontDoor()(environ)
    loop = in_loop(query, {**named, **BY_NAME})
    assert door is not None
    assert loop is not None
    assert (loop.status, loop.body) == (door.status, door.body)
    expected = {**visible(door.headers), **BY_NAME}
    assert visible(headers_of(loop)) == expected


def test_the_record_is_the_same(key):
    headers = {"X-API-Key": key}
    door = FrontDoor()(environ_of("GET", "&limit=2", {**headers, "X-Correlation-ID": "by-thread"}))
    loop = in_loop("&limit=2", {**headers, "X-Correlation-ID": "by-loop"})
    assert door is not None
    assert loop is not None
    (by_thread,), (by_loop,) = records("by-thread"), records("by-loop")
    assert {**by_thread, "correlation_id": ""} == {**by_loop, "correlation_id": ""}


@pytest.mark.parametrize(("method", "query", "headers"), LEFT.values(), ids=LEFT)
def test_what_the_front_door_leaves_the_loop_leaves_too(key, method, query, headers):
    assert FrontDoor()(environ_of("GET", "", {"X-API-Key": key})) is not None
    if method == "GET":
        assert in_loop(query, {"X-API-Key": key, **headers}) is None


def test_only_what_is_in_memory_is_answered(key, api):
    headers = {"X-API-Key": key}
    assert in_loop("", headers) is None
    assert FrontDoor()(environ_of("GET", "", headers)) is not None
    assert in_loop("", headers) is not None
    key_cache.clear()
    assert in_loop("", headers) is None
    assert FrontDoor()(environ_of("GET", "", headers)) is not None
    api.ingest(Batch(2, SYMBOL, 1, has_ids=True).body)
    assert in_loop("", headers) is None
    assert FrontDoor()(environ_of("GET", "", headers)) is not None
    RESPONSE_CACHE.local.clear()
    assert in_loop("", headers) is None


@pytest.mark.parametrize(
    "sent",
    [
        [(b"host", b"localhost"), (b"host", b"localhost")],
        [],
        [(b"host", b"localhost"), (b"x_api_key", b"other")],
        [(b"host", b"evil.example"), (b"x-forwarded-host", b"localhost")],
    ],
    ids=["two hosts", "no host", "underscore", "foreign host"],
)
def test_headers_that_decide_otherwise_are_left(key, settings, sent):
    settings.ALLOWED_HOSTS = ["localhost"]
    assert FrontDoor()(environ_of("GET", "", {"X-API-Key": key})) is not None
    target = f"{OHLC}?symbol={SYMBOL}".encode()
    with_key = [*sent, (b"x-api-key", key.encode())]
    assert answered("127.0.0.1", target, with_key) is None


@pytest.mark.parametrize(
    ("proxies", "expected"),
    [(["192.0.2.0/24"], "198.51.100.7"), ([], "192.0.2.1")],
    ids=["trusted", "unknown"],
)
def test_the_client_of_a_trusted_proxy_is_recorded(key, settings, proxies, expected):
    settings.TRUSTED_PROXIES = tuple(map(ip_network, proxies))
    assert FrontDoor()(environ_of("GET", "", {"X-API-Key": key})) is not None
    headers = {
        "X-API-Key": key,
        "X-Forwarded-For": "198.51.100.7",
        "X-Correlation-ID": f"proxied-{len(proxies)}",
    }
    assert in_loop("", headers, peer="192.0.2.1") is not None
    (record,) = records(f"proxied-{len(proxies)}")
    assert record["address"] == expected


def door_and_call(key: str, *, peer: str = "127.0.0.1", **named: str) -> tuple[LoopDoor, bytes, Any]:
    """A door that has read a call, and the call's bytes, of which only their difference counts here."""
    door, data = LoopDoor(), f"the call of {key}".encode()
    sent = [(b"host", b"localhost"), (b"x-api-key", key.encode())]
    sent += [(name.replace("_", "-").encode(), text.encode()) for name, text in named.items()]
    return door, data, door.read(peer, data, f"{OHLC}?symbol={SYMBOL}".encode(), sent)


def test_a_call_is_remembered_by_its_bytes_and_its_peer(key):
    assert FrontDoor()(environ_of("GET", "", {"X-API-Key": key})) is not None
    door, data, call = door_and_call(key)
    assert call is not None
    assert door.recalled("127.0.0.1", data) is call
    assert door.recalled("127.0.0.2", data) is None
    assert door.recalled("127.0.0.1", data + b" ") is None


def test_a_remembered_call_is_answered_only_as_long_as_its_key_is_valid(key, api):
    async def answer(door: LoopDoor, call: Any) -> object:
        return door.answer(call, lambda _answer: None)

    assert FrontDoor()(environ_of("GET", "", {"X-API-Key": key})) is not None
    door, data, _ = door_and_call(key)
    call = door.recalled("127.0.0.1", data)
    assert asyncio.run(answer(door, call)) is not None
    ApiKey.objects.filter(prefix=prefix_of(key)).update(revoked_at=timezone.now())
    key_cache.clear()
    assert asyncio.run(answer(door, call)) is None
    assert FrontDoor()(environ_of("GET", "", {"X-API-Key": key})) is None
    assert asyncio.run(answer(door, call)) is None


def test_the_memory_of_calls_is_bounded(key, monkeypatch):
    monkeypatch.setattr(loop_door, "MAX_REMEMBERED", 3)
    assert FrontDoor()(environ_of("GET", "", {"X-API-Key": key})) is not None
    door, data, _ = door_and_call(key)
    target = f"{OHLC}?symbol={SYMBOL}".encode()
    headers = [(b"host", b"localhost"), (b"x-api-key", key.encode())]
    for number in range(3):
        assert door.read("127.0.0.1", str(number).encode(), target, headers) is not None
    assert door.recalled("127.0.0.1", data) is None
    assert all(door.recalled("127.0.0.1", str(number).encode()) for number in range(3))
    assert door.read("127.0.0.1", b"x" * 2_000, target, headers) is not None
    assert door.recalled("127.0.0.1", b"x" * 2_000) is None


@pytest.fixture
def polls(monkeypatch) -> list[object]:
    """What stands for the poll of each call that the door looks up, in order."""
    seen: list[object] = []
    look_up = HeldAnswer.finished_if_cached

    def noted(self, *, poll, **named):
        seen.append(poll)
        return look_up(self, poll=poll, **named)

    monkeypatch.setattr(HeldAnswer, "finished_if_cached", noted)
    return seen


def test_a_call_behind_an_awaited_one_is_checked_apart_from_the_calls_of_the_next_poll(
    key, polls, monkeypatch
):
    """A lost connection to Redis delivers between two polls. The next poll may find a call sent after a commit."""
    assert FrontDoor()(environ_of("GET", "", {"X-API-Key": key})) is not None
    door, _, call = door_and_call(key)

    def admit_later(*_: object, then: Any, **_named: object) -> bool:
        asyncio.get_running_loop().call_soon(then, None)
        return True

    async def main() -> None:
        loop, done = asyncio.get_running_loop(), asyncio.Event()
        received, sent = socket.socketpair()

        def ask() -> None:
            received.recv(1)
            door.answer(call, behind if not polls else lambda _answer: done.set())

        def behind(_answer: object) -> None:
            door.answer(call, lambda _answer: None)
            sent.send(b"2")

        loop.add_reader(received, ask)
        sent.send(b"1")
        async with asyncio.timeout(10):
            await done.wait()
        loop.remove_reader(received)
        received.close()
        sent.close()

    monkeypatch.setattr(loop_door, "admit_soon", admit_later)
    uvloop.run(main())
    assert len(polls) == len(set(polls)) == 3


def test_each_call_is_checked_if_a_turn_of_the_loop_may_have_several_polls(key, polls):
    async def answer(door: LoopDoor, call: Any) -> None:
        for _ in range(2):
            assert door.answer(call, lambda _answer: None) is not None

    assert FrontDoor()(environ_of("GET", "", {"X-API-Key": key})) is not None
    asyncio.run(answer(*door_and_call(key)[::2]))
    assert polls[0] is polls[1] is not None
    polls.clear()
    _, _, call = door_and_call(key)
    asyncio.run(answer(LoopDoor(lambda: 1_000), call))
    assert polls == [None, None]
