"""`GET /audit`: pages, filters, export."""

import json

import pytest

from audit.chain.links import GENESIS
from audit.models import AuditRecord
from tests.api_client import Api, make_key
from tests.audit.builders import chain_of, record

AUDIT = "/api/v1/audit"


@pytest.fixture
def log(api, django_assert_max_num_queries):
    """Twenty records before those that the caller's key has left; their ids by number."""
    chain_of(20)
    record(20, caller="", method="POST", path="/v1/trades/ingest", status=401)
    record(21, audit_class="config", detail='{"body":{"a":1}}')
    record(22, method="", path="", status=0, event="key.rotated", audit_class="keys", subject="key:9")
    return api


def listed(api, **query):
    answer = api.get(AUDIT, {"since": "2025-01-02T03:00Z", "until": "2025-01-02T04:00Z", **query})
    assert answer.status_code == 200, answer.content
    return [int(row["correlation_id"].removeprefix("call-")) for row in answer.json()["records"]]


def test_the_newest_come_first(log):
    assert listed(log) == [*range(22, -1, -1)]
    assert listed(log, sort="asc", limit="3") == [0, 1, 2]


FILTERS = [
    ({"caller": "-"}, [20]),
    ({"method": "POST"}, [20]),
    ({"method": "CLOSE"}, []),
    ({"path": "/v1/"}, [20]),
    ({"path": "/V1/"}, []),
    ({"path": "/v1/%"}, []),
    ({"status_class": "4xx"}, [20]),
    ({"class": "config"}, [21]),
    ({"event": "key."}, [22]),
    ({"event": "Key."}, []),
    ({"correlation_id": "call-7"}, [7]),
    ({"since": "2025-01-02T03:05Z", "until": "1735787160"}, [5]),
    ({"caller": "key:1", "status_class": "5xx"}, []),
]


def test_filters(log):
    for query, expected in FILTERS:
        assert listed(log, **query) == expected


def test_a_record_is_told_with_its_detail_and_the_hash_before(log):
    row = log.get(AUDIT, {"class": "config", "since": "2025-01-02", "until": "2025-01-03"}).json()["records"][
        0
    ]
    stored = AuditRecord.objects.get(correlation_id="call-21")
    assert row["detail"] == {"body": {"a": 1}}
    assert (row["hash"], row["at"]) == (stored.hash, "2025-01-02T03:21:00Z")
    assert row["previous"] == AuditRecord.objects.get(pk=stored.pk - 1).hash


@pytest.mark.parametrize("sort", ["asc", "desc"])
def test_a_walk_shows_each_record_once_in_both_directions(log, sort):
    query = {"caller": "key:1", "limit": "4", "sort": sort, "until": "2025-01-03"}
    pages = [log.get(AUDIT, query).json()]
    while cursor := pages[-1]["next_cursor"]:
        pages.append(log.get(AUDIT, {**query, "cursor": cursor}).json())
    seen = [row["sequence"] for page in pages for row in page["records"]]
    assert seen == sorted(set(seen), reverse=sort == "desc")
    assert len(seen) == 22 == pages[0]["total_estimate"]
    assert pages[0]["prev_cursor"] is None
    back = log.get(AUDIT, {**query, "cursor": pages[-1]["prev_cursor"]}).json()
    assert back["records"] == pages[-2]["records"]
    assert back["next_cursor"] is not None


def test_an_empty_list_has_no_cursors(log):
    page = log.get(AUDIT, {"caller": "nobody"}).json()
    assert (page["records"], page["next_cursor"], page["prev_cursor"]) == ([], None, None)


WRONG_QUERIES = [
    ("limit=0", "invalid_limit"),
    ("limit=x", "invalid_limit"),
    ("limit=10001", "invalid_limit"),
    ("sort=up", "invalid_parameter"),
    ("cursor=abc", "invalid_cursor"),
    ("cursor=%C3%A9", "invalid_cursor"),
    ("since=yesterday", "invalid_parameter"),
    ("since=123", "invalid_parameter"),
    ("since=2300-01-01", "invalid_parameter"),
    ("since=2025-01-03&until=2025-01-02", "invalid_range"),
    ("since=2025-01-02&until=2025-01-02T00:00:00Z", "invalid_range"),
    ("method=get", "invalid_parameter"),
    ("class=none", "invalid_parameter"),
    ("caler=key:1", "unknown_parameter"),
    ("zzz=1", "unknown_parameter"),
    ("caller=a&caller=b", "repeated_parameter"),
    ("caller=", "empty_parameter"),
    ("format=ndjson&limit=3", "unknown_parameter"),
]


def test_what_is_wrong_is_400(log):
    for query, code in WRONG_QUERIES:
        answer = log.get(f"{AUDIT}?{query}")
        assert (answer.status_code, json.loads(answer.content)["code"]) == (400, code)
        assert answer["Content-Type"] == "application/problem+json"


def test_a_cursor_of_another_query_is_400(log):
    cursor = log.get(AUDIT, {"limit": "2"}).json()["next_cursor"]
    answer = log.get(AUDIT, {"limit": "2", "caller": "key:1", "cursor": cursor})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_cursor")


@pytest.mark.parametrize("query", [{"format": "ndjson"}, {}], ids=["format", "accept"])
def test_the_export_is_streamed_with_the_hashes_of_the_chain(log, query, monkeypatch):
    monkeypatch.setattr("audit.reading.export.PIECE_RECORDS", 5)
    answer = log.get(AUDIT, {"caller": "key:1", **query}, accept="application/x-ndjson")
    assert (answer.streaming, answer["Content-Type"]) == (True, "application/x-ndjson")
    lines = answer.getvalue().splitlines()
    assert [json.loads(line)["correlation_id"] for line in lines] == [
        f"call-{number}" for number in (*range(20), 21, 22)
    ]
    hashes = dict(AuditRecord.objects.values_list("sequence", "hash"))
    for each in map(json.loads, lines):
        before = hashes.get(each["sequence"] - 1, GENESIS)
        assert (each["previous"], each["hash"]) == (before, hashes[each["sequence"]])


def test_the_log_is_for_those_who_may_read_it(log):
    assert Api(make_key(scopes=("market:read",))).get(AUDIT).status_code == 403
    assert Api(None).get(AUDIT).status_code == 401


METHODS = ["POST", "PUT", "PATCH", "DELETE"]


def test_nothing_is_written_there(log):
    for method in METHODS:
        assert log.call(method, AUDIT, b"{}").status_code in {403, 405}


def test_a_page_for_people_is_shown(log):
    answer = log.get(AUDIT, {}, accept="text/html")
    assert (answer.status_code, b"key.rotated" in answer.content) == (200, True)


def test_what_an_instrument_was_and_is_is_recorded(api):
    body = b'{"tick_size": 0.05, "currency": "USD"}'
    assert api.call("PUT", "/api/v1/instruments/AAPL", body).status_code == 200
    row = AuditRecord.objects.get(method="PUT")
    told = json.loads(row.detail)
    assert (row.audit_class, row.status, told["body"]) == ("config", 200, json.loads(body))
    assert {"path": "tick_size", "before": None, "after": 0.05} in told["change"]
    assert api.call("PUT", "/api/v1/instruments/AAPL", b'{"tick_size": -1}').status_code == 422
    assert [row.status for row in AuditRecord.objects.filter(method="PUT")] == [422, 200]
