"""Spans of one call come from several processes, with one trace's id."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.front.front_server import eventually
from tests.ops.outbound.hostile_server import Server, says, served
from tests.system.clients import connected
from tests.system.installation import installed

pytestmark = pytest.mark.soak
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def processes_of(collector: Server) -> dict[str, str]:
    """The names of the trace's spans, each with the id of its process."""
    found: dict[str, str] = {}
    for _, body in list(collector.posts):
        [sent] = orjson.loads(body)["resourceSpans"]
        process: dict[str, Any] = {each["key"]: each["value"] for each in sent["resource"]["attributes"]}
        for span in sent["scopeSpans"][0]["spans"]:
            if span["traceId"] == TRACE:
                found[span["name"]] = process["process.pid"]["intValue"]
    return found


def test_a_call_and_its_job_are_one_trace(tmp_path: Path):
    with (
        served(says(b"{}")) as collector,
        installed(
            tmp_path, LOAD_SAMPLE="0", TRADING_ENGINE="0", OTEL_EXPORTER_OTLP_ENDPOINT=collector.url
        ) as running,
        connected(running.port, running.key) as client,
    ):
        client.ingest(
            b'{"trades":[{"timestamp":"2025-01-02T15:00:00Z","symbol":"AAPL","price":1,"volume":1}]}'
        )
        body = b'{"symbol":"AAPL","start":"2025-01-02","end":"2025-01-03"}'
        answer = client.call(
            "POST",
            "/api/v1/backfills",
            body,
            {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01", "Content-Type": "application/json"},
        )
        assert answer.status == 202, answer.body
        assert eventually(lambda: {"POST backfills", "job backfill"} <= processes_of(collector).keys())
        processes = processes_of(collector)
        assert processes["POST backfills"] != processes["job backfill"]
