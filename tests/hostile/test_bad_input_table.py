"""What a stock Django answers with 500, with HTML or with success: each row comes out right here."""

import random
from pathlib import Path

import orjson
import pytest

from tests.chance import SOAK
from tests.front.front_server import Reply
from tests.hostile import failing_views
from tests.hostile.operations import JSON, Operation, body_bytes, valid_call, value_for
from tests.hostile.wire import MEMBERS, Wire, checked, code
from tests.system.installation import Installation

pytestmark = pytest.mark.xdist_group("hostile")

INGEST = "/api/v1/trades/ingest"
OHLC = "/api/v1/stats/ohlc"
WINDOW = "start=2025-01-02T14:00:00Z&end=2025-01-02T15:00:00Z"
OAUTH = ("oauth_token", "oauth_revoke")
# Of each kind some, and the soak has all of them.
NO_SYMBOLS = ["%00", "%2e%2e%2f%2e%2e%2fx", "%0d%0aX:%201", "A" * 33]
if SOAK:
    NO_SYMBOLS += [
        "%ff%fe", "..%2fx", "%252e", "AAPL%00", "%c0%af", "..%5cx", "%ed%a0%80", "%CE%91APL", "%EF%BC%A1", "%0a", "%25", "A" * 300, "%20", "a%20%20b", "%7Eroot",
        "%e2%80%ae", "-A", ".A", "~",
    ]  # fmt: skip


def some(operations: list[Operation], rng: random.Random, count: int) -> list[Operation]:
    return operations if SOAK else rng.sample(operations, min(count, len(operations)))


def refusal(reply: Reply) -> tuple[int, str]:
    return reply.status, code(reply)


def files(installation: Installation) -> dict[Path, tuple[int, int]]:
    """Size and time of every file of the store, without what a keeper derives from them in its own time."""
    folder = installation.served.data_dir
    foreign = {folder / "run", folder / "audit"}
    return {
        path: (path.stat().st_size, path.stat().st_mtime_ns) if path.is_file() else (0, 0)
        for path in folder.rglob("*")
        if not foreign & {path, *path.parents} and "sqlite3" not in path.name and ".derived" not in path.parts
    }


@pytest.mark.parametrize("depth", [980, 100_000])
def test_json_nested_deeply_is_400(wire: Wire, operations: list[Operation], rng: random.Random, depth: int):
    takers = [operation for operation in operations if JSON in operation.media_types]
    for operation in some(takers, rng, 8):
        call = valid_call(operation, rng)
        for body in (b"[" * depth + b"]" * depth, b'{"a":' * depth + b"0" + b"}" * depth):
            call.raw_body = body
            is_large = len(body) > body_bytes(operation)
            expected = (413, "body_too_large") if is_large else (400, "nesting_too_deep")
            assert refusal(checked(call.sent(wire), operation)) == expected


def test_a_failure_of_the_server_is_a_problem_that_says_nothing_of_it(wire: Wire):
    reply = wire.ask("GET", failing_views.PATH, {"X-Correlation-ID": "find-me"})
    problem = reply.json()
    assert (reply.status, problem["code"], set(problem)) == (500, "internal_error", MEMBERS)
    assert reply.headers["content-type"] == "application/problem+json"
    assert problem["correlation_id"] == reply.headers["x-correlation-id"] == "find-me"
    assert not [
        word for word in (b"Traceback", b"failing_views", failing_views.SECRET.encode()) if word in reply.body
    ]


@pytest.mark.parametrize("symbol", NO_SYMBOLS)
def test_a_symbol_that_is_none_is_refused_before_any_file_is_touched(
    installation: Installation, wire: Wire, operations: list[Operation], symbol: str
):
    before = files(installation)
    for operation in operations:
        for parameter in operation.of_place("path"):
            if parameter.name != "symbol":
                # What is no number is no key, what is no UUID no job, and what is not stored no account and no model.
                continue
            path = operation.path.replace(f"{{{parameter.name}}}", symbol).replace("{dataset}", "trades")
            body = None if operation.example is None else orjson.dumps(operation.example)
            reply = wire.ask(operation.method, f"{path}?{WINDOW}", {"Content-Type": JSON}, body)
            # What has more parts than a symbol can have is no path of ours.
            expected = {400, 404, 422} if symbol.count("%2f") > 1 else {400, 422}
            assert checked(reply, (operation.name, symbol)).status in expected, (
                operation.name,
                reply,
            )
    assert refusal(checked(wire.ask("GET", f"{OHLC}?symbol={symbol}"), symbol)) == (422, "invalid_symbol")
    reply = wire.ask(
        "POST",
        f"{INGEST}?symbol={symbol}",
        {"Content-Type": "text/csv"},
        b"timestamp,price,volume\n2025-01-02,1,1\n",
    )
    assert refusal(checked(reply, symbol)) == (422, "invalid_symbol")
    assert files(installation) == before


def test_a_line_end_behind_a_path_makes_it_another_one(
    wire: Wire, operations: list[Operation], rng: random.Random
):
    read = {operation.path for operation in operations if operation.method == "GET"}
    calls = [(operation.path, valid_call(operation, rng).target) for operation in operations]
    for path, target in [*calls, *((each, each) for each in ("/healthz", "/readyz", "/schema", "/docs"))]:
        reply = wire.ask("GET", f"{target.partition('?')[0]}%0a")
        refused = {404, 422} if path in read or path == target else {404, 405, 422}
        assert checked(reply, path).status in refused, path


def test_a_parameter_given_twice_or_empty_is_400(wire: Wire, operations: list[Operation], rng: random.Random):
    for operation in some(operations, rng, 12):
        for parameter in operation.of_place("query"):
            # Some are known in other formats only; then they are 400 all the same.
            is_of_others = parameter.name == "symbol" and JSON in operation.media_types
            call = valid_call(operation, rng)
            # Another format may not know what else the call names.
            given = dict(call.query).get(parameter.name, value_for(operation, parameter, rng))
            if parameter.name == "format":
                given = "ndjson" if operation.path.endswith("/stream") else "json"
            call.query = [*call.with_query(parameter.name, given).query, (parameter.name, given)]
            expected = "unknown_parameter" if is_of_others else "repeated_parameter"
            assert refusal(checked(call.sent(wire), call)) == (400, expected), call
            call = valid_call(operation, rng).with_query(parameter.name, "")
            expected = "unknown_parameter" if is_of_others else "empty_parameter"
            assert refusal(checked(call.sent(wire), call)) == (400, expected), call


def test_a_parameter_that_is_not_known_is_400_and_the_nearest_is_named(
    wire: Wire, operations: list[Operation], rng: random.Random
):
    for operation in some(operations, rng, 40):
        names = [each.name for each in operation.of_place("query")]
        typo = f"{names[0][:-1]}_" if names else "limt"
        reply = checked(valid_call(operation, rng).with_query(typo, "1").sent(wire), (operation.name, typo))
        # OAuth2 has a code of its own for this, and takes no parameters there.
        expected = "invalid_request" if operation.name in OAUTH else "unknown_parameter"
        assert refusal(reply) == (400, expected)
        assert not names or len(names[0]) < 4 or names[0] in reply.json()["message"], reply.body
