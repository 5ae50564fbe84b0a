"""Each request is counted once, by its route, whoever answers it."""

import pytest
from django.http import HttpResponse
from django.urls import resolve
from prometheus_client import REGISTRY, Counter, Gauge

from front.answers import route_of
from ops.metrics.declarations import (
    CONNECTIONS,
    FRONT_REFUSALS,
    REQUESTS,
    REQUESTS_IN_FLIGHT,
)
from tests.front.front_server import ask, connected, eventually, running
from web.requests.wsgi_variables import ROUTE


@pytest.fixture(autouse=True)
def _at_zero() -> None:
    CONNECTIONS.set(0)
    REQUESTS_IN_FLIGHT.set(0)
    for metric in (REQUESTS, FRONT_REFUSALS):
        for values in metric._metrics:
            metric.labels(*values).reset()


def counts(metric: Counter | Gauge) -> dict[tuple[str, ...], float]:
    samples = next(iter(metric.collect())).samples
    return {tuple(each.labels.values()): each.value for each in samples if each.value or not each.labels}


def answer(environ) -> HttpResponse:
    environ[ROUTE] = environ["PATH_INFO"].strip("/")
    if environ[ROUTE] == "broken":
        raise OSError("no answer")
    return HttpResponse(b"", status=int(environ["QUERY_STRING"]))


def request(target: str, method: str = "GET") -> bytes:
    return f"{method} {target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".encode()


def test_answers_are_counted_by_route_method_and_class_of_status():
    with running(answer) as port:
        for target, method in [
            ("/metered?200", "GET"),
            ("/metered?204", "GET"),
            ("/metered?404", "PUT"),
            ("/measured?503", "PROPFIND"),
        ]:
            ask(port, request(target, method))
    assert counts(REQUESTS) == {
        ("metered", "GET", "2xx"): 2,
        ("metered", "PUT", "4xx"): 1,
        ("measured", "other", "5xx"): 1,
    }
    count = "marketdata_http_request_duration_seconds_count"
    assert [REGISTRY.get_sample_value(count, {"route": route}) for route in ("metered", "measured")] == [3, 1]
    assert counts(REQUESTS_IN_FLIGHT) == counts(CONNECTIONS) == {(): 0}


def test_what_the_front_refuses_is_counted_by_its_code():
    with running(answer) as port:
        assert ask(port, request("/broken")).status == 500
        assert ask(port, b"nonsense\r\n\r\n").status == 400
    assert counts(FRONT_REFUSALS) == {("internal_error",): 1, ("malformed_request",): 1}
    assert counts(REQUESTS) == {("unrouted", "GET", "5xx"): 1, ("unrouted", "other", "4xx"): 1}


def test_open_connections_are_counted():
    with running(answer) as port:
        with connected(port), connected(port):
            assert eventually(lambda: counts(CONNECTIONS) == {(): 2})
        assert eventually(lambda: counts(CONNECTIONS) == {(): 0})


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/v1/stats/ohlc", "ohlc"),
        ("/api/v1/stats/ohlc/", "ohlc"),
        ("/api/v1/market-data/equities/AAPL/trades", "equities-trades"),
        ("/docs", "docs"),
        ("/admin/", "admin"),
        ("/admin/ratelimit/apikey/7/change/", "admin"),
        ("/login", "login"),
    ],
)
def test_a_route_is_the_name_of_a_url(path, route):
    assert route_of(resolve(path)) == route


def test_an_unknown_path_is_of_no_route():
    assert route_of(None) == "unrouted"
