"""What requests are charged for their rows, through Django and through the front door."""

import pytest
from django.utils import timezone

from marketdata_project.front.door import FrontDoor
from ratelimit.keys.services import key_create
from stats.caching.response_cache import RESPONSE_CACHE
from tests.api_client import Api, trade
from tests.system.front_door import SYMBOL, environ_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("project_redis")]

QUOTA = 100
BARS = "/v1/stats/ohlc?symbol=AAPL"
TREE = "/api/v1/market-data/equities/AAPL/trades?start=2025-01-02T14:00&end=2025-01-02T15:00"
NEWEST = "/api/v1/market-data/equities/AAPL/trades?end=2025-01-02T15:00"
SEVERAL = "/api/v1/market-data/equities/trades?symbols=AAPL,MSFT&start=2025-01-02T14:00&end=2025-01-02T15:00"
INSTRUMENTS = "/api/v1/instruments?sort=asc"
AUDIT = "/api/v1/audit?sort=asc"
KEYS = "/api/v1/keys?sort=asc"


def new_key() -> str:
    return key_create(
        name="desk", tier="default", rate=1000, daily_quota=QUOTA, scopes=("all",), sensitivity="confidential",
        now=timezone.now(), actor="command:test",
    ).key  # fmt: skip


def charged(path: str, **headers: str) -> tuple[int, int]:
    """The status of an answer, and what it cost of a quota."""
    response = Api(new_key()).get(path, **headers)
    day = response["RateLimit"].partition('"day";r=')[2].partition(";")[0]
    response.close()
    return response.status_code, QUOTA - int(day)


@pytest.mark.parametrize(
    ("path", "status", "tokens"),
    [
        (f"{BARS}&{query}", status, tokens)
        for query, status, tokens in (
            ("limit=5000", 200, 5),
            ("lim%69t=10000", 200, 10),
            ("limit=%310000", 200, 10),
            ("limit=010000", 400, 10),
            ("limit=" + "9" * 50, 400, 10),
            ("limit=x", 400, 1),
        )
    ]
    + [
        (f"{path}&{query}", status, tokens)
        for path in (TREE, SEVERAL, INSTRUMENTS, AUDIT, KEYS)
        for query, status, tokens in (("%6cimit=5000", 200, 5), ("limit=10001", 400, 10))
    ]
    + [
        (BARS, 200, 1),
        (f"{NEWEST}&last=10000", 200, 10),
        (f"{NEWEST}&l%61st=10000", 200, 10),
        (f"{NEWEST}&last=20000", 400, 10),
        (f"{AUDIT}&limit=2500", 200, 3),
        ("/api/v1/market-data/equities/latest?symbols=AAPL,MSFT", 200, 1),
        ("/api/v1/market-data/equities/latest?symbols=@NONE", 404, 10),
        ("/api/v1/market-data/equities/trades?last=1&symbols=%40NONE", 404, 10),
    ],
)  # fmt: skip
def test_a_page_is_charged_by_its_rows(api, path, status, tokens):
    for symbol in ("AAPL", "MSFT"):
        assert api.ingest(trade(symbol=symbol)).status_code == 200
    assert charged(path) == (status, tokens)


@pytest.mark.parametrize(
    ("query", "accept", "tokens"),
    [
        ("?format=ndjson", "*/*", 10),
        ("?f%6Frmat=ndj%73on", "*/*", 10),
        ("", "application/x-ndjson", 10),
        ("", "application/json;q=0.5, application/x-ndjson", 10),
        ("?format=json", "application/x-ndjson", 1),
        ("", "application/json", 1),
        ("?limit=2500", "*/*", 3),
    ],
)
def test_the_audit_log_costs_as_a_stream_where_it_is_exported(api, query, accept, tokens):
    assert charged(f"/api/v1/audit{query}", accept=accept) == (200, tokens)


@pytest.mark.parametrize("asked", ["&limit=5000", "&%6cimit=5000"])
def test_the_front_door_charges_the_same(api, asked):
    assert api.ingest(trade(symbol=SYMBOL)).status_code == 200
    key = new_key()
    path = f"/v1/stats/ohlc?symbol={SYMBOL}{asked}"
    assert Api(key).get(path).status_code == 200
    finished = FrontDoor()(environ_of("GET", asked, {"X-API-Key": key}))
    RESPONSE_CACHE.local.clear()
    assert finished is not None
    assert f'"day";r={QUOTA - 10};' in finished.headers["RateLimit"]
