"""Traces for a collector of OpenTelemetry; none unless OTEL_EXPORTER_OTLP_ENDPOINT is set.

A span without one above it has the correlation id as its trace's id: a call and what follows from it are one trace.
"""

import hashlib
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass

from django.conf import settings
from django.core.exceptions import MiddlewareNotUsed
from django.http import HttpRequest, HttpResponse

from web.correlation import TRACEPARENT, correlated, correlation_id, trace_in

_KINDS = {"internal": 1, "server": 2, "client": 3, "consumer": 5}
_OFF = nullcontext()


@dataclass(slots=True)
class Span:
    """A part of the work that is timed. is_sent: False if the caller's traceparent is not sampled."""

    name: str
    trace: str
    id: str
    attributes: dict[str, str | int]
    is_sent: bool = True


_current: ContextVar[Span | None] = ContextVar("span", default=None)


def span(
    name: str,
    kind: str = "internal",
    *,
    began_ns: int | None = None,
    traceparent: str = "",
    **attributes: str | int,
) -> AbstractContextManager[Span | None]:
    """Return a context that is a span, and yields it; None while traces are off.

    kind: a word of OpenTelemetry's. began_ns: when it began; None for now. traceparent: a caller's header.
    """
    if not settings.TRACES_ENDPOINT:
        return _OFF
    return _open_span(name, kind, time.time_ns() if began_ns is None else began_ns, traceparent, attributes)


@contextmanager
def _open_span(
    name: str, kind: str, began_ns: int, traceparent: str, attributes: dict[str, str | int]
) -> Iterator[Span]:
    from ops.outbound.trace_sender import FinishedSpan, span_send  # noqa: PLC0415 only if traces are on

    trace, parent, is_sent = _parent(traceparent)
    opened = Span(
        name, trace, os.urandom(8).hex(), {**attributes, "correlation_id": correlation_id()}, is_sent
    )
    token, error = _current.set(opened), ""
    try:
        yield opened
    except BaseException as raised:
        # Messages may have data of clients.
        error = type(raised).__name__
        raise
    finally:
        _current.reset(token)
        if is_sent:
            times = began_ns, time.time_ns()
            span_send(
                FinishedSpan(
                    opened.name, _KINDS[kind], trace, opened.id, parent, *times, opened.attributes, error
                )
            )


def _parent(traceparent: str) -> tuple[str, str, bool]:
    """Return the ids of a new span's trace and of the span above it, and whether the new one is sent."""
    above = _current.get()
    if above is not None:
        return above.trace, above.id, above.is_sent
    if trace_in(traceparent):
        _, trace, parent, flags = traceparent.split("-")
        return trace, parent, bool(int(flags, 16) & 1)
    return trace_id_of(correlation_id()), "", True


def trace_id_of(request_id: str) -> str:
    """Return the id of the trace of a correlation id: the id itself, or the first digits of its SHA-256; a random one if there is no correlation id."""
    if re.fullmatch("[0-9a-f]{32}", request_id) and int(request_id, 16):
        return request_id
    return hashlib.sha256(request_id.encode() or os.urandom(16)).hexdigest()[:32]


def ended_span(
    name: str, request_id: str, kind: str = "internal", *, took_ns: int, **attributes: str | int
) -> None:
    """Send a span that ends now, of the call with this correlation id."""
    if settings.TRACES_ENDPOINT:
        began_ns = time.time_ns() - took_ns
        with correlated(request_id), span(name, kind, began_ns=began_ns, traceparent="", **attributes):
            pass


class TraceMiddleware:
    """A middleware that makes a span of each request; not used while traces are off."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        if not settings.TRACES_ENDPOINT:
            raise MiddlewareNotUsed
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        with span("", "server", traceparent=request.META.get(TRACEPARENT, "")) as opened:
            response = self._get_response(request)
            if opened is not None:
                match = request.resolver_match
                opened.name = f"{request.method} {(match and match.url_name) or 'unrouted'}"
                opened.attributes["status"] = response.status_code
        return response
