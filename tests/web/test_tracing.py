"""A call, and what follows from it in other processes, is one trace; without a collector there is none."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson
import pytest
from django.core.exceptions import MiddlewareNotUsed

from audit.models import AuditRecord
from jobs import queue
from jobs.models import Job
from ops.outbound import trace_sender
from store.server_calls import WATCHER
from tests.api_client import Api, trade
from tests.front.front_server import eventually
from tests.ops.outbound.hostile_server import Server, says, served
from tests.ops.outbound.test_addresses import LOOPBACK
from tests.trading.desks import TradingDesk, coin, prints
from tests.webhooks.conftest import send
from trading.core.terms import Side
from web.correlation import accepted_id, correlated
from web.tracing import TraceMiddleware, ended_span, span, trace_id_of

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"


@dataclass
class Collector:
    server: Server

    def spans(self, trace: str) -> dict[str, dict[str, Any]]:
        """What came of a trace, by name."""
        return {
            each["name"]: each
            for _, body in list(self.server.posts)
            for each in orjson.loads(body)["resourceSpans"][0]["scopeSpans"][0]["spans"]
            if each["traceId"] == trace
        }

    def has(self, trace: str, *names: str) -> bool:
        return eventually(lambda: set(names) <= self.spans(trace).keys())


@pytest.fixture
def collector(settings, monkeypatch) -> Iterator[Collector]:
    monkeypatch.setattr(trace_sender, "_PAUSE_SECONDS", 0.05)
    with served(says(b"{}")) as server:
        settings.TRACES_ENDPOINT = server.url
        trace_sender._waiting.cache_clear()
        yield Collector(server)
        trace_sender._waiting.cache_clear()


def test_a_call_its_job_and_its_webhook_are_one_trace(
    collector: Collector, settings: Any, default_store: Any, api: Api
):
    settings.OUTBOUND_SCHEMES, settings.OUTBOUND_NETWORKS = ("http", "https"), LOOPBACK
    body = {"symbol": "AAPL", "start": "2025-01-02", "end": "2025-01-03"}
    with served(says(b"ok")) as receiver:
        body["callback_url"] = f"{receiver.url}/done"
        api.ingest(trade(), traceparent=TRACEPARENT)
        response = api.call("POST", "/api/v1/backfills", orjson.dumps(body), traceparent=TRACEPARENT)
        assert (response.status_code, response["X-Correlation-ID"]) == (202, TRACE)
        queue._run(str(Job.objects.get().uuid))
        send()
    of_calls, after = ("POST trades-ingest", "POST backfills"), ("job backfill", "webhook job.succeeded")
    assert collector.has(TRACE, *of_calls, "store write", *after)
    spans = collector.spans(TRACE)
    assert {spans[name]["parentSpanId"] for name in of_calls} == {PARENT}
    assert spans["store write"]["parentSpanId"] == spans["POST trades-ingest"]["spanId"]
    values = {each["key"]: each["value"] for each in spans["POST backfills"]["attributes"]}
    assert values == {"correlation_id": {"stringValue": TRACE}, "status": {"intValue": "202"}}


def test_the_engine_belongs_to_the_call_that_placed_the_order(
    collector: Collector, default_store: Any, db: None
):
    coin()
    prints("COIN", (0, 100.0, 10.0))
    desk = TradingDesk()
    with correlated("order-7"):
        desk.order("COIN", Side.BUY, 1)
    prints("COIN", (5, 100.0, 10.0))
    desk.run()
    assert collector.has(trace_id_of("order-7"), "engine step")
    assert AuditRecord.objects.filter(caller="engine", correlation_id="order-7").exists()


def test_of_an_error_only_the_class_is_told(collector: Collector):
    with pytest.raises(ValueError, match="secret"), correlated(TRACE), span("fails"):
        raise ValueError("a secret")
    assert collector.has(TRACE, "fails")
    assert collector.spans(TRACE)["fails"]["status"] == {"code": 2, "message": "ValueError"}


def test_what_a_caller_does_not_want_recorded_is_not_sent(collector: Collector):
    with span("a call", traceparent=f"{TRACEPARENT[:-2]}00"), span("its work"):
        pass
    ended_span("GET ohlc", TRACE, "server", took_ns=1_000, status=200)
    assert collector.has(TRACE, "GET ohlc")
    assert collector.spans(TRACE).keys() == {"GET ohlc"}


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


def test_without_a_collector_there_are_no_spans():
    with pytest.raises(MiddlewareNotUsed):
        TraceMiddleware(lambda request: None)  # type: ignore[arg-type, return-value]
    with span("nothing") as opened:
        assert opened is None


def test_a_store_is_told_the_correlation_id():
    with correlated("abc"):
        assert WATCHER.correlation_id() == "abc"
