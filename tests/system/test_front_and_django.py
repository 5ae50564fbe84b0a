"""Every request of the hostile and the role suites, to the front and to Django alone: the same answer and record."""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest

from ratelimit.access.scopes import ALL_SCOPES
from tests.api_client import body_of, trade
from tests.chance import SOAK, chosen_seed
from tests.encodings import decoded
from tests.front.front_server import Reply, eventually
from tests.hostile import callers, stock
from tests.hostile.bombs import LONG_HEADERS, LONG_TARGETS
from tests.hostile.mutants import mutate
from tests.hostile.operations import Operation, operations_of, served_document, valid_call
from tests.hostile.test_http import FILES, KEYS
from tests.hostile.test_naughty_strings import HEADERS as NAUGHTY_HEADERS
from tests.hostile.test_naughty_strings import OWN
from tests.hostile.wire import Wire
from tests.marketdata_project.serve_process import serving
from tests.patience import PROGRAM_SECONDS
from tests.ratelimit.access.urlconf import METHODS, endpoints
from tests.system.held_reads import CALENDARS, CLOCKS, ENCODINGS, LEFT, TAKEN, tree_targets
from tests.system.installation import ENVIRONMENT, FAILING_PAGE, WEB_ONLY, Installation, installed

pytestmark = pytest.mark.xdist_group("front and django")

MUTANTS, ROLE_CALLS = (10_000, 20_000) if SOAK else (40, 60)
JSON = {"Content-Type": "application/json"}

WITH_A_SESSION = (413, "body_too_large")
# By status and code: what the front refuses by itself, whatever Django alone would have answered.
OF_THE_FRONT = {
    (400, "malformed_request"): "it is no HTTP, or has no host: Django is asked nothing",
    (414, "target_too_long"): "the front reads no longer one; Django has no limit",
    (431, "header_too_long"): "the front reads no longer one; Django has no limit",
    (431, "headers_too_large"): "the front reads no more of them; Django has no limit",
    (431, "too_many_headers"): "the front reads no more of them; Django has no limit",
    WITH_A_SESSION: "a session is known after the body is read: of one that may be nobody's the front reads 16 KiB",
}
# What differs from one answer to the next anyway, or is of the connection.
VARYING = frozenset(
    {
        "date", "expires", "x-correlation-id", "age", "x-ratelimit-remaining", "x-ratelimit-reset", "ratelimit",
        "connection", "upgrade", "content-length", "transfer-encoding", "etag", "keep-alive", "x-cache", "x-account-event",
    }
)  # fmt: skip
# Two stores that were written to at different times: hashes of commits, instants, new keys, cursors, tokens of forms.
MASKED = [
    (re.compile(pattern), mask)
    for pattern, mask in (
        (rb"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}", b"job"),
        (rb"\b(\d+)-[0-9a-f]{6,}", rb"\1-hash"),
        (rb"20(?:2[6-9]|[3-9]\d)-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+00:00)?", b"now"),
        # The same of today in numbers, of whatever unit.
        (rb"\b%s\d{6,15}\b" % str(int(time.time()))[:4].encode(), b"now"),
        # Tokens flow in while the call is made.
        (rb'"remaining":\d+', b'"remaining":some'),
        # Each of the two has an engine of its own.
        (rb'"uptime_seconds":\d+', b'"uptime_seconds":some'),
        (rb'"status":"(?:stopping|stopped)"', b'"status":"stops"'),
        (rb'"event":\d+', b'"event":some'),
        (rb'("name":"price_age","passed":\w+,"value":)[\d.]+', rb"\1some"),
        (rb"(the market's price is )[^\"]+?( old)", rb"\1some\2"),
        (rb"'nonce-[^']*'", b"nonce"),
        (rb"md_[0-9A-Za-z_-]+", b"key"),
        (rb"evt_[0-9a-f]{32}", b"event"),
        (rb'(secret|prefix|preview_id|client_id|next_cursor|prev_cursor|hash)":"[^"]*"', rb'\1":"masked"'),
        (rb'"(prefix|client_id)","after":"[^"]*"', rb'"\1","after":"masked"'),
        # The newest record of the audit log.
        (rb'"through":\d+', b'"through":"masked"'),
        (rb"cursor=[0-9A-Za-z_%=-]+", b"cursor=masked"),
        # MessagePack's texts of 32 characters and more: a byte for their kind, one or two for their length.
        (rb"(?s)(next_cursor|prev_cursor)(?:\xd9.|\xda..)[0-9A-Za-z_=-]+", rb"\1masked"),
    )
]
# Their bodies differ: some have figures of the process, one the records that were collected by then.
BODY_DIFFERS = frozenset(
    {
        b"/api/v1/cache/stats",
        b"/api/v1/cache/invalidate",
        b"/api/v1/audit",
    }
)
BINARY = frozenset({"application/msgpack", "application/vnd.apache.arrow.stream"})
OF_EACH_RECORD = frozenset({"id", "sequence", "at", "latency_us", "correlation_id", "hash"})


Visible = tuple[int, dict[str, bytes], bytes]
Records = dict[str, list[dict[str, Any]]]


@dataclass(frozen=True)
class Asked:
    """A request as both are sent it."""

    method: str
    target: str | bytes
    headers: dict[str, str | bytes]
    body: bytes | None = None

    def of(self, wire: Wire) -> Reply:
        return wire.ask(self.method, self.target, self.headers, self.body)


@dataclass(frozen=True)
class Prepared:
    """Two installations in the same state: behind the front, and Django alone."""

    front: Installation
    beside_django: Installation
    django_port: int
    keys: dict[str, str]
    roles: dict[str, dict[str, str]]
    operations: list[Operation]


@pytest.fixture(scope="module")
def rng() -> random.Random:
    return random.Random(chosen_seed())


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prepared]:
    """The same store, keys and people twice; whatever is written from here on is written to both."""
    folder = tmp_path_factory.mktemp("front")
    with installed(folder, **WEB_ONLY, WORKERS="1", **FAILING_PAGE) as made:
        keys = {grant: callers.key_with(made, grant) for grant in callers.GRANTS}
        callers.stock_database(made)
        wire = Wire(made.port, keys[ALL_SCOPES])
        for method, path, body in stock.requests():
            assert wire.ask(method, path, JSON, body).status == 200
        operations = operations_of(served_document(wire))
        wire.close()
        roles = orjson.loads(run("tests.system.role_callers", made))
        made.served.process.send_signal(signal.SIGTERM)
        assert made.served.ended()
    copies = [tmp_path_factory.mktemp(name) for name in ("behind", "alone")]
    for copy in copies:
        shutil.copytree(folder / "data", copy / "data", ignore=shutil.ignore_patterns("run"))
    with ExitStack() as stack:
        front, beside = (stack.enter_context(again(copy)) for copy in copies)
        port = stack.enter_context(django_alone(beside))
        yield Prepared(front, beside, port, keys, roles, operations)


@contextmanager
def again(folder: Path) -> Iterator[Installation]:
    # Jobs would go on between two answers.
    environment: dict[str, Any] = {
        **ENVIRONMENT,
        "WORKERS": "1",
        **FAILING_PAGE,
        "JOB_THREADS": "0",
    }
    with serving(folder, **environment) as served:
        assert served.port
        installation = Installation(served, "")
        assert installation.is_ready()
        yield installation


@contextmanager
def django_alone(beside: Installation) -> Iterator[int]:
    command = [sys.executable, "-m", "tests.system.django_alone"]
    with subprocess.Popen(command, env=environment_of(beside), stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.terminate()


def run(module: str, beside: Installation) -> bytes:
    """What a program prints that runs beside an installation."""
    return subprocess.run(
        [sys.executable, "-m", module],
        env=environment_of(beside),
        stdout=subprocess.PIPE,
        check=True,
        timeout=PROGRAM_SECONDS,
    ).stdout


def environment_of(installation: Installation) -> dict[str, str]:
    data_dir = installation.served.data_dir
    return {
        **os.environ,
        **ENVIRONMENT,
        **FAILING_PAGE,
        "DATA_DIR": str(data_dir),
    }


def of_the_operations(both: Prepared, rng: random.Random) -> Iterator[Asked]:
    """Valid calls of everything, in the soak twice: what was answered may be held by then. Then changed ones, by keys of all kinds."""
    for operation in both.operations:
        asked = asked_of(valid_call(operation, rng), both.keys[ALL_SCOPES])
        yield from (asked, asked) if SOAK else (asked,)
    for number in range(MUTANTS):
        call = valid_call(rng.choice(both.operations), rng)
        mutate(call, rng)
        if call.method == "NONE":
            # The server that runs Django alone reads only methods that its parser knows.
            call.method = "TRACE"
        grant = callers.one_that_may(call.operation, rng) if number % 6 else rng.choice(callers.GRANTS)
        yield asked_of(call, both.keys[grant])


def of_naughty_strings(both: Prepared, rng: random.Random) -> Iterator[Asked]:
    for text in OWN:
        call = valid_call(rng.choice(both.operations), rng)
        yield asked_of(call.with_query(rng.choice(["symbol", "start", text]), text), both.keys[ALL_SCOPES])
        call = valid_call(rng.choice(both.operations), rng)
        # A header is not broken in two here: that is no HTTP.
        call.headers[rng.choice(NAUGHTY_HEADERS)] = re.sub(r"[\x00-\x1f\x7f]", "", text)
        yield asked_of(call, both.keys[ALL_SCOPES])


def of_credentials(both: Prepared, rng: random.Random) -> Iterator[Asked]:
    for headers in KEYS:
        call = valid_call(rng.choice(both.operations), rng)
        call.headers = {**headers}  # type: ignore[dict-item]  # of texts, some of bytes
        yield asked_of(call, None)


def of_long_requests(both: Prepared, _rng: random.Random) -> Iterator[Asked]:
    key = {"X-API-Key": both.keys[ALL_SCOPES]}
    yield from (Asked("GET", target, {**key}) for target in [*LONG_TARGETS.values(), *FILES])
    target = "/api/v1/stats/ohlc?symbol=AAPL"
    yield from (Asked("GET", target, {**key, **headers}) for headers in LONG_HEADERS.values())


def of_roles(both: Prepared, rng: random.Random) -> Iterator[Asked]:
    routes = list({route.name: route for route in endpoints()}.values())
    combined = [(role, route, method) for role in both.roles for route in routes for method in METHODS]
    for role, route, method in rng.sample(combined, min(ROLE_CALLS, len(combined))):
        yield Asked(method, route.path, {**JSON, **both.roles[role]}, b"")


def of_held_answers(both: Prepared, _rng: random.Random) -> Iterator[Asked]:
    """What the event loop may answer, and what it leaves to Django, by callers of all roles; both hold the answer by then."""
    path = "/api/v1/stats/ohlc?symbol=AAPL"
    ways: list[tuple[str, str, dict[str, str]]] = [("GET", query, {}) for query in TAKEN.values()] + list(
        LEFT.values()
    )
    by_key = {"X-API-Key": both.keys[ALL_SCOPES]}
    yield from (Asked("GET", f"{path}{query}", {**by_key}) for query in TAKEN.values())
    yield from (Asked(method, f"{path}{query}", {**by_key, **headers}) for method, query, headers in ways)
    for headers in both.roles.values():
        yield Asked("GET", path, {**headers})
        yield Asked("GET", path, {**headers, "If-None-Match": "*"})
    for target in (*tree_targets("AAPL"), *CALENDARS, *CLOCKS):
        for accepted in ENCODINGS:
            headers = {**by_key, "Accept-Encoding": accepted}
            yield from (Asked("GET", target, {**headers}) for _ in range(2))
            yield Asked("GET", target, {**headers, "If-None-Match": "*"})


def of_large_bodies(both: Prepared, _rng: random.Random) -> Iterator[Asked]:
    """By callers of all roles, up to the endpoint's limit and over it."""
    rows = [trade(symbol="LARGE", trade_id=f"{number:09}") for number in range(300)]
    for headers in both.roles.values():
        yield Asked("POST", "/api/v1/trades/ingest", {**JSON, **headers}, body_of(*rows))
        yield Asked("POST", "/api/v1/keys", {**JSON, **headers}, body_of(*rows))
        yield Asked("POST", "/api/v1/stats/ohlc", {**JSON, **headers}, body_of(*rows))


def asked_of(call: Any, key: str | None) -> Asked:
    headers = {**({} if key is None else {"X-API-Key": key}), **call.headers}
    if call.body is not None:
        headers.setdefault("Content-Type", call.media_type)
    return Asked(call.method or call.operation.method, call.target, headers, call.body)


def code(reply: Reply) -> str:
    if reply.headers.get("content-type") != "application/problem+json" or not reply.body:
        return ""
    return str(reply.json()["code"])


def is_of_the_front(asked: Asked, reply: Reply) -> bool:
    """Whether the front may answer so by itself."""
    refusal = reply.status, code(reply)
    return refusal in OF_THE_FRONT and (refusal != WITH_A_SESSION or "Cookie" in asked.headers)


def visible(asked: Asked, reply: Reply) -> Visible:
    headers = {name: value.encode("latin-1") for name, value in reply.headers.items() if name not in VARYING}
    headers.pop("set-cookie", None)
    # A page for people has tokens of its own.
    is_page = headers.get("content-type", b"").startswith(b"text/html")
    body = b"" if is_page or has_own_body(asked, reply) else plain_body(reply)
    own_id = reply.headers.get("x-correlation-id", "").encode()
    body = body.replace(b'"correlation_id":"%s"' % own_id, b'"correlation_id":"masked"')
    if policy := headers.pop("content-security-policy", None):
        # Its parts come in any order, each process's own.
        headers["content-security-policy"] = b"; ".join(sorted(policy.split(b"; ")))
    return reply.status, {name: masked(value) for name, value in headers.items()}, masked(body)


def plain_body(reply: Reply) -> bytes:
    return decoded(reply.body, reply.headers.get("content-encoding")) if reply.body else b""


def has_own_body(asked: Asked, reply: Reply) -> bool:
    """Whether the bodies of two installations differ where nothing can be masked."""
    path = path_of(asked.target)
    # Times of commits, in numbers, and their hashes.
    is_binary = reply.headers.get("content-type") in BINARY
    return (
        path in BODY_DIFFERS
        or (is_binary and path.endswith(b"/revisions"))
        or (path.endswith(b"/copy") and reply.status == 200)
    )


def path_of(target: str | bytes) -> bytes:
    raw = target.encode("utf-8", "surrogateescape") if isinstance(target, str) else target
    return raw.partition(b"?")[0].rstrip(b"/")


def masked(content: bytes) -> bytes:
    for pattern, mask in MASKED:
        content = pattern.sub(mask, content)
    return content


def recorded(installation: Installation, last: str) -> dict[str, list[dict[str, Any]]]:
    """The records by their calls, but for what differs from one call to the next, once the `last` call has its own."""
    assert eventually(lambda: installation.audited(last))
    found: dict[str, list[dict[str, Any]]] = {}
    for row in map(dict, installation.audited("")):
        shown = {name: row[name] for name in row.keys() - OF_EACH_RECORD}
        shown["detail"] = masked(str(shown["detail"]).encode())
        found.setdefault(row["correlation_id"], []).append(shown)
    return found


SUITES = {
    "operations": of_the_operations,
    "naughty strings": of_naughty_strings,
    "credentials": of_credentials,
    "long requests": of_long_requests,
    "roles": of_roles,
    "held answers": of_held_answers,
    "large bodies": of_large_bodies,
}


@pytest.mark.parametrize("suite", SUITES.values(), ids=SUITES)
def test_the_front_and_django_alone_answer_and_record_the_same(
    both: Prepared, rng: random.Random, suite: Any
):
    by_key = {"X-API-Key": both.keys[ALL_SCOPES], "X-Correlation-ID": f"last-{suite.__name__}"}
    with closing(Wire(both.front.port, None)) as front, closing(Wire(both.django_port, None)) as alone:
        answered = []
        for number, asked in enumerate(suite(both, rng)):
            correlation_id = asked.headers.get("X-Correlation-ID", f"{suite.__name__}-{number}")
            # The front removes white space around a value (RFC 9112, 5.1); Django alone does not.
            asked.headers["X-Correlation-ID"] = correlation_id.strip()
            replies = asked.of(front), asked.of(alone)
            # Without Redis each process counts alone.
            is_degraded = any("x-degraded" in reply.headers for reply in replies)
            if not is_degraded and not is_of_the_front(asked, replies[0]):
                answered.append((asked, *replies))
        for wire in (front, alone):
            assert wire.ask("GET", "/api/v1/clock", by_key).status == 200
    compared = [(asked, visible(asked, one), visible(asked, other)) for asked, one, other in answered]
    assert [difference(*each) for each in compared if each[1] != each[2]] == []
    assert len(answered) >= 15
    last = by_key["X-Correlation-ID"]
    assert (
        unlike_records(answered, *(recorded(each, last) for each in (both.front, both.beside_django))) == []
    )


def unlike_records(
    answered: list[tuple[Asked, Reply, Reply]], behind: Records, alone: Records
) -> list[tuple[Asked, Any, Any]]:
    """The calls whose records differ; of what nobody was told but an address, only some are recorded."""
    found = []
    for asked, *replies in answered:
        ids = [reply.headers.get("x-correlation-id", "") for reply in replies]
        pair = behind.get(ids[0], []), alone.get(ids[1], [])
        is_counted = not all(pair) and not any(record["caller"] for records in pair for record in records)
        if pair[0] != pair[1] and not is_counted:
            found.append((asked, *pair))
    return found


def difference(asked: Asked, front: Visible, alone: Visible) -> tuple[Asked, dict[str, tuple[Any, Any]]]:
    """Where two answers differ: only that is worth a look."""
    parts: dict[str, tuple[Any, Any]] = {
        name: (front[1].get(name), alone[1].get(name)) for name in {*front[1], *alone[1]}
    }
    pairs = enumerate(zip(front[2], alone[2], strict=False))
    at = max(0, next((number for number, (one, other) in pairs if one != other), 0) - 40)
    parts |= {"status": (front[0], alone[0]), "body": (front[2][at : at + 120], alone[2][at : at + 120])}
    return asked, {name: each for name, each in parts.items() if each[0] != each[1]}
