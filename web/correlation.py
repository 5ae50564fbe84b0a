"""The correlation id of a request: in its answer, its audit record and its log lines."""

import logging
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from django.http import HttpRequest, HttpResponse

from ops.masking import masked_text
from ops.redis.connection import is_available

HEADER = "X-Correlation-ID"
ENVIRON_NAME = "HTTP_X_CORRELATION_ID"
TRACEPARENT = "HTTP_TRACEPARENT"
ALLOWED = "[A-Za-z0-9._:/+=-]{1,128}"
_TRACE_ID = re.compile("00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_current: ContextVar[str] = ContextVar("correlation_id", default="")


def correlation_id() -> str:
    """Return the current request's id; "" outside a request."""
    return _current.get()


@contextmanager
def correlated(request_id: str) -> Iterator[None]:
    """Make `request_id` the current request's id while the context is entered."""
    token = _current.set(request_id)
    try:
        yield
    finally:
        _current.reset(token)


def accepted_id(offered_id: str | None, traceparent: str = "") -> str:
    """Return the client's id if it has 1 to 128 allowed characters and does not look like a secret, else a new id.

    traceparent: the header of W3C Trace Context. Without an id of the client's its trace's id is taken.
    """
    if offered_id is None and (trace := trace_in(traceparent)):
        return trace
    if offered_id is None or not re.fullmatch(ALLOWED, offered_id) or masked_text(offered_id) != offered_id:
        return _new_id()
    return offered_id


def trace_in(traceparent: str) -> str:
    """Return the id of the trace that the header names; "" if it is malformed."""
    found = _TRACE_ID.fullmatch(traceparent)
    return found[1] if found else ""


def _new_id() -> str:
    """Return 48 bits of time in milliseconds and 80 random bits, in hex."""
    # Random ids touch another page of the database's index for each record.
    return f"{time.time_ns() // 1_000_000:012x}{os.urandom(10).hex()}"


def correlation_headers(request_id: str) -> dict[str, str]:
    """Return `X-Correlation-ID`, and `X-Degraded` while Redis is unavailable."""
    return {HEADER: request_id} if is_available() else {HEADER: request_id, "X-Degraded": "redis"}


class CorrelationFilter(logging.Filter):
    """A filter that sets `correlation_id` on each log record; `-` outside a request."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.correlation_id = correlation_id() or "-"
        return True


class CorrelationMiddleware:
    """A middleware that sets `correlation_id` on each request, and adds `correlation_headers` to the answer."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request_id = accepted_id(request.META.get(ENVIRON_NAME), request.META.get(TRACEPARENT, ""))
        request.correlation_id = request_id  # type: ignore[attr-defined]  # the audit middleware reads it
        with correlated(request_id):
            response = self._get_response(request)
        for name, value in correlation_headers(request_id).items():
            response.headers[name] = value
        return response
