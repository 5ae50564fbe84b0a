"""A flood of calls without a caller: one record and one count for each address and minute, audit-first calls included."""

import json

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from audit.models import AuditRecord
from audit.services import anonymous_refusals, call_record, call_spool
from tests.api_client import Api
from tests.audit.builders import AT, spool_records
from tests.received_calls import received

FLOOD = 30
INGEST, KEYS, OHLC = "/api/v1/trades/ingest", "/api/v1/keys", "/api/v1/stats/ohlc?symbol=AAPL"

pytestmark = [pytest.mark.usefixtures("project_redis"), pytest.mark.system]


@pytest.fixture(autouse=True)
def _open(settings, tmp_path):
    settings.AUDIT_DIR = tmp_path / "audit"
    settings.ADDRESS_RATE = 10**6
    yield
    call_spool().close()


@pytest.fixture
def spooled(tmp_path):
    """Calls and counts in the spool, once all are counted."""

    def read():
        anonymous_refusals().close()
        records = spool_records(tmp_path / "audit")
        return [r for r in records if "event" not in r], [r for r in records if "event" in r]

    return read


def statuses_of(counts) -> dict[str, int]:
    told: dict[str, int] = {}
    for record in counts:
        for status, number in json.loads(record["detail"])["statuses"].items():
            told[status] = told.get(status, 0) + number
    return told


def within_a_minute(calls, counts) -> bool:
    """Whether there is as little as may be; a flood that began in one minute may end in the next."""
    return len(calls) <= 2 and 1 <= len(counts) <= 2


def test_a_flood_of_refusals_is_one_record_and_one_count(api, spooled):
    stranger, asked = Api(None), [OHLC, "/api/v1/nothing", "/v1/instruments"]
    seen = [stranger.get(asked[n % 3]).status_code for n in range(FLOOD)]
    assert set(seen) == {401, 404}
    calls, counts = spooled()
    assert within_a_minute(calls, counts)
    assert {record["address"] for record in counts} == {"127.0.0.1"}
    told = statuses_of(counts)
    for record in calls:
        told[str(record["status"])] = told.get(str(record["status"]), 0) + 1
    assert told == {"401": seen.count(401), "404": seen.count(404)}


def test_refusals_of_a_flood_are_counted_with_the_status_that_was_answered(api, spooled, settings):
    settings.ADDRESS_RATE = 1
    seen = [Api(None).get(OHLC).status_code for _ in range(FLOOD)]
    assert 429 in seen
    calls, counts = spooled()
    assert statuses_of(counts).get("429", 0) + [r["status"] for r in calls].count(429) == seen.count(429)


@pytest.mark.django_db
def test_audit_first_calls_without_a_caller_are_counted_too_and_write_nothing(api, spooled):
    before = AuditRecord.objects.count()
    stranger = Api(None)
    assert stranger.call("POST", KEYS, b'{"name":"x"}').status_code == 401
    first = AuditRecord.objects.filter(sequence__gt=before).values_list("audit_class", "status", "path")
    assert list(first) == [("keys", 401, KEYS)]
    with CaptureQueriesContext(
        connection,
    ) as queries:
        seen = [stranger.call("POST", KEYS, b'{"name":"x"}').status_code for _ in range(FLOOD)]
    assert seen == [401] * FLOOD
    assert AuditRecord.objects.count() <= before + 2
    assert len([q for q in queries if "audit_" in q["sql"]]) <= 10
    calls, counts = spooled()
    assert calls == []
    assert statuses_of(counts)["401"] >= FLOOD - 1


def test_refusals_of_a_caller_are_recorded_each(api, spooled):
    for _ in range(5):
        assert api.get(f"{OHLC}&interval=nonsense").status_code == 422
    calls, counts = spooled()
    assert ([record["status"] for record in calls], counts) == ([422] * 5, [])


@pytest.mark.parametrize(
    ("caller", "status", "expected"),
    [("", 200, 4), ("", 204, 4), ("", 304, 4), ("key:1", 429, 4), ("", 308, 1), ("", 400, 1), ("", 500, 1)],
)
def test_what_is_counted_is_no_success_and_nobodys(db, spooled, caller, status, expected):
    # Addresses apart from those of the other cases: their minute may be the same.
    for _ in range(4):
        assert call_record(
            spool=call_spool(),
            call=received(path="/v1/x", address=f"192.0.2.{status % 256}"),
            at=AT,
            caller=caller,
            status=status,
            latency_us=1,
            correlation_id="",
        )
    calls, counts = spooled()
    assert len(calls) in {expected, 2 if expected == 1 else expected}
    assert bool(counts) is (expected == 1)
