"""Calls of an audit-first class: their record and their change are one, or there is neither."""

import json
from contextlib import contextmanager
from typing import Any, cast

import pytest
from django.db import OperationalError, connection
from django.test import Client

from audit.chain.verify import chain_verify
from audit.models import AuditRecord
from audit.reading.export import ndjson_pieces
from audit.services import call_spool, spool_collect
from tests.audit.builders import AT, spool_records
from tests.audit.recording import audit_first_views
from tests.audit.recording.audit_first_views import Authentication, Elsewhere, written
from web.problem_body import PROBLEM_OF

pytestmark = pytest.mark.django_db
# Its commit is what no interface names.
DATABASE: Any = connection


@pytest.fixture
def client(tmp_path, settings):
    Elsewhere.changed.clear()
    settings.AUDIT_DIR = tmp_path
    settings.ROOT_URLCONF = audit_first_views.__name__
    settings.MIDDLEWARE = ["audit.recording.middleware.AuditMiddleware"]
    settings.REST_FRAMEWORK = {
        "UNAUTHENTICATED_USER": None,
        "EXCEPTION_HANDLER": f"{audit_first_views.__name__}.refusal",
    }
    with PROBLEM_OF.replaced(audit_first_views.AuditProblem):
        yield Client(headers={"X-API-Key": "k"}, raise_request_exception=False)
    call_spool().close()


@pytest.fixture
def spooled(client, tmp_path):
    return lambda: spool_records(tmp_path)


def post(client, url, body=b'{"a": 1}', **headers):
    return client.post(url, body, content_type="application/json", headers=headers)


def recorded():
    return list(AuditRecord.objects.order_by("sequence"))


@contextmanager
def refusing(statement, error=OperationalError):
    """The database refuses one kind of statement."""

    def refuse(execute, sql, params, many, context):
        if sql.startswith(statement):
            raise error("disk I/O error")
        return execute(sql, params, many, context)

    with connection.execute_wrapper(refuse):
        yield


def test_change_and_record_are_there_when_the_answer_is(client, spooled):
    answer = post(client, "/api/v1/keys/201?token=t", b'{"name": "a", "password": "p"}', **{"X-Nonce": "1"})
    assert (answer.status_code, written()) == (201, {"nonce", "change"})
    event, record = recorded()
    assert (event.sequence, event.event, event.subject) == (1, "changed", "a")
    assert (record.sequence, record.caller, record.method, record.status) == (2, "key:12", "POST", 201)
    assert (record.path, record.query, record.audit_class) == ("/api/v1/keys/201", "token=***", "keys")
    assert json.loads(record.detail) == {"body": {"name": "a", "password": "***"}}
    assert spooled() == []


def test_what_was_there_before_and_after_a_change_elsewhere_is_in_its_record(client, spooled):
    assert post(client, "/api/v1/outcome/200").status_code == 200
    (record,) = recorded()
    assert json.loads(record.detail)["change"] == [
        {"path": "note", "before": "***", "after": "***"},
        {"path": "tick", "before": 1, "after": 2},
    ]
    assert (Elsewhere.changed, spooled()) == (["200"], [])


@pytest.mark.parametrize("outcome", ["200", "404"])
def test_a_call_that_changes_nothing_is_recorded_before_it_is_answered(client, spooled, outcome):
    assert post(client, f"/api/v1/unchanged/{outcome}").status_code == int(outcome)
    assert [(record.status, record.audit_class) for record in recorded()] == [(int(outcome), "keys")]
    assert spooled() == []


@pytest.mark.parametrize("outcome", ["401", "403", "404", "422", "429", "500", "409"])
def test_a_refusal_is_recorded_and_its_change_taken_back(client, spooled, outcome):
    answer = post(client, f"/api/v1/keys/{outcome}", **{"X-Nonce": "1"})
    expected = {"422": 400}.get(outcome, int(outcome))
    assert answer.status_code == expected
    assert [record.status for record in recorded()] == [expected]
    assert written() == {"nonce"}
    assert spooled() == []


@pytest.mark.parametrize("outcome", ["404", "500"])
def test_a_refusal_of_a_change_elsewhere_is_recorded(client, spooled, outcome):
    assert post(client, f"/api/v1/outcome/{outcome}").status_code == int(outcome)
    assert [record.status for record in recorded()] == [int(outcome)]
    assert (Elsewhere.changed, spooled()) == ([], [])


def test_whoever_is_not_let_in_is_recorded_and_has_used_a_nonce(client):
    assert post(client, "/api/v1/refused/201", **{"X-Nonce": "1"}).status_code == 429
    assert [record.status for record in recorded()] == [429]
    assert written() == {"nonce"}


def test_what_cannot_be_rendered_is_an_error_and_changes_nothing(client):
    assert post(client, "/api/v1/unspeakable").status_code == 500
    assert [record.status for record in recorded()] == [500]
    assert written() == set()


def test_a_viewset_is_audit_first_as_well(client):
    assert post(client, "/api/v1/things").json() == {"made": True}
    assert [record.status for record in recorded()] == [201]


@pytest.mark.parametrize(("status", "left"), [(200, {"change"}), (404, set())])
def test_a_view_that_lets_everybody_in_is_audit_first_as_well(client, status, left):
    assert post(client, f"/api/v1/open?status={status}", b"").status_code == status
    assert [(record.status, record.detail) for record in recorded()] == [(status, "")]
    assert written() == left


def test_a_refusal_of_a_view_that_is_none_of_drfs_is_recorded(client):
    client.defaults["REMOTE_ADDR"] = "192.0.2.9"  # whose first refusal it is
    assert post(client, "/api/v1/plain").status_code == 409
    assert [record.status for record in recorded()] == [409]


@pytest.mark.parametrize("path", ["easy", "wrongly-following"])
def test_a_recorded_change_of_an_endpoint_that_is_not_audit_first_is_an_error_and_not_made(
    client, spooled, path
):
    assert post(client, f"/api/v1/{path}/201").status_code == 500
    assert (written(), recorded()) == (set(), [])
    assert [record["status"] for record in spooled()] == [500]


@pytest.mark.parametrize("status", [200, 404])
def test_a_call_whose_record_follows_needs_no_chain_and_its_record_has_its_class(client, spooled, status):
    with refusing('UPDATE "audit_chainends"'), refusing("INSERT INTO audit_auditrecord"):
        assert post(client, f"/api/v1/following/{status}").status_code == status
    assert (written(), recorded()) == ({"change"}, [])
    (line,) = spooled()
    assert (line["caller"], line["status"], line["audit_class"]) == ("key:12", status, "trading")
    assert spool_collect(now=AT) == 1
    (record,) = recorded()
    assert (record.status, record.audit_class, record.detail) == (status, "trading", "")


def test_a_stream_is_recorded_before_it_begins(client):
    answer = post(client, "/api/v1/stream")
    assert [record.status for record in recorded()] == [200]
    assert answer.getvalue() == b"ab"


def test_a_process_that_is_told_to_end_leaves_nothing(client):
    with pytest.raises(KeyboardInterrupt):
        post(client, "/api/v1/keys/0")
    assert (written(), recorded()) == (set(), [])
    assert not connection.needs_rollback


def test_an_interruption_before_anybody_is_let_in_opens_nothing(client, monkeypatch):
    monkeypatch.setattr(Authentication, "authenticate", refused_authentication)
    with pytest.raises(KeyboardInterrupt):
        post(client, "/api/v1/keys/201")
    assert recorded() == []


def refused_authentication(self, request):
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    "url",
    [
        "/api/v1/keys/201",
        "/api/v1/open",
        "/api/v1/refused/201",
        "/api/v1/unchanged/200",
        "/api/v1/outcome/200",
    ],
)
def test_a_call_that_cannot_be_recorded_is_refused_and_nothing_is_done(client, spooled, url):
    with refusing('UPDATE "audit_chainends"'):
        answer = post(client, url)
    assert (answer.status_code, answer.content) == (503, b"audit_unavailable")
    assert (written(), Elsewhere.changed, recorded()) == (set(), [], [])
    assert [(record["path"], record["status"]) for record in spooled()] == [(url, 503)]


@pytest.mark.parametrize(
    ("url", "code", "changed"),
    [
        ("/api/v1/keys/201", b"audit_unavailable", []),
        ("/api/v1/outcome/200", b"outcome_unknown", ["200"]),
        ("/api/v1/outcome/404", b"audit_unavailable", []),
    ],
    ids=["keys", "config", "config-refused"],
)
def test_a_record_that_fails_takes_the_change_with_it_where_it_is_in_the_database(
    client, spooled, url, code, changed
):
    with refusing("INSERT INTO audit_auditrecord"):
        answer = post(client, url)
    assert (answer.status_code, answer.content) == (503, code)
    assert (written(), Elsewhere.changed, recorded()) == (set(), changed, [])
    assert [record["status"] for record in spooled()] == [503]


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("/api/v1/keys/201", b"outcome_unknown"),
        ("/api/v1/outcome/200", b"outcome_unknown"),
        ("/api/v1/unchanged/404", b"audit_unavailable"),
    ],
    ids=["keys", "config", "keys-refused"],
)
@pytest.mark.django_db(transaction=True)
def test_a_commit_whose_confirmation_is_lost_leaves_the_outcome_unknown(client, monkeypatch, url, code):
    commit = cast("Any", connection)._commit

    def commit_and_lose():
        commit()
        raise OperationalError("the connection was lost")

    monkeypatch.setattr(DATABASE, "_commit", commit_and_lose)
    answer = post(client, url)
    assert (answer.status_code, answer.content) == (503, code)
    assert written() == ({"change"} if "keys" in url else set())
    assert [record.status for record in recorded() if record.method] == [
        404 if "404" in url else int(url[-3:])
    ]


def test_an_error_of_the_program_is_no_answer_of_the_view(client, settings, spooled, monkeypatch):
    monkeypatch.setattr("audit.recording.middleware.columns_of_audit_first_call", broken)
    assert post(client, "/api/v1/keys/201").status_code == 500
    assert (written(), recorded()) == (set(), [])
    assert [record["status"] for record in spooled()] == [500]


def broken(*args, **kwargs):
    raise RuntimeError


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", None),
        (b'{"name": "a", "a": [{"token": "t"}]}', {"name": "a", "a": "***"}),
        (b'"abcdefgh"', {"bytes": 10}),
        (b"{", {"bytes": 1, "sha256": "021fb596db81e6d02bf3d2586ee3981fe519f275c0ac9ca76bbcf2ebb4097d96"}),
        (b"[" * 4000, {"bytes": 4000}),
        (b'"' + b"a" * 4095 + b'"', {"bytes": 4097}),
    ],
    ids=["none", "nested", "text", "malformed", "deep", "long"],
)
def test_a_body_is_told_masked_or_by_its_size(client, body, told):
    post(client, "/api/v1/open", body)
    detail = recorded()[0].detail
    if told is None:
        assert detail == ""
    elif isinstance(told, dict) and "bytes" in told:
        assert told.items() <= json.loads(detail)["body"].items()
    else:
        assert json.loads(detail)["body"] == told


@pytest.mark.parametrize("url", ["/api/v1/easy-read", "/page"])
def test_other_calls_are_not_recorded_first(client, spooled, url):
    post(client, url)
    assert recorded() == []
    assert len(spooled()) == (url != "/page")


def test_line_feeds_and_surrogates_add_no_record_and_break_none(client):
    body = b'{"a": "\\r\\n{}\\u0000\\ud800", "b\\r\\n": 1}'
    query = "a=%0d%0a&b=\udcff\r\n{}&c=\0"
    for address in ("192.0.2.1", "192.0.2.2"):
        client.post(
            "/api/v1/open", body, content_type="application/json", QUERY_STRING=query, REMOTE_ADDR=address
        )
    assert [record.sequence for record in recorded()] == [1, 2]
    assert chain_verify(first=2).last.sequence == 2
    assert len(b"".join(ndjson_pieces(AuditRecord.objects.all())).splitlines()) == 2
