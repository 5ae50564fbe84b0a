"""The front door: answers from this process's memory without Django, in a fifth of the processor time.

The functions that decide identity, access, cost and record are the same that DRF's classes and the middlewares
call. The door answers only calls whose JSON answer is in memory. Django answers all others: other formats,
sessions, signatures, refused callers, answers that are not in memory.
"""

import time
from collections.abc import Callable, Mapping
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
from marketdata_project.correlation import chosen_id, correlation_headers
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
AnswerHeld = Callable[[ReceivedCall], FinishedAnswer | None]


def _held_bars(call: ReceivedCall) -> FinishedAnswer | None:
    now_ns, encoding = time.time_ns(), accepted_encoding(call.headers.get("accept-encoding"))
    bars = ohlc_pin(parse_ohlc_query(call.query), now_ns=now_ns)
    pinned = PinnedAnswer(bars, Representation("json", encoding))
    return finished_answer_if_cached(pinned, if_none_match=call.headers.get("if-none-match"), now_ns=now_ns)


HELD: Mapping[str, AnswerHeld] = {"ohlc": _held_bars}
"""Functions by url name, for endpoints without path arguments. Each finds the JSON answer to a GET in memory.

It returns None if the answer is not in memory, and raises the same errors as the endpoint's view.
"""

_DJANGOS = frozenset({"cookie", "origin", "signature", "signature-input"})
_JSON = frozenset({"*/*", "application/json"})
_SECURITY = (SecurityMiddleware, XFrameOptionsMiddleware)


class _Prepared(NamedTuple):
    """An answer in memory, the caller, its row in the table of access, and the values that the headers depend on."""

    held: FinishedAnswer
    caller: Caller
    access: Access
    allowed: str
    is_secure: bool


class FrontDoor:
    """Finds the answer to a call in memory, charges the caller and records the call."""

    def __init__(self) -> None:
        self._spool = call_spool()
        self._security_headers = {secure: _security_headers(is_secure=secure) for secure in (False, True)}

    def __call__(self, environ: Environ) -> FinishedAnswer | None:
        """Return the finished answer to a call; None leaves the call to Django."""
        call, at, started = call_in(environ), datetime.now(UTC), perf_counter_ns()
        prepared = _prepared(call, environ, at)
        if prepared is None:
            return None
        admission = _admitted(call, prepared, environ)
        if admission is None:
            return None
        held, correlation_id = prepared.held, chosen_id(call.headers.get("x-correlation-id"))
        call_record(
            spool=self._spool,
            call=call,
            at=at,
            caller=prepared.caller.identity,
            status=held.status,
            latency_us=(perf_counter_ns() - started) // 1000,
            correlation_id=correlation_id,
        )
        headers = {
            **held.headers,
            "Allow": prepared.allowed,
            **admission_headers(admission),
            **correlation_headers(correlation_id),
            **self._security_headers[prepared.is_secure],
        }
        return FinishedAnswer(held.status, headers, held.body)


def _prepared(call: ReceivedCall, environ: Environ, at: datetime) -> _Prepared | None:
    """Return the answer in memory if the caller may have it, else None. Charges nothing."""
    endpoint = endpoint_at(call.path) if call.method == "GET" else None
    answer_held = None if endpoint is None else HELD.get(endpoint.url_name or "")
    if endpoint is None or answer_held is None or BODY_TOO_LARGE in environ or not _asks_for_json(call):
        return None
    access, secure = access_of(endpoint.url_name, call.method), is_secure(environ)
    # Django must answer a call with an audit class: it is recorded in the view's transaction.
    if access is None or access.audit_class or secure is None:
        return None
    found = _held_for(call, access, answer_held, at)
    environ[ROUTE] = route_of(endpoint)
    return None if found is None else _Prepared(*found, access, _allowed(endpoint.func), secure)


def _held_for(
    call: ReceivedCall, access: Access, answer_held: AnswerHeld, at: datetime
) -> tuple[FinishedAnswer, Caller] | None:
    try:
        identity = identify(call, now=at)
        if identity is None or denial_of(identity.caller, access) is not None:
            return None
        held = answer_held(call)
    except Exception:  # noqa: BLE001 Django will meet the same error, answer and record it
        return None
    return None if held is None else (held, identity.caller)


def _admitted(call: ReceivedCall, prepared: _Prepared, environ: Environ) -> Admission | None:
    """Charge a call; return the admission, or None if the limit refused or the database cannot be used.

    Leaves a refusal in the environ for Django's throttle.
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
    """Whether the call accepts JSON, and has no signature, session cookie or Origin."""
    headers = call.headers
    return (
        headers.get("accept", "*/*") in _JSON
        and "format=" not in unquote(call.query)
        # Django's middlewares handle these headers: they use up nonces, open sessions, check CORS.
        and headers.keys().isdisjoint(_DJANGOS)
    )


def is_secure(environ: Mapping[str, Any]) -> bool | None:
    """Return whether a call came over TLS; None if Django would refuse its host or redirect it."""
    named = settings.SECURE_PROXY_SSL_HEADER
    scheme_header = named[0] if named else "HTTP_X_FORWARDED_PROTO"
    names = ("wsgi.url_scheme", "HTTP_HOST", "HTTP_X_FORWARDED_HOST", scheme_header)
    return _found_secure(tuple((name, environ[name]) for name in names if name in environ))


@lru_cache(maxsize=256)
def _found_secure(variables: tuple[tuple[str, str], ...]) -> bool | None:
    request = _bare_request(dict(variables))
    try:
        request.get_host()
    except DisallowedHost:
        return None
    is_secure = request.is_secure()
    return None if settings.SECURE_SSL_REDIRECT and not is_secure else is_secure


def _forget(*, setting: str, **_: Any) -> None:
    if setting in _OF_TRANSPORT:
        _found_secure.cache_clear()


_OF_TRANSPORT = frozenset(
    {"ALLOWED_HOSTS", "USE_X_FORWARDED_HOST", "SECURE_PROXY_SSL_HEADER", "SECURE_SSL_REDIRECT"}
)
setting_changed.connect(_forget, dispatch_uid="marketdata_project.front.door")


@cache
def _allowed(view: Any) -> str:
    """The `Allow` header of DRF's answers; `view` is the result of `as_view` of a view or a viewset."""
    actions = getattr(view, "actions", None)
    names = (
        {name for name in view.cls.http_method_names if hasattr(view.cls, name)}
        if actions is None
        else {*actions}
    )
    return ", ".join(
        name.upper() for name in view.cls.http_method_names if name in {*names, "head", "options"}
    )


def _security_headers(*, is_secure: bool) -> dict[str, str]:
    """The headers that Django's security middlewares add, if they are in MIDDLEWARE."""
    request = _bare_request({"wsgi.url_scheme": "https" if is_secure else "http"})
    bare, secured = HttpResponse(), HttpResponse()
    for middleware in _SECURITY:
        if f"{middleware.__module__}.{middleware.__name__}" in settings.MIDDLEWARE:
            middleware(lambda _: bare).process_response(request, secured)
    return {name: value for name, value in secured.headers.items() if name not in bare.headers}


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
