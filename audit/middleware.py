"""Leaves an audit record of every API call, whatever became of it."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from time import perf_counter_ns

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.functional import LazyObject

from audit.services import call_record, call_spool

# The documentation and the schema are pages under the API's prefix, not calls.
_API_CALL = re.compile(r"/(?:api|v1)/(?!(?:v\d+/)?(?:docs|redoc|schema)(?:[/.]|$))")


def is_api_call(path: str) -> bool:
    """Whether a request to `path` (decoded, without the script's prefix) is recorded."""
    return _API_CALL.match(path) is not None


class AuditMiddleware:
    """Records calls with the time until their answer was ready; a streamed body is not waited for."""

    sync_capable = True
    async_capable = False

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response
        self.spool = call_spool()

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not is_api_call(request.path_info):
            return self.get_response(request)
        at, started, status = datetime.now(UTC), perf_counter_ns(), 500
        try:
            response = self.get_response(request)
            status = response.status_code
            return response
        finally:
            self._record(request, at=at, status=status, latency_us=(perf_counter_ns() - started) // 1000)

    def _record(self, request: HttpRequest, *, at: datetime, status: int, latency_us: int) -> None:
        meta = request.META
        call_record(
            spool=self.spool,
            at=at,
            caller=_caller(request),
            method=request.method or "",
            path=request.path,
            query=meta.get("QUERY_STRING", ""),
            status=status,
            latency_us=latency_us,
            address=meta.get("REMOTE_ADDR", ""),
            correlation_id=getattr(request, "correlation_id", ""),
        )


def _caller(request: HttpRequest) -> str:
    """Who was authenticated, "" if nobody. A session's user that is not loaded yet stays so: that is a query."""
    user = request.__dict__.get("user")
    return "" if user is None or isinstance(user, LazyObject) else str(getattr(user, "identity", ""))
