"""What a stock Django answers with 500, with HTML or with success: each row comes out right here."""

import csv
import io
import random
from pathlib import Path

import orjson
import pytest
from django.conf import settings

from tests.hostile import failing_views
from tests.hostile.operations import JSON, Operation, body_bytes, valid_call, value_for
from tests.hostile.wire import MEMBERS, Wire, checked, code
from tests.marketdata_project.front_server import Reply
from tests.system.installation import Installation

pytestmark = pytest.mark.xdist_group("hostile")

INGEST = "/api/v1/trades/ingest"
OHLC = "/api/v1/stats/ohlc"
TRADES = "/api/v1/market-data/equities/{symbol}/trades"
WINDOW = "start=2025-01-02T14:00:00Z&end=2025-01-02T15:00:00Z"
ROW = {"timestamp": "2025-01-02T14:30:00Z", "symbol": "TABLE", "price": 1.5, "volume": 1}
OAUTH = ("oauth_token", "oauth_revoke")
FORMULA = "=cmd|calc"


def posted(wire: Wire, row: dict[str, object], path: str = INGEST) -> Reply:
    return checked(wire.ask("POST", path, {"Content-Type": JSON}, orjson.dumps({"trades": [row]})), row)


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


@pytest.mark.parametrize("depth", [980, 1_000, 5_000, 100_000])
def test_json_nested_deeply_is_400(wire: Wire, operations: list[Operation], rng: random.Random, depth: int):
    for operation in operations:
        if JSON in operation.media_types:
            call = valid_call(operation, rng)
            for body in (b"[" * depth + b"]" * depth, b'{"a":' * depth + b"0" + b"}" * depth):
                call.raw_body = body
                is_large = len(body) > body_bytes(operation)
                expected = (413, "body_too_large") if is_large else (400, "nesting_too_deep")
                assert refusal(checked(call.sent(wire), operation)) == expected


def test_a_body_over_the_limit_is_413_and_one_of_three_megabytes_is_read(wire: Wire):
    body = orjson.dumps({"trades": [ROW]})
    assert wire.ask("POST", INGEST, {"Content-Type": JSON}, body + b" " * 3_000_000).status == 200
    padded = body + b" " * (settings.MAX_BODY_BYTES - len(body) + 1)
    reply = checked(wire.ask("POST", INGEST, {"Content-Type": JSON}, padded), "over the limit")
    assert refusal(reply) == (413, "body_too_large")


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize(
    "path",
    ["/nope", "/api/v1/nope", "/v1/nope", "/api", "/api/v2/nope", "/api/v1/market-data/bonds/A/ohlcv", "/.env", "/api/v1/trades/ingest/more", "//"],
)  # fmt: skip
def test_an_unknown_url_is_a_problem(wire: Wire, method: str, path: str):
    assert refusal(checked(wire.ask(method, path, None, b"{}"), (method, path))) == (404, "not_found")


def test_a_failure_of_the_server_is_a_problem_that_says_nothing_of_it(wire: Wire):
    reply = wire.ask("GET", failing_views.PATH, {"X-Correlation-ID": "find-me"})
    problem = reply.json()
    assert (reply.status, problem["code"], set(problem)) == (500, "internal_error", MEMBERS)
    assert reply.headers["content-type"] == "application/problem+json"
    assert problem["correlation_id"] == reply.headers["x-correlation-id"] == "find-me"
    assert not [
        word for word in (b"Traceback", b"failing_views", failing_views.SECRET.encode()) if word in reply.body
    ]


@pytest.mark.parametrize(
    "price",
    ["1_000", " 1 ", "\u0661\u0662", "\uff11\uff12", "1", "1e3", "0x1", "\u0967", "NaN", "Infinity", ""],
    ids=ascii,
)
def test_a_price_that_is_a_text_is_422(wire: Wire, price: str):
    assert refusal(posted(wire, {**ROW, "price": price})) == (422, "validation_failed")
    line = f"2025-01-02T14:30:00Z,{price},1\n"
    body = f"timestamp,price,volume\n{line}".encode()
    reply = checked(wire.ask("POST", f"{INGEST}?symbol=TABLE", {"Content-Type": "text/csv"}, body), body)
    # In CSV every number is a text, and only plain ASCII ones are numbers.
    assert reply.status == (200 if price in {"1", "1e3"} else 422)


@pytest.mark.parametrize(
    "size", ["1_0", 10**30, 2**63, 2**53 + 1, 2**64, -1, True, 1e300, "10", None, [1]], ids=str
)
def test_a_size_that_is_none_or_over_two_to_the_53_is_422(wire: Wire, size: object):
    body = b'{"trades":[%s]}' % orjson.dumps({**ROW, "volume": "@"}).replace(b'"@"', json_text(size))
    reply = checked(wire.ask("POST", INGEST, {"Content-Type": JSON}, body), size)
    assert refusal(reply) == (422, "negative_volume" if size == -1 else "validation_failed")


def json_text(value: object) -> bytes:
    return str(value).encode() if type(value) is int else orjson.dumps(value)


@pytest.mark.parametrize(
    "body",
    [b'{"trades":[],"trades":[]}', b'{"trades":[{"price":1,"price":1}]}', b'{"trades":[{"price":1,"pr\\u0069ce":2}]}'],
    ids=["batch", "row", "escaped"],
)  # fmt: skip
def test_a_key_given_twice_is_400(wire: Wire, body: bytes):
    for path in (INGEST, "/api/v1/trades/corrections", "/api/v1/cache/invalidate"):
        reply = checked(wire.ask("POST", path, {"Content-Type": JSON}, body), body)
        assert refusal(reply) == (400, "duplicate_key")


@pytest.mark.parametrize("year", ["0001", "0000", "1899", "2201", "9999", "10000", "-0001"])
def test_a_year_that_is_out_of_range_is_422(wire: Wire, year: str):
    reply = posted(wire, {**ROW, "timestamp": f"{year}-01-01T00:00:00Z"})
    assert refusal(reply) == (422, "validation_failed")
    assert checked(wire.ask("GET", f"{OHLC}?symbol=AAPL&start={year}-01-01"), year).status == 400


def test_a_text_that_is_a_formula_is_escaped_in_csv_and_one_that_turns_others_around_is_422(wire: Wire):
    for number, text in enumerate([FORMULA, "+1", "-1", "@SUM(A1)"]):
        row = {
            **ROW,
            "symbol": "FORMULA",
            "trade_id": f"{text}{number}",
            "exchange": text,
            "conditions": [text],
        }
        assert posted(wire, row).status == 200
        assert refusal(posted(wire, {**row, "exchange": f"\u202e{text}"})) == (422, "validation_failed")
    reply = wire.ask("GET", f"{TRADES.format(symbol='FORMULA')}.csv?{WINDOW}")
    cells = [cell for line in csv.reader(io.StringIO(reply.body.decode())) for cell in line]
    assert f"'{FORMULA}" in cells
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]


@pytest.mark.parametrize(
    "symbol",
    ["%00", "AAPL%00", "%ff%fe", "%c0%af", "..%2fx", "%2e%2e%2f%2e%2e%2fx", "..%5cx", "%ed%a0%80", "%CE%91APL", "%EF%BC%A1", "%0a", "%0d%0aX:%201",
     "%252e", "%25", "A" * 300, "A" * 33, "%20", "a%20%20b", "%7Eroot", "%e2%80%ae", "-A", ".A", "~"],
)  # fmt: skip
def test_a_symbol_that_is_none_is_refused_before_any_file_is_touched(
    installation: Installation, wire: Wire, operations: list[Operation], symbol: str
):
    before = files(installation)
    for operation in operations:
        for parameter in operation.of_place("path"):
            if parameter.name == "key":
                # What is no number is no key.
                continue
            path = operation.path.replace(f"{{{parameter.name}}}", symbol)
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
    paths = [valid_call(operation, rng).target.partition("?")[0] for operation in operations]
    for path in [*paths, "/healthz", "/readyz", "/schema", "/docs", "/style.css"]:
        reply = wire.ask("GET", f"{path}%0a")
        assert checked(reply, path).status in {404, 422}, path


def test_a_parameter_given_twice_or_empty_is_400(wire: Wire, operations: list[Operation], rng: random.Random):
    for operation in operations:
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
    for operation in operations:
        names = [each.name for each in operation.of_place("query")]
        typo = f"{names[0][:-1]}_" if names else "limt"
        reply = checked(valid_call(operation, rng).with_query(typo, "1").sent(wire), (operation.name, typo))
        # OAuth2 has a code of its own for this, and takes no parameters there.
        expected = "invalid_request" if operation.name in OAUTH else "unknown_parameter"
        assert refusal(reply) == (400, expected)
        assert not names or len(names[0]) < 4 or names[0] in reply.json()["message"], reply.body
