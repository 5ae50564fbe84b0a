"""Plain HTTP where TLS is asked for: each call leaves a record and is charged to its address, for a key may have leaked with it."""

from collections.abc import Callable
from datetime import UTC, datetime
from http import HTTPStatus
from time import perf_counter_ns

from django.conf import settings
from django.core.exceptions import MiddlewareNotUsed
from django.http import HttpRequest, HttpResponse

from audit.calls.middleware import is_api_call
from audit.services import call_record, call_spool
from marketdata_project.strangers import charged
from ratelimit.limits.headers import admission_headers
from ratelimit.request_attributes import ADMISSION

# What Django's SecurityMiddleware answers: a redirect, or a refusal of the host. All else is from within.
_REDIRECTED = HTTPStatus.MOVED_PERMANENTLY
_ANSWERED = frozenset({_REDIRECTED, HTTPStatus.BAD_REQUEST})


class PlainHttpMiddleware:
    """Stands around Django's SecurityMiddleware, whose redirects keep method and body here (308), and are bounded.

    Nobody is looked at: whose key came over a wire that everybody reads is not said. Over the limit the
    answer is 429.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        if not settings.SECURE_SSL_REDIRECT:
            raise MiddlewareNotUsed
        self._get_response = get_response
        self._spool = call_spool()

    def __call__(self, request: HttpRequest) -> HttpResponse:
        at, started = datetime.now(UTC), perf_counter_ns()
        response = self._get_response(request)
        if response.status_code not in _ANSWERED or request.is_secure():
            return response
        response = _bounded(request, response)
        if is_api_call(request.path_info):
            call_record(
                spool=self._spool,
                at=at,
                caller="",
                method=request.method or "",
                path=request.path,
                query=request.META.get("QUERY_STRING", ""),
                status=response.status_code,
                latency_us=(perf_counter_ns() - started) // 1000,
                address=request.META.get("REMOTE_ADDR", ""),
                correlation_id=getattr(request, "correlation_id", ""),
            )
        return response


def _bounded(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """The answer, once it was charged to the address; the 429 if that was refused."""
    if response.status_code == _REDIRECTED:
        response.status_code = HTTPStatus.PERMANENT_REDIRECT
    refusal = charged(request, None)
    if refusal is not None:
        for name in set(response.headers) - {"Location"}:
            refusal.headers.setdefault(name, response.headers[name])
        response = refusal
    for name, value in admission_headers(getattr(request, ADMISSION)).items():
        response.headers[name] = value
    return response
