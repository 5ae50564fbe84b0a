"""Deprecated paths: their headers, and the form of their refusals."""

from calendar import monthrange
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import http_sf
import pytest
from django.test import Client
from django.urls import resolve
from django.utils.regex_helper import normalize

from marketdata_project.deprecations import DEPRECATIONS, REMOVED, Deprecation, deprecation_of, instead_of
from tests.api_client import Api, make_key, problem, until_limited
from tests.front.front_server import ask, echo, running
from tests.marketdata_project import deprecated_site
from web.endpoints import SMALL_BODY_BYTES

LEAST_MONTHS = 18


@pytest.mark.parametrize("each", DEPRECATIONS, ids=lambda each: each.path)
def test_a_deprecated_path_is_its_successors_view_and_stays_for_18_months(each: Deprecation):
    old, new = resolve(each.path), resolve(each.successor)
    assert (old.url_name, old.func) == (new.url_name, new.func)
    months = (each.sunset.year - each.since.year) * 12 + each.sunset.month - each.since.month
    assert months >= LEAST_MONTHS
    assert each.sunset.day >= min(each.since.day, monthrange(each.sunset.year, each.sunset.month)[1])


@pytest.mark.parametrize("path", ["/api/v1/status", "/api/status/history", "/api/statu", "/api", "/", ""])
def test_other_paths_are_not_deprecated(path: str):
    assert deprecation_of(path) is None


@pytest.mark.parametrize("suffix", ["", "/"])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("pattern", REMOVED)
def test_a_removed_path_is_gone_whatever_the_method_and_without_credentials(
    db: None, project_redis: object, pattern: str, method: str, suffix: str
):
    [(path, parameters), *_] = normalize(pattern)
    path = path % dict.fromkeys(parameters, "AAPL") + suffix
    response = Client(enforce_csrf_checks=True).generic(method, path)
    assert problem(response) == (410, "gone")
    assert REMOVED[pattern] in response.json()["message"]
    # Whoever asks for it pays, as for an unknown path.
    assert "RateLimit" in response.headers or "X-RateLimit-Remaining" in response.headers


def test_a_path_beside_a_removed_one_is_not_gone():
    assert instead_of("/api/v1/risk/what-if") is not None
    for path in ("/api/v2/risk/what-if", "/api/v1/risk/what-if/x", "/api/v1/risk", "/x/api/v1/risk/what-if"):
        assert instead_of(path) is None


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
