"""Bars that this process holds in memory are answered before Django, in a fifth of the processor time.

The same functions decide as in Django's chain: whose key it is, whether its bucket admits, which answer and
headers, what goes into the audit record. Whatever is not plainly such an answer is left to Django: other
formats, sessions, unknown keys, missing scopes, wrong parameters, refusals of the limit, answers that are not
held.
"""

from datetime import UTC, datetime
from functools import lru_cache
from io import BytesIO
from time import perf_counter_ns
from typing import Any
from urllib.parse import unquote

from django.conf import settings
from django.core.handlers.wsgi import WSGIRequest
from django.db import DatabaseError
from django.http import HttpResponse
from django.http.request import split_domain_port, validate_host
from django.middleware.clickjacking import XFrameOptionsMiddleware
from django.middleware.security import SecurityMiddleware

from audit.services import call_record, call_spool
from http_requests.compression import accepted_encoding
from marketdata_project.correlation import chosen_id, correlation_headers
from marketdata_project.front.measures import ROUTE
from marketdata_project.problem_body import BODY_TOO_LARGE
from ratelimit.access.decision import may
from ratelimit.access.table import Access, access_of
from ratelimit.callers import Caller
from ratelimit.credentials.identify import caller_of
from ratelimit.credentials.presented import presented_in
from ratelimit.limits.admission import Admission
from ratelimit.limits.costs import cost_of
from ratelimit.limits.headers import admission_headers
from ratelimit.limits.services import admit
from stats.delivery.finished import Finished
from stats.ohlc.services import bars_read_if_held

_PATHS = frozenset(
    prefix + slash for prefix in ("/v1/stats/ohlc", "/api/v1/stats/ohlc") for slash in ("", "/")
)
_URL_NAME = "ohlc"
_JSON = frozenset({"*/*", "application/json"})
_SECURITY = (SecurityMiddleware, XFrameOptionsMiddleware)
_ALLOW = {"Allow": "GET, HEAD, OPTIONS"}


class FrontDoor:
    """Gives answers that are ready, charged and recorded."""

    def __init__(self) -> None:
        self._spool = call_spool()
        self._security_headers = {secure: _security_headers(is_secure=secure) for secure in (False, True)}

    def __call__(self, environ: dict[str, Any]) -> Finished | None:
        """The whole answer to a request; None if it is Django's to give."""
        if environ["PATH_INFO"] not in _PATHS or not _is_plain(environ):
            return None
        at, started = datetime.now(UTC), perf_counter_ns()
        prepared = _prepared(environ, at)
        if prepared is None:
            return None
        caller, access, bars = prepared
        admission = _admitted(caller, access, environ["QUERY_STRING"])
        if admission is None:
            return None
        environ[ROUTE] = _URL_NAME
        correlation_id = chosen_id(environ.get("HTTP_X_CORRELATION_ID"))
        call_record(
            spool=self._spool,
            at=at,
            caller=caller.identity,
            method="GET",
            path=environ["PATH_INFO"],
            query=environ["QUERY_STRING"],
            status=bars.status,
            latency_us=(perf_counter_ns() - started) // 1000,
            address=environ["REMOTE_ADDR"],
            correlation_id=correlation_id,
        )
        headers = {
            **bars.headers,
            **_ALLOW,
            **admission_headers(admission),
            **correlation_headers(correlation_id),
        }
        headers.update(self._security_headers[_is_secure(environ)])
        return Finished(bars.status, headers, bars.body)


def _admitted(caller: Caller, access: Access, query: str) -> Admission | None:
    """The admission of a call that was charged; None if it was refused, or no quota could be booked."""
    try:
        admission = admit(caller, access, cost=cost_of(access.cost, query))
    except DatabaseError:
        return None
    return admission if admission.admitted else None


def _is_plain(environ: dict[str, Any]) -> bool:
    """Whether it is a GET for JSON to a host of ours, unsigned, without a session, not from another site's page, that needs no redirect."""
    return (
        environ["REQUEST_METHOD"] == "GET"
        and environ.get("HTTP_ACCEPT", "*/*") in _JSON
        and "format=" not in unquote(environ["QUERY_STRING"])
        and "HTTP_COOKIE" not in environ
        # The nonce of a signature is used up when it is checked, and Django would meet a replay.
        and "HTTP_SIGNATURE" not in environ
        and "HTTP_SIGNATURE_INPUT" not in environ
        and "HTTP_ORIGIN" not in environ
        and not settings.USE_X_FORWARDED_HOST
        and _is_our_host(environ.get("HTTP_HOST", ""), tuple(settings.ALLOWED_HOSTS))
        and (not settings.SECURE_SSL_REDIRECT or _is_secure(environ))
        and BODY_TOO_LARGE not in environ
    )


@lru_cache(maxsize=64)
def _is_our_host(host: str, allowed: tuple[str, ...]) -> bool:
    """Whether `HttpRequest.get_host` would return it."""
    domain, _port = split_domain_port(host)
    return bool(domain) and validate_host(domain, allowed)


def _is_secure(environ: dict[str, Any]) -> bool:
    """What `HttpRequest.is_secure` says: the trusted proxy's word where there is one, else the connection's."""
    if settings.SECURE_PROXY_SSL_HEADER:
        name, secure_value = settings.SECURE_PROXY_SSL_HEADER
        word: str | None = environ.get(name)
        if word is not None:
            return word.split(",", 1)[0].strip() == secure_value
    return bool(environ["wsgi.url_scheme"] == "https")


def _prepared(environ: dict[str, Any], at: datetime) -> tuple[Caller, Access, Finished] | None:
    """Who may read which bars by which row, as far as this process knows by itself.

    Nothing is charged yet.
    """
    access = access_of(_URL_NAME, "GET")
    # A strict class is recorded in the view's own transaction.
    if access is None or access.audit_class:
        return None
    try:
        caller = caller_of(presented_in(environ), now=at)
        if caller is None or may(caller, access) is not None:
            return None
        bars = bars_read_if_held(
            query_string=environ["QUERY_STRING"],
            if_none_match=environ.get("HTTP_IF_NONE_MATCH"),
            encoding=accepted_encoding(environ.get("HTTP_ACCEPT_ENCODING")),
        )
    except Exception:  # noqa: BLE001 Django meets the same error, answers it and records it
        return None
    return None if bars is None else (caller, access, bars)


def _security_headers(*, is_secure: bool) -> dict[str, str]:
    """What those of Django's middlewares add that say something about transport, as far as they are in use."""
    request = WSGIRequest(
        {
            "REQUEST_METHOD": "GET",
            "PATH_INFO": "/",
            "wsgi.url_scheme": "https" if is_secure else "http",
            "wsgi.input": BytesIO(),
        }
    )
    bare, secured = HttpResponse(), HttpResponse()
    for middleware in _SECURITY:
        if f"{middleware.__module__}.{middleware.__name__}" in settings.MIDDLEWARE:
            middleware(lambda _: bare).process_response(request, secured)
    return {name: value for name, value in secured.headers.items() if name not in bare.headers}
