"""Sends spans to the collector of OTEL_EXPORTER_OTLP_ENDPOINT, in JSON of OTLP 1 over HTTP.

OpenTelemetry's SDK is not used: where it is installed, redis-py imports it, and each process starts a sixth of a second later.
"""

import logging
import os
import time
from collections import deque
from collections.abc import Mapping
from functools import cache
from threading import Thread
from typing import Any, NamedTuple

import httpx
import msgspec
from django.conf import settings

logger = logging.getLogger(__name__)

# So many wait for the next call; the oldest of more are lost.
_MOST_WAITING = 10_000
_PAUSE_SECONDS, _TIMEOUT_SECONDS = 1, 5


class FinishedSpan(NamedTuple):
    """What is sent of a span. kind: OTLP's number. trace, span, parent: ids in hex. error: "" for none."""

    name: str
    kind: int
    trace: str
    span: str
    parent: str
    began_ns: int
    ended_ns: int
    attributes: Mapping[str, str | int]
    error: str

    def document(self) -> dict[str, Any]:
        """Return the span in OTLP's JSON."""
        return {
            "traceId": self.trace,
            "spanId": self.span,
            "parentSpanId": self.parent,
            "name": self.name,
            "kind": self.kind,
            "startTimeUnixNano": str(self.began_ns),
            "endTimeUnixNano": str(self.ended_ns),
            "attributes": _attributes(self.attributes),
            "status": {"code": 2, "message": self.error} if self.error else {},
        }


def span_send(span: FinishedSpan) -> None:
    """Send a span within a second or so, from another thread; not if the collector is away."""
    _waiting(os.getpid()).append(span)


@cache
def _waiting(process: int) -> deque[FinishedSpan]:
    """Return what this process has to send. A fork has no thread of the process before it."""
    waiting: deque[FinishedSpan] = deque(maxlen=_MOST_WAITING)
    Thread(target=_send_all, args=(waiting, process), daemon=True).start()
    return waiting


def _send_all(waiting: deque[FinishedSpan], process: int) -> None:
    resource = {"attributes": _attributes({"service.name": settings.TRACES_SERVICE, "process.pid": process})}
    url = f"{settings.TRACES_ENDPOINT.rstrip('/')}/v1/traces"
    headers = {**settings.TRACES_HEADERS, "Content-Type": "application/json"}
    is_away = False
    with httpx.Client(headers=headers, timeout=_TIMEOUT_SECONDS, trust_env=False) as collector:
        while True:
            time.sleep(_PAUSE_SECONDS)
            spans = [waiting.popleft().document() for _ in range(len(waiting))]
            if not spans:
                continue
            scopes = [{"scope": {"name": "marketdata"}, "spans": spans}]
            body = msgspec.json.encode({"resourceSpans": [{"resource": resource, "scopeSpans": scopes}]})
            try:
                collector.post(url, content=body).raise_for_status()
                is_away = False
            except httpx.HTTPError as error:
                if not is_away:
                    logger.warning("the collector of traces takes no spans: %s", type(error).__name__)
                is_away = True


def _attributes(values: Mapping[str, str | int]) -> list[dict[str, Any]]:
    return [
        {"key": key, "value": {"intValue": str(value)} if isinstance(value, int) else {"stringValue": value}}
        for key, value in values.items()
    ]
