"""Every API call leaves one record, whatever became of it; nothing else does."""

from datetime import UTC, datetime

import pytest
from django.http import HttpResponse, StreamingHttpResponse
from django.test import Client, RequestFactory
from django.urls import path
from django.utils.functional import SimpleLazyObject
from rest_framework import exceptions
from rest_framework.authentication import BaseAuthentication
from rest_framework.response import Response
from rest_framework.views import APIView

from audit.recording.middleware import AuditMiddleware, is_api_call
from audit.services import call_record, call_spool
from tests.audit.builders import spool_records
from tests.received_calls import received


class Caller:
    identity = "key:12"
    is_authenticated = True


class Authentication(BaseAuthentication):
    def authenticate(self, request):
        return (Caller(), None) if "HTTP_X_API_KEY" in request.META else None

    def authenticate_header(self, request):
        return "Api-Key"


class OutcomeView(APIView):
    authentication_classes = [Authentication]
    permission_classes = []
    throttle_classes = []
    outcomes = {
        "refused": exceptions.NotAuthenticated,
        "throttled": exceptions.Throttled,
        "broken": RuntimeError,
    }

    def get(self, request, outcome):
        if outcome in self.outcomes:
            raise self.outcomes[outcome]
        return Response({"outcome": outcome})


urlpatterns = [path("api/v1/<outcome>", OutcomeView.as_view()), path("page", lambda _: HttpResponse("page"))]


@pytest.fixture
def records(tmp_path, settings):
    settings.AUDIT_DIR = tmp_path
    settings.ROOT_URLCONF = __name__
    settings.MIDDLEWARE = ["audit.recording.middleware.AuditMiddleware"]
    settings.REST_FRAMEWORK = {"UNAUTHENTICATED_USER": None}
    yield lambda: spool_records(tmp_path)
    call_spool().close()


def answer(request, response):
    return AuditMiddleware(lambda _: response)(request)


def api_request(**changes):
    request = RequestFactory().get(
        "/api/v1/stats/ohlc", REMOTE_ADDR="192.0.2.7", QUERY_STRING="symbol=A&token=b"
    )
    vars(request).update({"correlation_id": "0b5c", "user": Caller(), **changes})
    return request


@pytest.mark.parametrize(
    ("path", "recorded"),
    [
        ("/api/v1/stats/ohlc", True),
        ("/udf/history", True),
        ("/v1/trades/ingest", True),
        ("/ws/v1/stream", True),
        ("/api/versions", True),
        ("/api/v1/documents", True),
        ("//api/v1/stats/ohlc", True),
        ("//api/v1/docs", False),
        ("/api/v1/docs", False),
        ("/api/v1/redoc", False),
        ("/api/v1/schema", False),
        ("/api/v1/schema.json", False),
        ("/", False),
        ("/healthz", False),
        ("/admin/audit/auditrecord/", False),
        ("/static/api/v1/x.js", False),
    ],
)
def test_which_paths_are_calls(path, recorded):
    assert is_api_call(path) is recorded


def test_record_says_who_what_and_how_it_went(records):
    before = datetime.now(UTC)
    response = HttpResponse(status=201)
    assert answer(api_request(), response) is response
    (record,) = records()
    assert before <= datetime.fromisoformat(record.pop("at")) <= datetime.now(UTC)
    assert 0 <= record.pop("latency_us") < 60_000_000
    assert record == {
        "caller": "key:12",
        "method": "GET",
        "path": "/api/v1/stats/ohlc",
        "query": "symbol=A&token=***",
        "status": 201,
        "address": "192.0.2.7",
        "correlation_id": "0b5c",
    }


@pytest.mark.parametrize(
    ("outcome", "headers", "status", "caller"),
    [
        pytest.param("fine", {"X-API-Key": "k"}, 200, "key:12", id="answered"),
        pytest.param("refused", {}, 401, "", id="nobody"),
        pytest.param("throttled", {"X-API-Key": "k"}, 429, "key:12", id="throttled"),
        pytest.param("broken", {"X-API-Key": "k"}, 500, "key:12", id="exception"),
        pytest.param("no/such/path", {}, 404, "", id="no-route"),
    ],
)
def test_call_through_django_is_recorded_once(records, outcome, headers, status, caller):
    client = Client(raise_request_exception=False)
    assert client.get(f"/api/v1/{outcome}", headers=headers).status_code == status
    (record,) = records()
    assert (record["status"], record["caller"], record["path"]) == (status, caller, f"/api/v1/{outcome}")


def test_page_is_not_recorded(records):
    assert Client().get("/page").content == b"page"
    assert records() == []


def test_error_that_nobody_turned_into_an_answer_is_recorded_as_500(records):
    def fail(_):
        raise SystemExit

    with pytest.raises(SystemExit):
        AuditMiddleware(fail)(api_request())
    assert [record["status"] for record in records()] == [500]


def test_streamed_answer_is_recorded_before_its_body_is_read(records):
    response = answer(api_request(), StreamingHttpResponse(iter([b"a", b"b"])))
    assert len(records()) == 1
    assert b"".join(response.streaming_content) == b"ab"
    assert len(records()) == 1


def test_session_user_that_is_not_loaded_stays_so(records):
    def load():
        pytest.fail("the session's user was loaded")

    answer(api_request(user=SimpleLazyObject(load)), HttpResponse())
    assert [record["caller"] for record in records()] == [""]


@pytest.mark.parametrize("user", [None, object()], ids=["none", "without-identity"])
def test_user_without_identity_is_nobody(records, user):
    answer(api_request(user=user), HttpResponse())
    assert [record["caller"] for record in records()] == [""]


def test_line_feeds_from_a_client_add_no_record(records):
    request = api_request(correlation_id='x\r\n{"at":"2025-01-01T00:00:00Z"}\n')
    request.path_info = request.META["PATH_INFO"] = "/api/v1/a\nb\r\nc"
    answer(request, HttpResponse())
    (record,) = records()
    assert record["path"] == "/api/v1/***"


def test_full_disk_does_not_fail_the_call(records, tmp_path):
    (tmp_path / "spool").write_text("a file where the folder should be")
    lost = call_spool().lost
    assert answer(api_request(), HttpResponse(b"fine")).content == b"fine"
    assert call_spool().lost == lost + 1
    (tmp_path / "spool").unlink()


def test_call_can_be_recorded_without_django_in_between(records):
    at = datetime(2025, 1, 2, tzinfo=UTC)
    assert call_record(
        spool=call_spool(),
        at=at,
        caller="key:3",
        call=received(path="/v1/stats/ohlc"),
        status=304,
        latency_us=40,
        correlation_id="c",
    )
    (record,) = records()
    assert (record["at"], record["status"]) == ("2025-01-02T00:00:00Z", 304)
