"""Plain HTTP where TLS is required: redirects pages and refuses API calls.

Each request counts against the rate limit of the client's IP address. Each API call is written to the audit log. If
a refused call carried a valid key or token, the program's log names it.
"""

import logging
from collections.abc import Callable, MutableMapping
from datetime import UTC, datetime
from http import HTTPStatus
from time import perf_counter_ns
from typing import Any

from django.conf import settings
from django.core.exceptions import MiddlewareNotUsed
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse

from audit.recording.middleware import is_api_call
from audit.services import call_record, call_spool
from marketdata_project.anonymous_clients import charge
from marketdata_project.problems import Problem
from ratelimit.credentials.identify import exposed_credential
from ratelimit.limits.admission import admission_headers
from web.requests.received import call_in
from web.requests.wsgi_variables import ADMISSION

# Statuses of SecurityMiddleware's own answers: a redirect, or a refused host. Other answers come from a view.
_REDIRECTED = HTTPStatus.MOVED_PERMANENTLY
_OWN_STATUSES = frozenset({_REDIRECTED, HTTPStatus.BAD_REQUEST})
HTTPS_REQUIRED = Problem(
    "https_required",
    "the API is called over https; the request's credential was readable on its way: replace it",
)

logger = logging.getLogger(__name__)


class PlainHttpMiddleware:
    """Replaces SecurityMiddleware's 301 by a 308 for pages, and by a 403 for API calls. A 308 keeps method and body.

    An API client that follows redirects would send its key unencrypted with every call and never notice. If
    the client's address has exceeded its rate limit, the answer is 429.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        if not settings.SECURE_SSL_REDIRECT:
            raise MiddlewareNotUsed
        self._get_response = get_response
        self._spool = call_spool()

    def __call__(self, request: HttpRequest) -> HttpResponse:
        now, started = datetime.now(UTC), perf_counter_ns()
        response = self._get_response(request)
        if response.status_code not in _OWN_STATUSES or request.is_secure():
            return response
        is_call = is_api_call(request.path_info)
        response = _charge_address(request, _refuse_redirect(response) if is_call else response)
        if is_call:
            if response.status_code == HTTPS_REQUIRED.status:
                name_exposed(request.META, now)
            call_record(
                spool=self._spool,
                call=call_in(request.META),
                at=now,
                caller="",
                status=response.status_code,
                latency_us=(perf_counter_ns() - started) // 1000,
                correlation_id=getattr(request, "correlation_id", ""),
            )
        return response


def _refuse_redirect(response: HttpResponse) -> HttpResponse:
    """Return the 403 that replaces a redirect, with the redirect's other headers. Return any other response unchanged."""
    if response.status_code != _REDIRECTED:
        return response
    refusal = HTTPS_REQUIRED.response()
    for name in set(response.headers) - {"Location"}:
        refusal.headers.setdefault(name, response.headers[name])
    return refusal


def name_exposed(environ: MutableMapping[str, Any], now: datetime) -> None:
    """Name the valid key or token of a call that came over plain HTTP in the log."""
    call = call_in(environ)
    try:
        exposed = exposed_credential(call, now=now)
    except DatabaseError:
        return
    if exposed is not None:
        logger.warning("%s came over plain HTTP from %s and is exposed: replace it", exposed, call.address)


def _charge_address(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """Charge the client's address; return the response with rate-limit headers, or a 429 if the limit refuses."""
    if response.status_code == _REDIRECTED:
        response.status_code = HTTPStatus.PERMANENT_REDIRECT
    refusal = charge(request, None)
    if refusal is not None:
        for name in set(response.headers) - {"Location"}:
            refusal.headers.setdefault(name, response.headers[name])
        response = refusal
    for name, value in admission_headers(request.META[ADMISSION]).items():
        response.headers[name] = value
    return response
