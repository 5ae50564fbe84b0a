"""Bodies that break stock parsers: each is a problem with its own code, cheap, and never the server's fault."""

import gzip
import json

import pytest

from marketdata_project.settings.transport import MAX_BODY_BYTES
from store.datasets import TRADES
from tests.api_client import INGEST, answer, body_of, problem, trade
from trades.stores import market_store
from web.requests.parsers import DOCUMENT_BYTES

MALFORMED = (400, "malformed_json")
DUPLICATE = (400, "duplicate_key")
INVALID = (422, "validation_failed")


def with_value(name: str, value: str | bytes) -> bytes:
    """A batch of one row in which a field's value is this JSON text."""
    raw = value.encode() if isinstance(value, str) else value
    return json.dumps({"trades": [trade(**{name: "@"})]}).encode().replace(b'"@"', raw)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"\x00", MALFORMED),
        (b" \t\r\n", MALFORMED),
        (b"\xef\xbb\xbf" + body_of(trade()), MALFORMED),
        (body_of(trade()).decode().encode("utf-16"), MALFORMED),
        (gzip.compress(body_of(trade()), mtime=0), MALFORMED),
        (body_of(trade()) + b"x", MALFORMED),
        (body_of(trade()) + b"\x00", MALFORMED),
        (body_of(trade())[:-1], MALFORMED),
        (body_of(trade())[:-1] + b",}", MALFORMED),
        (body_of(trade()).replace(b":", b"=", 1), MALFORMED),
        (body_of(trade()).replace(b'"', b"'"), MALFORMED),
        (b"// batch\n" + body_of(trade()), MALFORMED),
        (b"\xc2\xa0" + body_of(trade()), MALFORMED),
        (b'{"trades":[],"trades":[]}', DUPLICATE),
        (b'{"trades":[],"tr\\u0061des":[]}', DUPLICATE),
        (b'{"trades":[{"price":1,"price":1}]}', DUPLICATE),
        (body_of(trade()).replace(b'"price"', b'"price":1,"price"'), DUPLICATE),
        (body_of(trade(), trade(symbol="MSFT")).replace(b'"price"', b'"price":1,"pr\\u0069ce"'), DUPLICATE),
        (with_value("x", '{"a":1,"a":1}'), DUPLICATE),
    ],
    ids=lambda value: ascii(value)[:40],
)
def test_a_body_that_is_not_one_json_document_is_400(api, body, expected):
    assert problem(api.ingest(body)) == expected
    assert problem(api.ingest(body, query="unknown=ignore")) == expected


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("price", "NaN", MALFORMED),
        ("price", "Infinity", MALFORMED),
        ("price", "01", MALFORMED),
        ("price", "0x10", MALFORMED),
        ("price", "1_000", MALFORMED),
        ("price", "\uff11\uff12", MALFORMED),
        ("price", "1e999", INVALID),
        ("price", "9007199254740993", INVALID),
        ("price", "9007199254740994.0", INVALID),
        ("price", "9" * 400, INVALID),
        ("price", "1e-999", (422, "nonpositive_price")),
        ("price", "-0.0", (422, "nonpositive_price")),
        ("price", '"1_000"', INVALID),
        ("price", '"\uff11"', INVALID),
        ("price", '"NaN"', INVALID),
        ("price", "[1]", INVALID),
        ("price", '{"$numberDouble":"1"}', INVALID),
        ("volume", str(10**30), INVALID),
        ("volume", "true", INVALID),
        ("sequence", "1.0", INVALID),
        ("sequence", "1" + "0" * 5000, INVALID),
        ("trade_id", "1" + "0" * 5000, INVALID),
        ("trade_id", '"\u202eevil"', INVALID),
        ("exchange", '"XN\\u0000YS"', INVALID),
        ("exchange", '"\\ud800"', MALFORMED),
        ("conditions", '["\\ud800"]', MALFORMED),
        ("exchange", '"a\tb"', MALFORMED),
        ("exchange", b'"\xff"', MALFORMED),
        ("exchange", b'"\xc0\xaf"', MALFORMED),
        ("exchange", b'"\xed\xa0\x80"', MALFORMED),
        ("exchange", '"\\x41"', MALFORMED),
        ("timestamp", '"9999-12-31T23:59:59Z"', INVALID),
        ("timestamp", '"2025-01-02T23:59:60Z"', INVALID),
        ("timestamp", '"2025-01-02T24:00:00Z"', INVALID),
        ("timestamp", '"\uff12025-01-02T00:00:00Z"', INVALID),
        ("timestamp", '"2025-01-02T00:00:00Z\\n"', INVALID),
        ("timestamp", '""', INVALID),
        ("timestamp", "1735828200000", INVALID),
        ("symbol", '"\\u0000"', (422, "invalid_symbol")),
    ],
    ids=lambda value: ascii(value)[:32],
)
def test_a_value_that_is_not_what_it_seems_is_refused(api, name, value, expected):
    assert problem(api.ingest(with_value(name, value))) == expected
    assert market_store().symbols(TRADES) == []


def test_a_key_that_is_half_of_a_surrogate_pair_can_be_spoken_of(api):
    assert problem(api.ingest(b'{"\\ud800":1}')) == MALFORMED
    assert problem(api.ingest(with_value("x", "1").replace(b'"x"', b'"\\ud83d"'))) == MALFORMED


@pytest.mark.parametrize(("depth", "status"), [(10, 200), (100, 200), (1_000, 400), (100_000, 400)])
def test_nesting_in_a_field_that_is_passed_over_is_bounded_too(api, depth, status):
    body = with_value("x", b"[" * depth + b"]" * depth)
    assert api.ingest(body, query="unknown=ignore").status_code == status


LIMITS = {
    "application/json": (body_of(trade()), DOCUMENT_BYTES, "send CSV, Arrow, or an upload"),
    "text/csv": (b"timestamp,symbol,price,volume\n2025-01-02T14:30:00Z,A,1,1\n", MAX_BODY_BYTES, "send less"),
}


@pytest.mark.parametrize("media_type", LIMITS)
def test_a_body_over_the_limit_is_413(api, media_type):
    body, most, words = LIMITS[media_type]
    refused = api.call("POST", INGEST, body.ljust(most + 1), content_type=media_type)
    assert problem(refused) == (413, "body_too_large")
    assert answer(refused)["message"] == f"at most {most:,} bytes are taken here; {words}"
    assert market_store().symbols(TRADES) == []


def test_a_body_of_exactly_the_limit_is_taken(api):
    assert api.ingest(body_of(trade()).ljust(DOCUMENT_BYTES)).status_code == 200
