"""Each request is counted once, by its route, whoever answers it."""

from collections.abc import Iterator

import pytest
from django.http import HttpResponse
from django.urls import resolve

from front.answers import route_of
from ops.metrics.declarations import (
    CONNECTIONS,
    FRONT_REFUSALS,
    REQUEST_SECONDS,
    REQUESTS,
    REQUESTS_IN_FLIGHT,
)
from ops.metrics.metric_types import Metric
from tests.front.front_server import ask, connected, eventually, running
from web.requests.wsgi_variables import ROUTE


@pytest.fixture(autouse=True)
def _at_zero() -> Iterator[None]:
    metrics: tuple[Metric, ...] = (REQUESTS, REQUEST_SECONDS, FRONT_REFUSALS, CONNECTIONS, REQUESTS_IN_FLIGHT)
    for metric in metrics:
        metric.clear()
    yield
    for metric in metrics:
        metric.clear()


def counts(metric: Metric) -> dict[tuple[str, ...], float]:
    return {labels: values[0] for labels, values in metric.series().items()}


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
            ("/a?200", "GET"),
            ("/a?204", "GET"),
            ("/a?404", "PUT"),
            ("/b?503", "PROPFIND"),
        ]:
            ask(port, request(target, method))
    assert counts(REQUESTS) == {
        ("a", "GET", "2xx"): 2,
        ("a", "PUT", "4xx"): 1,
        ("b", "other", "5xx"): 1,
    }
    seconds = REQUEST_SECONDS.series()
    assert {labels[0]: sum(values[:-1]) for labels, values in seconds.items()} == {"a": 3, "b": 1}
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
