"""The front door: answers calls from this process's memory, without Django. That takes a fifth of the processor time.

It authenticates, checks access, charges and records with the same functions as DRF's classes and the middlewares.
It answers only calls whose JSON answer is in memory. Django answers all others: other formats, sessions, signatures,
refused callers, answers that are not in memory.
"""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache, lru_cache
from io import BytesIO
from time import perf_counter_ns
from typing import Any, NamedTuple
from urllib.parse import unquote

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.core.handlers.wsgi import WSGIRequest
from django.core.signals import setting_changed
from django.db import DatabaseError
from django.http import HttpResponse
from django.middleware.clickjacking import XFrameOptionsMiddleware
from django.middleware.security import SecurityMiddleware

from audit.services import call_record, call_spool
from http_requests.compression import accepted_encoding
from http_requests.received import ReceivedCall, call_in
from http_requests.wsgi_variables import ADMISSION, BODY_TOO_LARGE, ROUTE
from marketdata_project.correlation import accepted_id, correlation_headers
from marketdata_project.endpoints import endpoint_at
from marketdata_project.front.answers import route_of
from ratelimit.access.table import Access, access_of, denial_of
from ratelimit.callers import Caller
from ratelimit.credentials.identify import identify
from ratelimit.limits.admission import Admission, admission_headers
from ratelimit.limits.services import admit_call
from stats.delivery.finished_answers import FinishedAnswer, finished_answer_if_cached
from stats.delivery.pinned_answer import PinnedAnswer, Representation
from stats.ohlc.answer import ohlc_pin, parse_ohlc_query

Environ = dict[str, Any]


def _cached_bars(call: ReceivedCall) -> FinishedAnswer | None:
    """Return the JSON answer to a call if it is in memory. Raises the same errors as the endpoint's view."""
    now_ns, encoding = time.time_ns(), accepted_encoding(call.headers.get("accept-encoding"))
    bars = ohlc_pin(parse_ohlc_query(call.query), now_ns=now_ns)
    pinned = PinnedAnswer(bars, Representation("json", encoding))
    return finished_answer_if_cached(pinned, if_none_match=call.headers.get("if-none-match"), now_ns=now_ns)


# The url name of the endpoint whose answers the door sends.
_ENDPOINT = "ohlc"
_DJANGO_HEADERS = frozenset({"cookie", "origin", "signature", "signature-input"})
_JSON = frozenset({"*/*", "application/json"})
_SECURITY = (SecurityMiddleware, XFrameOptionsMiddleware)


class _Prepared(NamedTuple):
    """An answer in memory, its caller, the endpoint's row in the access table, and what other headers depend on.

    allowed: the `Allow` header. is_secure: whether the call came over TLS.
    """

    answer: FinishedAnswer
    caller: Caller
    access: Access
    allowed: str
    is_secure: bool


class FrontDoor:
    """A callable that finds the answer to a call in memory, charges the caller and records the call."""

    def __init__(self) -> None:
        self._spool = call_spool()
        self._security_headers = {secure: _security_headers(is_secure=secure) for secure in (False, True)}

    def __call__(self, environ: Environ) -> FinishedAnswer | None:
        """Return the finished answer to a call; None leaves the call to Django."""
        call, now, started = call_in(environ), datetime.now(UTC), perf_counter_ns()
        prepared = _prepared(call, environ, now)
        if prepared is None:
            return None
        admission = _admitted(call, prepared, environ)
        if admission is None:
            return None
        answer, correlation_id = prepared.answer, accepted_id(call.headers.get("x-correlation-id"))
        call_record(
            spool=self._spool,
            call=call,
            at=now,
            caller=prepared.caller.identity,
            status=answer.status,
            latency_us=(perf_counter_ns() - started) // 1000,
            correlation_id=correlation_id,
        )
        headers = {
            **answer.headers,
            "Allow": prepared.allowed,
            **admission_headers(admission),
            **correlation_headers(correlation_id),
            **self._security_headers[prepared.is_secure],
        }
        return FinishedAnswer(answer.status, headers, answer.body)


def _prepared(call: ReceivedCall, environ: Environ, now: datetime) -> _Prepared | None:
    """Return the answer in memory if the caller may have it, else None. Charges nothing."""
    endpoint = endpoint_at(call.path) if call.method == "GET" else None
    if endpoint is None or endpoint.url_name != _ENDPOINT:
        return None
    if BODY_TOO_LARGE in environ or not _asks_for_json(call):
        return None
    access, secure = access_of(endpoint.url_name, call.method), is_secure(environ)
    # A call with an audit class is recorded in the view's transaction, so Django must answer it.
    if access is None or access.audit_class or secure is None:
        return None
    caller, answer = _answer_for(call, access, now)
    environ[ROUTE] = route_of(endpoint)
    if caller is None or answer is None:
        return None
    return _Prepared(answer, caller, access, _allowed(endpoint.func), secure)


def _answer_for(
    call: ReceivedCall, access: Access, now: datetime
) -> tuple[Caller | None, FinishedAnswer | None]:
    """Return the caller and the answer in memory. If one of them is None, Django answers the call."""
    try:
        identity = identify(call, now=now)
        if identity is None or denial_of(identity.caller, access) is not None:
            return None, None
        return identity.caller, _cached_bars(call)
    except Exception:  # noqa: BLE001 Django will meet the same error, answer and record it
        return None, None


def _admitted(call: ReceivedCall, prepared: _Prepared, environ: Environ) -> Admission | None:
    """Charge a call; return the admission, or None if the limit refuses it or the database cannot be used.

    A refused admission is left in the environ, where DRF's throttle finds it.
    """
    try:
        admission = admit_call(call, prepared.caller, prepared.access)
    except DatabaseError:
        return None
    if not admission.admitted:
        environ[ADMISSION] = admission
        return None
    return admission


def _asks_for_json(call: ReceivedCall) -> bool:
    """Return whether the call accepts JSON, and has no signature, session cookie or Origin."""
    headers = call.headers
    return (
        headers.get("accept", "*/*") in _JSON
        and "format=" not in unquote(call.query)
        # Only Django's middlewares can handle these headers: nonces, sessions and CORS.
        and headers.keys().isdisjoint(_DJANGO_HEADERS)
    )


def is_secure(environ: Mapping[str, Any]) -> bool | None:
    """Return whether a call came over TLS; None if Django would refuse its host or redirect it to https."""
    proxy_header = settings.SECURE_PROXY_SSL_HEADER
    scheme_header = proxy_header[0] if proxy_header else "HTTP_X_FORWARDED_PROTO"
    names = ("wsgi.url_scheme", "HTTP_HOST", "HTTP_X_FORWARDED_HOST", scheme_header)
    return _is_secure_cached(tuple((name, environ[name]) for name in names if name in environ))


@lru_cache(maxsize=256)
def _is_secure_cached(variables: tuple[tuple[str, str], ...]) -> bool | None:
    request = _bare_request(dict(variables))
    try:
        request.get_host()
    except DisallowedHost:
        return None
    is_secure = request.is_secure()
    return None if settings.SECURE_SSL_REDIRECT and not is_secure else is_secure


def _forget(*, setting: str, **_: Any) -> None:
    if setting in _TRANSPORT_SETTINGS:
        _is_secure_cached.cache_clear()


_TRANSPORT_SETTINGS = frozenset(
    {"ALLOWED_HOSTS", "USE_X_FORWARDED_HOST", "SECURE_PROXY_SSL_HEADER", "SECURE_SSL_REDIRECT"}
)
setting_changed.connect(_forget, dispatch_uid="marketdata_project.front.door")


@cache
def _allowed(view: Any) -> str:
    """Return the `Allow` header of DRF's answers. `view` is the result of a viewset's `as_view`."""
    methods = {*view.actions, "head", "options"}
    return ", ".join(name.upper() for name in view.cls.http_method_names if name in methods)


def _security_headers(*, is_secure: bool) -> dict[str, str]:
    """Return the headers that Django's security middlewares add, if they are in MIDDLEWARE."""
    request = _bare_request({"wsgi.url_scheme": "https" if is_secure else "http"})
    plain, secured = HttpResponse(), HttpResponse()
    for middleware in _SECURITY:
        if f"{middleware.__module__}.{middleware.__name__}" in settings.MIDDLEWARE:
            middleware(lambda _: plain).process_response(request, secured)
    return {name: value for name, value in secured.headers.items() if name not in plain.headers}


def _bare_request(variables: Mapping[str, str]) -> WSGIRequest:
    return WSGIRequest(
        {
            "REQUEST_METHOD": "GET",
            "PATH_INFO": "/",
            "wsgi.url_scheme": "http",
            "wsgi.input": BytesIO(),
            **variables,
        }
    )
