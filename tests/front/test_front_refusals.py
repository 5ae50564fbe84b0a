"""Calls that the front itself refuses: the client's id, a line in the log, an audit record."""

import json

import orjson
import pytest

from audit.services import anonymous_refusals, call_spool
from front import body
from front.answers import APPLICATION_FAILED, BODY_TOO_SLOW, HEADERS_TOO_LARGE, MALFORMED
from front.preauthorization import record_refusal
from marketdata_project.problems import Problem
from tests.audit.builders import spool_records
from tests.front.front_server import Reply, ask, echo, eventually, running
from web.problem_body import TITLES, TYPE_BASE

PATH = b"/api/v1/stats/%C3%A9"


@pytest.fixture
def records(tmp_path, settings):
    settings.AUDIT_DIR = tmp_path
    yield lambda: spool_records(tmp_path)
    call_spool().close()


def fail(_environ):
    raise ZeroDivisionError


def slow(path: bytes) -> bytes:
    return (
        b"POST %s?a=1 HTTP/1.1\r\nHost: h\r\nX-Correlation-ID: find-me-again\r\nContent-Length: 9\r\n\r\nabc"
        % path
    )


def whole(path: bytes) -> bytes:
    return b"GET %s?a=1 HTTP/1.1\r\nHost: h\r\nX-Correlation-ID: find-me-again\r\n\r\n" % path


CASES = {"too slow": (echo, slow(PATH), ("POST", 408)), "failed": (fail, whole(PATH), ("GET", 500))}


def refused(respond, request: bytes) -> Reply:
    with running(respond, record_refusal=record_refusal) as port:
        return ask(port, request)


@pytest.mark.parametrize(("respond", "sent", "answered"), CASES.values(), ids=CASES)
def test_a_refused_call_is_recorded_with_the_clients_id(monkeypatch, records, respond, sent, answered):
    monkeypatch.setattr(body, "GRACE_SECONDS", 0.2)
    method, status = answered
    reply = refused(respond, sent)
    assert reply.status == status
    assert reply.headers["x-correlation-id"] == reply.json()["correlation_id"] == "find-me-again"
    assert eventually(records)
    (record,) = records()
    assert record.pop("latency_us") >= (100_000 if status == 408 else 0)
    assert record.pop("at")
    assert record == {
        "caller": "",
        "method": method,
        "path": "/api/v1/stats/***",
        "query": "a=***",
        "status": status,
        "address": "127.0.0.1",
        "correlation_id": "find-me-again",
    }


def test_of_a_flood_of_refused_calls_the_first_is_recorded_and_the_rest_are_counted(records):
    with running(fail, record_refusal=record_refusal) as port:
        assert {ask(port, whole(PATH)).status for _ in range(10)} == {500}
    # The last may still be on its way to the recorder.
    assert eventually(lambda: counted_and_recorded(records) == 10)
    assert len([record for record in records() if "event" not in record]) <= 2


def counted_and_recorded(records) -> int:
    anonymous_refusals().close()
    return sum(json.loads(record["detail"])["refusals"] if "event" in record else 1 for record in records())


def test_a_page_that_fails_is_no_call(records):
    assert refused(fail, whole(b"/docs")).status == 500
    assert records() == []


def test_a_record_that_cannot_be_left_costs_no_answer():
    def broken(_call):
        raise OSError("the disk is away")

    with running(fail, record_refusal=broken) as port:
        reply = ask(port, whole(PATH))
    assert orjson.loads(reply.body)["code"] == "internal_error"


@pytest.mark.parametrize("refusal", [APPLICATION_FAILED, BODY_TOO_SLOW, HEADERS_TOO_LARGE, MALFORMED])
def test_refusals_have_the_form_of_all_problems(refusal):
    headers, body = refusal.render(correlation_id="an-id-of-ours")
    assert set(orjson.loads(body)) == set(Problem("internal_error", "y").body())
    assert orjson.loads(body)["type"] == TYPE_BASE + refusal.code
    assert orjson.loads(body)["title"] == TITLES[refusal.status]
    assert orjson.loads(body)["correlation_id"] == "an-id-of-ours"
    assert dict(headers)[b"x-correlation-id"] == b"an-id-of-ours"
    assert dict(headers)[b"content-length"] == str(len(body)).encode()
