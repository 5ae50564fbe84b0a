"""One id per request: the client's if it is a sane one, else a new one."""

import contextlib
import logging

import pytest
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpResponse
from django.test import Client

from store.server_calls import ORIGIN
from tests.api_client import answer
from tests.front.front_server import ask, running
from web.correlation import (
    CorrelationFilter,
    CorrelationMiddleware,
    accepted_id,
    correlated,
    correlation_id,
)


@pytest.mark.parametrize("path", ["/healthz", "/nope", "/api/v1/stats/ohlc"])
@pytest.mark.parametrize(
    "offered",
    [
        "A-b_c.1234",
        "9" * 128,
        "monkey:12",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    ],
)
def test_a_sane_id_is_kept(db, path, offered):
    response = Client().get(path, headers={"X-Correlation-ID": offered})
    assert response["X-Correlation-ID"] == offered
    if response.status_code >= 400:
        assert answer(response)["correlation_id"] == offered


@pytest.mark.parametrize(
    "offered",
    ["", "a" * 129, "with space", "new\nline-here", "<script>alert", '"quoted-id"', "caf\u00e9-caf\u00e9", "a" * 8 + "\n", "${jndi:x}"],
    ids=ascii,
)  # fmt: skip
def test_any_other_is_replaced(db, offered):
    response = Client().get("/nope", headers={"X-Correlation-ID": offered})
    chosen = response["X-Correlation-ID"]
    assert chosen != offered
    assert chosen.isalnum()
    assert len(chosen) >= 16
    assert answer(response)["correlation_id"] == chosen


KEY = "md_AbCd1234_" + "Zx9-Yw8-Vu7Ts6" * 3 + "q"


@pytest.mark.parametrize(
    "offered",
    [KEY, KEY.removeprefix("md_"), KEY.rpartition("_")[2], f"trace-{KEY}", "mds_" + "a1B2" * 10, "eyJhbGci.eyJzdWIi.c2ln",
     "bearer+abcdef", "token=abcdef", "https://user:password@host/"],
)  # fmt: skip
def test_one_that_looks_like_a_secret_is_replaced(db, offered):
    response = Client().get("/nope", headers={"X-Correlation-ID": offered})
    assert response["X-Correlation-ID"].isalnum()
    assert offered not in response["X-Correlation-ID"]
    assert offered.encode() not in response.content


def test_requests_without_one_get_one_each(db):
    assert len({Client().get("/healthz")["X-Correlation-ID"] for _ in range(20)}) == 20


def test_new_ids_are_in_the_order_of_their_milliseconds(monkeypatch):
    clock = [1_735_700_000_000_000_000]
    monkeypatch.setattr("web.correlation.time.time_ns", lambda: clock[0])
    ids = []
    for _ in range(50):
        ids.append(accepted_id(None))
        clock[0] += 1_000_000
    assert ids == sorted(ids)
    assert {len(bytes.fromhex(each)) for each in ids} == {16}
    assert len({accepted_id(None) for _ in range(50)}) == 50


TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"


@pytest.mark.parametrize(
    ("offered", "traceparent", "is_trace"),
    [
        (None, TRACEPARENT, True),
        ("my-id", TRACEPARENT, False),
        (None, f"00-{'0' * 32}-{PARENT}-01", False),
        (None, f"{TRACEPARENT}-x", False),
        (None, f"00-{TRACE}-{'0' * 16}-01", False),
    ],
)
def test_a_traceparent_gives_the_correlation_id_unless_the_client_chose_one(offered, traceparent, is_trace):
    assert (accepted_id(offered, traceparent) == TRACE) is is_trace


def test_a_store_is_told_the_correlation_id():
    with correlated("abc"):
        assert ORIGIN.correlation_id() == "abc"


@pytest.mark.parametrize("error", [None, RuntimeError], ids=["answered", "failed"])
def test_an_id_ends_with_its_request(rf, error):
    seen = []

    def respond(_request):
        seen.append(correlation_id())
        if error is not None:
            raise error
        return HttpResponse()

    with contextlib.suppress(RuntimeError):
        CorrelationMiddleware(respond)(rf.get("/", headers={"X-Correlation-ID": "of-a-request"}))
    assert seen == ["of-a-request"]
    assert correlation_id() == ""


def test_a_line_of_the_log_after_the_middlewares_still_has_the_id():
    """Django logs an answer of 500 when all middlewares have returned."""
    lines = []

    class Kept(logging.Handler):
        def emit(self, record):
            lines.append((record.name, record.correlation_id))

    kept = Kept()
    kept.addFilter(CorrelationFilter())

    def respond(environ):
        response = CorrelationMiddleware(lambda _: HttpResponse(status=500))(WSGIRequest(environ))
        logging.getLogger("after").error("%s", response.status_code)
        return response

    logging.getLogger().addHandler(kept)
    try:
        with running(respond) as port:
            offered = ask(port, b"GET / HTTP/1.1\r\nHost: h\r\nX-Correlation-ID: find-me-again\r\n\r\n")
            chosen = ask(port, b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    finally:
        logging.getLogger().removeHandler(kept)
    ids = ["find-me-again", chosen.headers["x-correlation-id"]]
    assert offered.headers["x-correlation-id"] == ids[0]
    assert [line for line in lines if line[0] == "after"] == [("after", each) for each in ids]
