"""What requests are charged for their rows, through Django and by the event loop."""

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from ratelimit.keys.services import key_create
from stats.caching.response_cache import RESPONSE_CACHE
from tests.api_client import Api, make_key, problem, trade
from tests.front.repeated import Process, admit_at_once, headers_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("project_redis")]

QUOTA = 100
BARS = "/v1/stats/ohlc?symbol=AAPL"
TREE = "/api/v1/market-data/equities/AAPL/trades?start=2025-01-02T14:00&end=2025-01-02T15:00"
NEWEST = "/api/v1/market-data/equities/AAPL/trades?end=2025-01-02T15:00"
SEVERAL = "/api/v1/market-data/equities/trades?symbols=AAPL,MSFT&start=2025-01-02T14:00&end=2025-01-02T15:00"
INSTRUMENTS = "/api/v1/instruments?sort=asc"
AUDIT = "/api/v1/audit?sort=asc"
KEYS = "/api/v1/keys?sort=asc"


def new_key(quota: int = QUOTA) -> str:
    return key_create(
        name="desk", tier="default", rate=1000, daily_quota=quota, scopes=("all",), sensitivity="confidential",
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
def test_the_event_loop_charges_the_same(api, asked, monkeypatch, standing_clock):
    admit_at_once(monkeypatch)
    assert api.ingest(trade()).status_code == 200
    answers = Process().both(f"{BARS}{asked}", {"X-API-Key": make_key(rate=100)})
    RESPONSE_CACHE.local.clear()
    left = [int(headers_of(answer)["x-ratelimit-remaining"]) for answer in answers]
    assert left[0] - left[1] == 5


def minutes(count: int) -> list[str]:
    first = datetime(2025, 1, 2, tzinfo=UTC)
    return [f"{first + timedelta(minutes=number):%Y-%m-%dT%H:%M:%SZ}" for number in range(count)]


def cost_and_charge(response) -> tuple[int, int]:
    """What an answer says that it cost, and what it cost of a quota."""
    return int(response["X-Cost"]), QUOTA - int(
        response["RateLimit"].partition('"day";r=')[2].partition(";")[0]
    )


def test_rows_that_nobody_asked_the_number_of_are_charged_after_the_work(api):
    assert api.ingest(*(trade(timestamp=minute) for minute in minutes(2_500))).status_code == 200
    for _ in ("computed", "cached"):
        assert cost_and_charge(Api(new_key()).get(BARS)) == (3, 3)


def test_a_stream_is_charged_piece_by_piece(api):
    assert api.ingest(*(trade(timestamp=minute) for minute in minutes(12_000))).status_code == 200
    key = new_key()
    response = Api(key).get("/api/v1/market-data/equities/AAPL/trades/stream.ndjson")
    assert cost_and_charge(response) == (10, 10)
    pieces = response.streaming_content
    rows = 0
    while rows <= 10_000:
        rows += bytes(next(pieces)).count(b"\n")
    assert cost_and_charge(Api(key).get(BARS + "&limit=1")) == (1, 11 + -(-(rows - 10_000) // 1_000))
    assert rows + b"".join(pieces).count(b"\n") == 12_000
    assert cost_and_charge(Api(key).get(BARS + "&limit=1")) == (1, 14)


def test_the_records_of_an_export_are_charged(api, monkeypatch):
    monkeypatch.setattr("audit.reading.export.PIECE_RECORDS", 2)
    monkeypatch.setattr("web.requests.work.WorkKind.per_token", property(lambda _kind: 1))
    assert api.ingest(*(trade(timestamp=minute) for minute in minutes(2))).status_code == 200
    key = new_key()
    for _ in range(12):
        Api(new_key()).get(BARS)
    response = Api(key).get("/api/v1/audit?format=ndjson")
    records = sum(piece.count(b"\n") for piece in response.streaming_content)
    assert records > 10
    assert cost_and_charge(Api(key).get(KEYS))[1] >= records


def test_a_caller_has_four_streams_at_once(api):
    assert api.ingest(trade()).status_code == 200
    caller, other = Api(new_key()), Api(new_key())
    stream = "/api/v1/market-data/equities/AAPL/trades/stream.ndjson"
    opened = [caller.get(stream) for _ in range(4)]
    assert [each.status_code for each in opened] == [200] * 4
    refused = caller.get(stream)
    assert (problem(refused), refused["Retry-After"]) == ((429, "too_many_streams"), "1")
    assert caller.get(BARS).status_code == 200
    # The last piece was read, and a second close is none of another stream's.
    b"".join(opened[0].streaming_content)
    opened[0].close()
    assert caller.get(stream).status_code == 200
    assert problem(caller.get(stream)) == (429, "too_many_streams")
    assert other.get(stream).status_code == 200


def test_rows_and_dates_that_are_stored_are_charged(api):
    days = [f"2025-{month:02}-{day:02}T15:00:00Z" for month in range(1, 13) for day in range(1, 29)]
    response = Api(new_key()).ingest(*(trade(timestamp=day) for day in days))
    # 336 rows and 336 dates.
    assert cost_and_charge(response) == (34, 34)
    assert cost_and_charge(Api(new_key()).ingest(trade(timestamp=days[0]))) == (1, 1)


def test_a_refused_batch_is_charged_by_its_rows(api):
    for body, tokens in ((b'{"trades":[%b{}]}' % (b"{}," * 2_500), 3), (b'{"trades":[{}]}', 1)):
        response = Api(new_key()).call("POST", "/api/v1/trades/ingest", body)
        assert response.status_code == 422
        assert cost_and_charge(response) == (tokens, tokens)


def test_dates_of_corrections_are_charged(api):
    days = [f"2025-{month:02}-{day:02}T15:00:00Z" for month in (1, 2) for day in range(1, 26)]
    assert api.ingest(*(trade(timestamp=day, trade_id="1") for day in days)).status_code == 200
    response = Api(new_key()).correct(
        *({"action": "cancel", "timestamp": day, "trade_id": "1"} for day in days)
    )
    assert cost_and_charge(response) == (6, 6)


def test_work_beyond_the_bucket_is_a_debt_of_at_most_a_burst(api, standing_clock):
    days = [f"2025-{month:02}-{day:02}T15:00:00Z" for month in range(1, 13) for day in range(1, 29)]
    slow = key_create(
        name="slow", tier="default", rate=5, scopes=("all",), sensitivity="internal",
        now=timezone.now(), actor="command:test",
    ).key  # fmt: skip
    response = Api(slow).ingest(*(trade(timestamp=day) for day in days))
    assert (response.status_code, response["X-Cost"], response["X-RateLimit-Remaining"]) == (200, "34", "0")
    refused = Api(slow).ingest(trade(timestamp=days[0]))
    # The bucket owes its 10 tokens, and is filled at 5 a second.
    assert (refused.status_code, refused["Retry-After"]) == (429, "3")
    assert "X-Cost" not in refused.headers


def test_a_call_that_is_refused_for_its_body_pays_for_the_bytes(api):
    body = b"{" + b" " * 2_500_000 + b"}"
    response = Api(new_key()).call("POST", "/api/v1/trades/ingest", body)
    assert response.status_code == 422
    assert cost_and_charge(response) == (3, 3)


@pytest.mark.parametrize("path", [BARS, f"{NEWEST}&last=10"])
def test_a_call_pays_for_its_time_if_that_is_more(api, settings, monkeypatch, path):
    api.ingest(trade())
    settings.PROCESSOR_MS_PER_TOKEN = 10
    spent_ns = iter(range(0, 10**12, 57_000_000))
    monkeypatch.setattr("web.requests.work.time.thread_time_ns", lambda: next(spent_ns))
    status, tokens = charged(path)
    assert (status, tokens) == (200, 5)


def test_an_answer_does_not_say_more_than_a_full_bucket_paid(api, monkeypatch):
    admit_at_once(monkeypatch)
    assert api.ingest(trade()).status_code == 200
    slow = key_create(
        name="slow", tier="default", rate=1, scopes=("all",), sensitivity="internal",
        now=timezone.now(), actor="command:test",
    ).key  # fmt: skip
    answer, again = Process().both(f"{BARS}&limit=5000", {"X-API-Key": slow})
    assert headers_of(answer)["x-cost"] == "2"
    assert again is None


def test_a_call_that_costs_more_than_the_whole_quota_takes_it_whole(api: Api):
    assert api.ingest(trade(timestamp="2025-01-02T14:30:00Z")).status_code == 200
    caller = Api(new_key(quota=5))
    assert caller.get(f"{TREE}&limit=10000").status_code == 200
    assert problem(caller.get(TREE)) == (429, "quota_exceeded")
