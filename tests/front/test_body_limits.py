"""How large a body may be: by endpoint, and refused before anything reads it."""

import pytest
from django.test import Client

from tests.api_client import INGEST, Api, body_of, problem, trade
from tests.ratelimit.access.urlconf import ACCESS
from web.endpoints import ANY_CALLER, ANYBODY, SMALL_BODY_BYTES, body_limit

MIB = 2**20
LARGE = {
    "trades-ingest", "quotes-ingest", "bars-ingest", "open-interest-ingest", "option-quotes-ingest", "corporate-actions-ingest",
    "universe-changes-ingest", "trading-status-ingest",
    "trades-corrections", "bars-corrections", "open-interest-corrections", "corporate-actions-corrections",
    "trading-status-corrections", "order-batch", "order-batch-cancel",
    "upload", "exports",
}  # fmt: skip
SMALL = [
    ("POST", "/api/v1/auth/token"),
    ("POST", "/api/v1/auth/refresh"),
    ("POST", "/api/v1/auth/logout"),
    ("POST", "/api/v1/oauth/token"),
    ("POST", "/api/v1/keys"),
    ("PUT", "/api/v1/instruments/AAPL"),
    ("POST", "/api/v1/cache/invalidate"),
    ("GET", "/api/v1/stats/ohlc"),
    ("POST", "/login"),
    ("POST", "/nowhere"),
    ("DELETE", INGEST),
]


@pytest.mark.parametrize(("method", "path"), SMALL, ids=str)
def test_a_small_endpoint_refuses_one_byte_more(api: Api, method: str, path: str):
    body = b" " * (SMALL_BODY_BYTES + 1)
    response = api.call(method, path, body)
    assert problem(response) == (413, "body_too_large")
    assert "at most 16,384 bytes" in response.json()["message"]
    assert api.call(method, path, body[:-1]).status_code != 413


@pytest.mark.parametrize(
    ("path", "content_type", "mib"),
    [
        (INGEST, "text/csv", 32),
        ("/v1/trades/ingest", "Application/JSON; charset=utf-8", 16),
        (INGEST, "application/msgpack", 16),
        ("/v1/trades/corrections/", "", 16),
    ],
)
def test_batches_and_corrections_may_be_large(path: str, content_type: str, mib: int):
    assert body_limit(path, "POST", content_type) == mib * MIB


def test_a_stranger_is_told_the_limit_too(db):
    response = Client().post("/api/v1/auth/refresh", b" " * 20_000, content_type="application/json")
    assert problem(response) == (413, "body_too_large")


def test_large_bodies_are_of_callers_alone():
    """The front asks who sends a large body before it reads it: nobody else has one to send."""
    large = {name: access for (name, _), access in ACCESS.items() if access.body_bytes > SMALL_BODY_BYTES}
    assert set(large) == LARGE
    assert not {access.scope for access in large.values()} & {ANYBODY, ANY_CALLER}


def test_a_refused_body_is_charged_to_its_sender(api: Api):
    response = api.call("POST", "/api/v1/cache/invalidate", b" " * 20_000)
    assert response.status_code == 413
    assert "X-RateLimit-Remaining" in response.headers


def test_a_batch_of_more_than_a_small_body_is_taken(api: Api):
    rows = [trade(trade_id=str(number)) for number in range(300)]
    assert len(body_of(*rows)) > SMALL_BODY_BYTES
    assert api.ingest(*rows).status_code == 200
