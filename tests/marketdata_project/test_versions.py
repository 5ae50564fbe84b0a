"""Versions and deprecated paths: what is published of them, their headers, and the form of their refusals."""

from calendar import monthrange
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import http_sf
import orjson
import pytest
from django.test import Client
from django.urls import resolve

from marketdata_project import versions
from marketdata_project.schema_view import schema_document
from marketdata_project.versions import (
    DEPRECATIONS,
    FEWEST_MONTHS,
    VERSIONS,
    Deprecation,
    deprecation_of,
)
from tests.api_client import Api, make_key, problem, until_limited
from tests.front.front_server import ask, echo, running
from tests.marketdata_project import deprecated_site, v3_site
from tests.openapi_differences import differences
from web.endpoints import SMALL_BODY_BYTES

ALL = (*DEPRECATIONS, *(each.deprecation for each in VERSIONS if each.deprecation))


@pytest.mark.parametrize("each", DEPRECATIONS, ids=lambda each: each.path)
def test_a_deprecated_path_is_its_successors_view(each: Deprecation):
    old, new = resolve(each.path), resolve(each.successor)
    assert (old.url_name, old.func) == (new.url_name, new.func)


@pytest.mark.parametrize("each", [*ALL, v3_site.V1_DEPRECATION], ids=lambda each: each.path)
def test_what_is_deprecated_stays_for_18_months(each: Deprecation):
    months = (each.sunset.year - each.since.year) * 12 + each.sunset.month - each.since.month
    assert months >= FEWEST_MONTHS
    assert each.sunset.day >= min(each.since.day, monthrange(each.sunset.year, each.sunset.month)[1])


@pytest.mark.parametrize("path", ["/api/v1/status", "/api/status/history", "/api/statu", "/api", "/", ""])
def test_other_paths_are_not_deprecated(path: str):
    assert deprecation_of(path) is None


def test_nothing_is_deprecated_or_published_in_the_future():
    dates = [each.since for each in ALL] + [each.since for each in VERSIONS]
    assert max(dates) <= datetime.now(UTC).date()


deprecated_urls = pytest.mark.urls(deprecated_site.__name__)
uses_site = pytest.mark.usefixtures("db", "project_redis")


def assert_is_marked(headers: Any, path: str, *, link: str = "") -> None:
    found = deprecation_of(path)
    assert found is not None
    midnights = [datetime(day.year, day.month, day.day, tzinfo=UTC) for day in (found.since, found.sunset)]
    since: Any = http_sf.parse(headers["Deprecation"].encode(), tltype="item")
    assert since[0] == midnights[0]
    assert parsedate_to_datetime(headers["Sunset"]) == midnights[1]
    assert headers["Link"] == f'{link}<{found.successor}>; rel="successor-version"'


@deprecated_urls
@uses_site
@pytest.mark.parametrize("path", ["/api/status", "/api/status/"])
def test_an_answer_is_that_of_the_successor_with_the_headers_of_a_deprecation(api: Api, path: str):
    answer = api.get(path)
    assert (answer.status_code, answer.json()) == (200, {"status": "running"})
    assert answer["Content-Type"] == "application/json"
    assert_is_marked(answer.headers, path, link='</next>; rel="next", ')
    assert "Deprecation" not in api.get("/api/status/history").headers


@pytest.fixture
def v3(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is a v3, and v1 is deprecated."""
    v1 = replace(VERSIONS[0], deprecation=v3_site.V1_DEPRECATION)
    monkeypatch.setattr(versions, "VERSIONS", (v1, *VERSIONS[1:], v3_site.V3))


@uses_site
@pytest.mark.urls(v3_site.__name__)
@pytest.mark.usefixtures("v3")
def test_a_version_with_another_document_stands_beside_v1(api: Api):
    assert api.get("/api/v3/clock", {"exchange": "XNYS"}).json().keys() == {"timestamp", "exchange", "phase"}
    old = api.get("/api/v1/clock", {"exchange": "XNYS"})
    assert {"is_open", "next_open", "next_close"} < old.json().keys()
    assert_is_marked(old.headers, "/api/v1/clock")
    unknown = api.get("/api/v1/nothing")
    assert problem(unknown) == (404, "not_found")
    assert_is_marked(unknown.headers, "/api/v1/nothing")
    for path in ("/api/v3/limits", "/api/v2/clock"):
        assert "Deprecation" not in api.get(path).headers


@pytest.mark.system
@pytest.mark.urls(v3_site.__name__)
@pytest.mark.usefixtures("v3")
def test_the_document_of_another_version_has_its_change_alone():
    v1, v3 = (schema_document.__wrapped__("json", version=name).body for name in ("v1", "v3"))
    assert orjson.loads(v1) == orjson.loads(schema_document("json").body)
    as_v1 = orjson.loads(v3.replace(b"/api/v3/", b"/api/v1/"))
    assert set(differences(orjson.loads(v1), as_v1)) == {
        f"ClockAnswer (response).{name}: removed" for name in ("date", "is_open", "next_open", "next_close")
    }


@uses_site
def test_the_timeline_is_published():
    found = Api(None).get("/api/versions").json()
    assert [each["name"] for each in found["versions"]] == ["v1", "v2"]
    for each in found["versions"]:
        assert Client().get(each["schema"]).status_code == 200
    assert {each["path"]: each["sunset"] for each in found["deprecations"]} == {
        each.path: f"{each.sunset}" for each in DEPRECATIONS
    }
    assert problem(Api(None).get("/api/versions", {"of": "v1"})) == (400, "unknown_parameter")


def no_scope() -> Api:
    return Api(make_key(scopes=("market:read",)))


def limited() -> Any:
    caller = Api(make_key(rate=1))
    return until_limited(lambda: caller.get("/api/status"))


REFUSALS = {
    "nobody": (lambda _api: Api(None).get("/api/status"), 401, "not_authenticated"),
    "no scope": (lambda _api: no_scope().get("/api/status"), 403, "missing_scope"),
    "no account": (lambda api: api.get("/api/config"), 404, "unknown_account"),
    "no method": (lambda api: api.call("DELETE", "/api/status"), 405, "method_not_allowed"),
    "no format": (lambda api: api.get("/api/status", {"format": "csv"}), 406, "not_acceptable"),
    "body": (
        lambda api: api.call("POST", "/api/trading/start", b" " * (SMALL_BODY_BYTES + 1)),
        413,
        "body_too_large",
    ),
    "fields": (lambda api: api.call("POST", "/api/trading/start", b"{}"), 422, "validation_failed"),
    "limit": (lambda _api: limited(), 429, "rate_limited"),
    "error": (lambda api: api.get("/api/signals"), 500, "internal_error"),
}


@deprecated_urls
@uses_site
@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_has_the_status_as_its_code_and_our_word_as_the_reason(api: Api, name: str):
    send, status, reason = REFUSALS[name]
    refused = send(api)
    assert refused.status_code == status
    assert refused["Content-Type"] == "application/json"
    body = refused.json()
    assert (body["code"], body["reason"]) == (status, reason)
    assert list(body) == ["error", "code", "reason", "correlation_id", "errors"]
    assert body["error"]
    assert body["correlation_id"] == refused["X-Correlation-ID"]
    if name == "fields":
        assert body["errors"] == [{"path": "account", "code": "unknown_field", "message": "unknown"}]
    if status == 429:
        assert refused["Retry-After"] == "1"
    assert_is_marked(refused.headers, refused.request["PATH_INFO"])


@deprecated_urls
@uses_site
def test_a_path_beside_them_has_problems_as_everywhere():
    refused = Api(None).get("/api/status/history")
    assert refused["Content-Type"] == "application/problem+json"
    assert problem(refused) == (401, "not_authenticated")


def fail(_environ):
    raise ZeroDivisionError


@pytest.mark.parametrize(
    ("respond", "request_bytes", "status", "reason"),
    [
        (fail, b"GET /api/status HTTP/1.1\r\nHost: h\r\n\r\n", 500, "internal_error"),
        (
            echo,
            b"POST /api/trading/start HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc",
            408,
            "request_timeout",
        ),
    ],
    ids=["failed", "too slow"],
)
def test_the_front_refuses_in_the_same_form(monkeypatch, respond, request_bytes, status, reason):
    monkeypatch.setattr("front.body.PROGRESS_SECONDS", 0.05)
    with running(respond) as port:
        reply = ask(port, request_bytes)
    body = reply.json()
    assert reply.headers["content-type"] == "application/json"
    assert list(body) == ["error", "code", "reason", "correlation_id", "errors"]
    assert (reply.status, body["code"], body["reason"]) == (status, status, reason)
    headers = {name.title(): value for name, value in reply.headers.items()}
    assert_is_marked(headers, request_bytes.split()[1].decode())
