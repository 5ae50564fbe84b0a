"""What the event loop answers itself: requests that Django has answered before, from this process's memory."""

import asyncio
import shutil
import socket
from collections.abc import Callable, Iterator
from ipaddress import ip_network
from typing import Any

import pytest
import uvloop
from django.utils import timezone

from audit.services import call_spool
from front import event_loop_reads
from front.event_loop_reads import EventLoopReads
from ratelimit.keys.api_keys import prefix_of
from ratelimit.keys.selectors import key_cache
from ratelimit.models import ApiKey
from stats.caching.response_cache import RESPONSE_CACHE
from stats.delivery.responses import RepeatedCall
from stats.ohlc import OhlcViewSet
from store.instruments import Instrument
from tests.api_client import Api, make_key, trade
from tests.audit.builders import spool_records
from tests.front.repeated import Headers, Process, admit_at_once, headers_of, request_bytes, visible
from tests.ratelimit.access.programs import token_of_a_program
from tests.ratelimit.credentials.logins import logged_in, person
from tests.system.batches import Batch
from tests.system.clients import OHLC
from tests.system.held_reads import ENCODINGS, SYMBOL, TAKEN, tree_targets
from trades.stores import market_store
from web.endpoints import Access

BARS = f"{OHLC}?symbol={SYMBOL}"
NAMED = {"X-Correlation-ID": "loop-reads"}


@pytest.fixture(autouse=True)
def _with_tokens(monkeypatch):
    admit_at_once(monkeypatch)


@pytest.fixture
def key(api: Api) -> Iterator[str]:
    assert api.ingest(Batch(1, SYMBOL, 300, has_ids=True).body).status_code == 200
    yield make_key()
    RESPONSE_CACHE.local.clear()


def records(correlation_id: str) -> list[dict[str, object]]:
    lines = spool_records(call_spool().folder.parent)
    return [
        {name: line[name] for name in line.keys() - {"at", "latency_us", "correlation_id"}}
        for line in lines
        if line["correlation_id"] == correlation_id
    ]


def assert_equal(process: Process, target: str, headers: Headers) -> None:
    """The event loop answers as Django does, but for the figures of its one second."""
    django, loop = process.both(target, {**headers, **NAMED})
    assert loop is not None
    assert (loop.status, loop.body) == (django.status, django.body)
    assert visible(loop) == visible(django)


@pytest.mark.parametrize("condition", [{}, {"If-None-Match": "*"}], ids=["200", "304"])
@pytest.mark.parametrize("query", TAKEN.values(), ids=TAKEN)
def test_the_loop_answers_as_django_does(key, query, condition):
    assert_equal(Process(), f"{BARS}{query}", {"X-API-Key": key, **condition})


def test_every_content_is_answered_in_each_format_and_encoding(api):
    assert api.ingest(*(trade(timestamp=f"2025-01-02T14:30:{n:02}Z") for n in range(60))).status_code == 200
    process, key = Process(), make_key()
    for target in tree_targets("AAPL"):
        for accepted in ENCODINGS:
            headers = {"X-API-Key": key, "Accept-Encoding": accepted}
            process.by_django(target, headers)
            assert_equal(process, target, headers)


def test_the_record_is_the_same(key):
    process = Process()
    process.by_django(BARS, {"X-API-Key": key, "X-Correlation-ID": "by-django"})
    assert process.in_the_loop(BARS, {"X-API-Key": key, "X-Correlation-ID": "by-loop"}) is not None
    assert records("by-django") == records("by-loop") != []


@pytest.mark.parametrize(("first", "second"), [("one", "two"), ("one", "not one"), ("not one", "two")])
def test_of_several_ids_none_is_taken(key, first, second):
    headers = {"X-API-Key": key, "X-Correlation-ID": first, "x-correlation-id": second}
    django, loop = Process().both(BARS, headers)
    assert loop is not None
    answered = dict(django.headers)[b"x-correlation-id"], visible(loop)["x-correlation-id"]
    assert not {first, second} & set(answered)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-API-Key": "md_nonsense"},
        {"X-API-Key": "KEY", "Cookie": "theme=dark"},
        {"X-API-Key": "KEY", "Accept": "text/html"},
        {"X-API-Key": "KEY", "Accept": "image/png"},
    ],
    ids=["nobody", "no key", "cookie", "page", "no format"],
)
def test_other_requests_are_not_remembered(key, headers):
    sent = {name: key if value == "KEY" else value for name, value in headers.items()}
    _, loop = Process().both(BARS, sent)
    assert loop is None


@pytest.mark.parametrize("query", ["&intervall=1min", "&start=2001-01-01&end=2001-01-02", "&format=xml"])
def test_refusals_are_not_remembered(key, query):
    django, loop = Process().both(f"{BARS}{query}", {"X-API-Key": key})
    assert django.status >= 400
    assert loop is None


TOKENS: dict[str, Callable[[], Headers]] = {
    "a person's": lambda: {"Authorization": f"Bearer {logged_in()['access']}"},
    "a program's": lambda: token_of_a_program(scopes=["market:read"]),
}


@pytest.mark.parametrize("token", TOKENS.values(), ids=TOKENS)
def test_callers_with_tokens_are_djangos(key, project_redis, token):
    person(scopes=["market:read"], sensitivity="internal")
    django, loop = Process().both(BARS, token())
    assert (django.status, loop) == (200, None)


@pytest.mark.parametrize(
    "offered", ["a" * 20_000, "a\0b", "a b", ""], ids=["too long", "NUL", "space", "empty"]
)
def test_an_id_that_is_not_accepted_makes_a_request_another_one(key, offered):
    """The parser or the limits of headers may refuse it."""
    process, headers = Process(), {"X-API-Key": key}
    process.by_django(BARS, headers)
    assert process.in_the_loop(BARS, {**headers, **NAMED}) is not None
    assert process.in_the_loop(BARS, {**headers, "X-Correlation-ID": offered}) is None


def test_only_what_is_in_memory_is_answered(key, api):
    process, headers = Process(), {"X-API-Key": key}

    def is_answered_again() -> bool:
        assert process.by_django(BARS, headers).status == 200
        return process.in_the_loop(BARS, headers) is not None

    assert process.in_the_loop(BARS, headers) is None
    assert is_answered_again()
    key_cache.clear()
    assert process.in_the_loop(BARS, headers) is None
    assert is_answered_again()
    api.ingest(Batch(2, SYMBOL, 1, has_ids=True).body)
    assert process.in_the_loop(BARS, headers) is None
    assert is_answered_again()
    RESPONSE_CACHE.local.clear()
    assert process.in_the_loop(BARS, headers) is None


def test_what_is_asked_every_six_seconds_is_answered_until_it_changes(key, api, monkeypatch):
    now, headers, process = [0.0], {"X-API-Key": key}, Process()
    monkeypatch.setattr(RESPONSE_CACHE, "_clock", lambda: now[0])
    log = market_store()._path / "trades" / SYMBOL  # type: ignore[attr-defined]
    shutil.copytree(log, log.with_name("backup"))

    def restore() -> None:
        shutil.rmtree(log)
        log.with_name("backup").rename(log)

    row = trade(symbol=SYMBOL, trade_id="corrected")
    changes = (
        lambda: api.ingest(row),
        lambda: api.correct(
            {"action": "cancel", "timestamp": row["timestamp"], "trade_id": "corrected"}, symbol=SYMBOL
        ),
        lambda: market_store().set_instrument(Instrument(SYMBOL, bar_policy="us_equities")),
        restore,
    )
    for change in changes:
        process.both(BARS, headers)
        for _ in range(20):
            now[0] += 6
            assert process.in_the_loop(BARS, headers) is not None
        change()
        assert process.in_the_loop(BARS, headers) is None


def test_a_remembered_request_is_answered_only_as_long_as_its_key_is_valid(key):
    process, headers = Process(), {"X-API-Key": key}
    _, loop = process.both(BARS, headers)
    assert loop is not None
    ApiKey.objects.filter(prefix=prefix_of(key)).update(revoked_at=timezone.now())
    key_cache.clear()
    assert process.in_the_loop(BARS, headers) is None
    assert process.by_django(BARS, headers).status == 401
    assert process.in_the_loop(BARS, headers) is None


def test_the_access_is_checked_anew(key, monkeypatch):
    process, key = Process(), make_key(scopes=("market:read",))
    with monkeypatch.context() as patched:
        patched.setattr(OhlcViewSet, "access", {"retrieve": Access("market:read", audit_class="config")})
        django, loop = process.both(BARS, {"X-API-Key": key})
        assert (django.status, loop) == (200, None)
    _, loop = process.both(BARS, {"X-API-Key": key})
    assert loop is not None
    ApiKey.objects.filter(prefix=prefix_of(key)).update(scopes=["audit:read"])
    key_cache.clear()
    assert process.by_django(BARS, {"X-API-Key": key}).status == 403
    assert process.in_the_loop(BARS, {"X-API-Key": key}) is None


@pytest.mark.parametrize(
    ("proxies", "expected"),
    [(["192.0.2.0/24"], "198.51.100.7"), ([], "192.0.2.1")],
    ids=["trusted", "unknown"],
)
def test_the_client_of_a_trusted_proxy_is_recorded(key, settings, proxies, expected):
    settings.TRUSTED_PROXIES = tuple(map(ip_network, proxies))
    headers = {"X-API-Key": key, "X-Forwarded-For": "198.51.100.7", "X-SSL-Client-Verify": "NONE"}
    process = Process()
    process.by_django(BARS, headers, peer="192.0.2.1")
    named = {**headers, "X-Correlation-ID": f"proxied-{len(proxies)}"}
    assert process.in_the_loop(BARS, named, peer="192.0.2.1") is not None
    assert [record["address"] for record in records(f"proxied-{len(proxies)}")] == [expected]
    assert process.in_the_loop(BARS, named, peer="192.0.2.2") is None


def test_headers_of_django_are_sent_again(key, settings):
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    settings.SECURE_HSTS_SECONDS = 31_536_000
    settings.CORS_ALLOWED_ORIGINS = ["https://desk.example"]
    settings.MIDDLEWARE = ["corsheaders.middleware.CorsMiddleware", *settings.MIDDLEWARE]
    headers = {"X-API-Key": key, "Origin": "https://desk.example", **NAMED}
    django, loop = Process().both(BARS, headers, scheme="https")
    assert visible(django) == visible(loop)
    found = headers_of(loop)
    assert found["access-control-allow-origin"] == "https://desk.example"
    assert "strict-transport-security" in found
    assert found["vary"].endswith(", origin")


def test_the_memory_of_requests_is_bounded(key, monkeypatch):
    monkeypatch.setattr(event_loop_reads, "MAX_REMEMBERED", 3)
    process, headers = Process(), {"X-API-Key": key}
    for number in range(4):
        process.by_django(f"{BARS}&limit={number + 1}", headers)
    assert [
        process.in_the_loop(f"{BARS}&limit={number + 1}", headers) is not None for number in range(4)
    ] == [False, True, True, True]


@pytest.fixture
def iterations(monkeypatch) -> list[object]:
    """What stands for the loop's iteration of each request that is looked up, in order."""
    seen: list[object] = []
    look_up = RepeatedCall.from_memory

    def noted(self, *, poll, **named):
        seen.append(poll)
        return look_up(self, poll=poll, **named)

    monkeypatch.setattr(RepeatedCall, "from_memory", noted)
    return seen


def test_a_call_behind_an_awaited_one_is_checked_apart_from_the_calls_of_the_next_poll(
    key, iterations, monkeypatch
):
    """A lost connection to Redis delivers between two polls. The next poll may find a call sent after a commit."""
    process, headers = Process(), {"X-API-Key": key}
    process.by_django(BARS, headers)

    def admit_later(*_: object, then: Any, **_named: object) -> bool:
        asyncio.get_running_loop().call_soon(then, None)
        return True

    async def main() -> None:
        loop, done = asyncio.get_running_loop(), asyncio.Event()
        received, sent = socket.socketpair()

        def ask() -> None:
            received.recv(1)
            process.ask(BARS, headers, behind if not iterations else lambda _answer: done.set())

        def behind(_answer: object) -> None:
            process.ask(BARS, headers, lambda _answer: None)
            sent.send(b"2")

        loop.add_reader(received, ask)
        sent.send(b"1")
        async with asyncio.timeout(10):
            await done.wait()
        loop.remove_reader(received)
        received.close()
        sent.close()

    monkeypatch.setattr(event_loop_reads, "admit_soon", admit_later)
    uvloop.run(main())
    assert len(iterations) == len(set(iterations)) == 3


@pytest.mark.parametrize(("connections", "is_one"), [(0, True), (1_000, False)])
def test_each_call_is_checked_if_an_iteration_of_the_loop_may_have_several_polls(
    key, iterations, connections, is_one
):
    process, headers = Process(), {"X-API-Key": key}
    process.reads = EventLoopReads(lambda: connections)
    process.by_django(BARS, headers)

    async def answer_twice() -> None:
        for _ in range(2):
            assert process.reads.answer_without_django(
                "127.0.0.1", request_bytes(BARS, headers), lambda _answer: None
            )

    asyncio.run(answer_twice())
    assert (iterations[0] is iterations[1] is not None) == is_one
    assert is_one or iterations == [None, None]
