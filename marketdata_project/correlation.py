"""One id per request, in its answer, its errors, its audit record and its log lines."""

import logging
import re
import secrets
from collections.abc import Callable
from contextvars import ContextVar

from django.http import HttpRequest, HttpResponse

from marketdata_project.redis_connection import is_available

HEADER = "X-Correlation-ID"
_SANE = re.compile(r"[A-Za-z0-9._-]{8,128}")
_current: ContextVar[str] = ContextVar("correlation_id", default="")


def correlation_id() -> str:
    """The id of the request that this thread is answering; empty outside of one."""
    return _current.get()


class CorrelationFilter(logging.Filter):
    """Gives each log record the id of the request that it belongs to."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.correlation_id = correlation_id() or "-"
        return True


class CorrelationMiddleware:
    """Takes the client's id if it is a sane one, else makes one; says so when Redis is away."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        offered = request.META.get("HTTP_X_CORRELATION_ID", "")
        chosen = offered if _SANE.fullmatch(offered) else secrets.token_hex(16)
        request.correlation_id = chosen  # type: ignore[attr-defined]  # for the audit log, which knows no other app
        _current.set(chosen)
        response = self._get_response(request)
        response.headers[HEADER] = chosen
        if not is_available():
            response.headers["X-Degraded"] = "redis"
        return response
