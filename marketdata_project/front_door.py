"""Bars that this process holds in memory are answered before Django: five times as many a second.

The same functions decide as in Django's chain: whose key it is, whether its bucket admits, which answer and headers,
what goes into the audit record. Whatever is not plainly such an answer is left to Django: other formats,
sessions, unknown keys, missing scopes, wrong parameters, refusals of the limit, answers that are not held.
"""

from datetime import UTC, datetime
from functools import cache
from time import perf_counter_ns
from typing import Any
from urllib.parse import unquote

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.middleware.security import SecurityMiddleware

from audit.services import call_record, call_spool
from marketdata_project.correlation import chosen_id, correlation_headers
from ratelimit.api_keys import Caller
from ratelimit.exceptions import CredentialError
from ratelimit.headers import rate_headers
from ratelimit.limiter import admit
from ratelimit.selectors import caller_presented
from ratelimit.throttles import kind_of
from stats.exceptions import StatsError
from stats.finished import Finished
from stats.ohlc import pin_ohlc
from stats.ohlc_query import parse_ohlc_query
from stats.responses import finished_bars
from stats.views import OhlcViewSet
from trades.exceptions import TradesError
from trades.storage.exceptions import StorageError

_PATHS = frozenset(
    prefix + slash for prefix in ("/v1/stats/ohlc", "/api/v1/stats/ohlc") for slash in ("", "/")
)
_JSON = frozenset({"*/*", "application/json"})
_SCOPE = OhlcViewSet.required_scopes["GET"]
_ALLOW = {"Allow": "GET, HEAD, OPTIONS"}


class FrontDoor:
    """Gives answers that are ready, charged and recorded."""

    def __init__(self) -> None:
        self._spool = call_spool()

    def __call__(self, environ: dict[str, Any]) -> Finished | None:
        """The whole answer to a request; None if it is Django's to give."""
        if environ["PATH_INFO"] not in _PATHS or not _is_plain(environ):
            return None
        at, started = datetime.now(UTC), perf_counter_ns()
        caller = _reader(environ, at)
        bars = _held_bars(environ) if caller is not None else None
        if caller is None or bars is None:
            return None
        standing = admit(caller_identity=caller.identity, rate=caller.rate, kind=kind_of("GET"))
        if not standing.admitted:
            return None
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
        headers = {**bars.headers, **_ALLOW, **rate_headers(standing), **correlation_headers(correlation_id)}
        headers.update(_security_headers(is_secure=environ["wsgi.url_scheme"] == "https"))
        return Finished(bars.status, headers, bars.body)


def _is_plain(environ: dict[str, Any]) -> bool:
    """Whether it is a GET for JSON, without a session, on a connection that needs no redirect."""
    return (
        environ["REQUEST_METHOD"] == "GET"
        and environ.get("HTTP_ACCEPT", "*/*") in _JSON
        and "format=" not in unquote(environ["QUERY_STRING"])
        and "HTTP_COOKIE" not in environ
        and not settings.SECURE_SSL_REDIRECT
    )


def _reader(environ: dict[str, Any], at: datetime) -> Caller | None:
    try:
        caller = caller_presented(
            authorization=environ.get("HTTP_AUTHORIZATION"), x_api_key=environ.get("HTTP_X_API_KEY"), now=at
        )
    except CredentialError:
        return None
    return caller if caller is not None and _SCOPE in caller.scopes else None


def _held_bars(environ: dict[str, Any]) -> Finished | None:
    try:
        pinned = pin_ohlc(parse_ohlc_query(environ["QUERY_STRING"]))
        return finished_bars(pinned, if_none_match=environ.get("HTTP_IF_NONE_MATCH"), only_held=True)
    except (StatsError, TradesError, StorageError):
        return None


@cache
def _security_headers(*, is_secure: bool) -> dict[str, str]:
    """What Django's security middleware adds, if it is in use."""
    if "django.middleware.security.SecurityMiddleware" not in settings.MIDDLEWARE:
        return {}
    request = HttpRequest()
    request.META["wsgi.url_scheme"] = "https" if is_secure else "http"
    bare, secured = HttpResponse(), HttpResponse()
    SecurityMiddleware(lambda _: bare).process_response(request, secured)
    return {name: value for name, value in secured.headers.items() if name not in bare.headers}
