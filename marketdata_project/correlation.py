"""The correlation id of a request, which is in its answer, errors, audit record and log lines."""

import logging
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from django.http import HttpRequest, HttpResponse

from audit.records.masking import masked_text
from redis_calls.connection import is_available

HEADER = "X-Correlation-ID"
_SANE = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
_current: ContextVar[str] = ContextVar("correlation_id", default="")


def correlation_id() -> str:
    """The current request's id; "" outside a request."""
    return _current.get()


@contextmanager
def correlated(chosen: str) -> Iterator[None]:
    """Make `chosen` the current request's id while the context is entered."""
    token = _current.set(chosen)
    try:
        yield
    finally:
        _current.reset(token)


def chosen_id(offered: str | None) -> str:
    """The client's id if it has 1 to 128 allowed characters and does not look like a secret, else a new one."""
    if offered is None or not _SANE.fullmatch(offered) or masked_text(offered) != offered:
        return secrets.token_hex(16)
    return offered


def correlation_headers(chosen: str) -> dict[str, str]:
    """`X-Correlation-ID`, and `X-Degraded` while Redis is unavailable."""
    return {HEADER: chosen} if is_available() else {HEADER: chosen, "X-Degraded": "redis"}


class CorrelationFilter(logging.Filter):
    """Sets `correlation_id` on each log record; `-` outside a request."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.correlation_id = correlation_id() or "-"
        return True


class CorrelationMiddleware:
    """Sets `correlation_id` on each request and the headers of `correlation_headers` on its answer."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        chosen = chosen_id(request.META.get("HTTP_X_CORRELATION_ID"))
        request.correlation_id = chosen  # type: ignore[attr-defined]  # the audit middleware reads it
        with correlated(chosen):
            response = self._get_response(request)
        for name, value in correlation_headers(chosen).items():
            response.headers[name] = value
        return response
