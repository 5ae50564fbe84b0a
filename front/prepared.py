"""GETs that the front answers without Django, prepared: all that a call means apart from its caller.

A call is prepared once for all calls with the same target, Host, Accept and Accept-Encoding.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from io import BytesIO
from typing import Any, NamedTuple

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.core.handlers.wsgi import WSGIRequest
from django.core.signals import setting_changed
from django.http import HttpResponse
from django.middleware.clickjacking import XFrameOptionsMiddleware
from django.middleware.security import SecurityMiddleware
from rest_framework.renderers import BrowsableAPIRenderer
from rest_framework.request import Request

from front.answers import route_of
from ratelimit.limits.admission import COST_HEADER
from ratelimit.limits.costs import cost_of
from stats.delivery.finished_answers import FinishedAnswer
from stats.delivery.held_answer import HeldAnswer
from stats.delivery.pinned_answer import Representation
from stats.delivery.responses import ContentViewSet, with_link
from web.endpoints import Access, access_of, endpoint_at
from web.requests.compression import accepted_encoding
from web.requests.received import ReceivedCall

MAX_PREPARED = 4_096
# In characters. Longer calls are not prepared, which bounds the memory of prepared calls: anybody can send them.
LONGEST_KEY = 2_048
_SECURITY = (SecurityMiddleware, XFrameOptionsMiddleware)
_CORS = "corsheaders.middleware.CorsMiddleware"


class CallKey(NamedTuple):
    """What the answer to a GET depends on besides the caller. path: decoded. transport: variables of `is_secure`."""

    path: str
    query: str
    accept: str
    accept_encoding: str | None
    transport: tuple[tuple[str, str], ...]

    @property
    def length(self) -> int:
        """The number of characters that the client chose."""
        values = (value for _, value in self.transport)
        return sum(map(len, (self.path, self.query, self.accept, self.accept_encoding or "", *values)))


@dataclass(frozen=True, slots=True)
class PreparedCall:
    """A call without its caller. headers: those that depend on neither the caller nor the answer.

    cost: before the work, in tokens. `X-Cost` in the headers is this cost.
    """

    route: str
    access: Access
    cost: int
    answer: HeldAnswer
    headers: Mapping[str, str]

    def headers_of(self, answer: FinishedAnswer, call: ReceivedCall) -> dict[str, str]:
        """Return the headers of an answer that do not depend on the caller."""
        headers = {**with_link(answer.headers, path=call.path, query=call.query), **self.headers}
        if _CORS in settings.MIDDLEWARE:
            # As it adds to answers of calls without Origin, too. Django answers the others.
            headers["Vary"] += ", origin"
        return headers


def key_of(call: ReceivedCall, environ: Mapping[str, Any]) -> CallKey:
    """Return the key of a GET. environ: the call's, after `trusted_environ`."""
    return CallKey(
        call.path,
        call.query,
        call.headers.get("accept", "*/*"),
        call.headers.get("accept-encoding"),
        _transport(environ),
    )


@lru_cache(maxsize=MAX_PREPARED)
def prepared_call(key: CallKey) -> PreparedCall | None:
    """Prepare a GET; None if Django must answer it, because it is for people, wrong, or of another endpoint."""
    endpoint = endpoint_at(key.path)
    view = None if endpoint is None else getattr(endpoint.func, "cls", None)
    if endpoint is None or view is None or not issubclass(view, ContentViewSet):
        return None
    access, secure = access_of(endpoint.func, "GET"), _is_secure(key.transport)
    # A call with an audit class is recorded in its view's transaction.
    if access is None or access.audit_class or secure is None:
        return None
    path = {name: value for name, value in endpoint.kwargs.items() if name != "format"}
    try:
        answer_format = _negotiated(view, _format_query(key.query), key.accept, endpoint.kwargs.get("format"))
        pin = None if answer_format is None else view.pin(key.query, answer_format, **path)
    except Exception:  # noqa: BLE001 Django will meet the same error and answer it
        return None
    if answer_format is None or pin is None:
        return None
    cost = cost_of(access.cost, key.query, answer_format)
    return PreparedCall(
        route=route_of(endpoint),
        access=access,
        cost=cost,
        answer=HeldAnswer(pin, Representation(answer_format, accepted_encoding(key.accept_encoding))),
        headers={
            "Allow": _allowed(endpoint.func),
            COST_HEADER: str(cost),
            **_security_headers(is_secure=secure),
        },
    )


def _format_query(query: str) -> str:
    """Return a query string with the same `format`, the same for most query strings."""
    return query if "format" in query or "%" in query else ""


@lru_cache(maxsize=1_024)
def _negotiated(view: type[ContentViewSet], query: str, accept: str, suffix: str | None) -> str | None:
    """Return the name of the answer's format; None for a page for people. Raises what the view would raise."""
    bare = _bare_request({"QUERY_STRING": query, "HTTP_ACCEPT": accept})
    renderers = [renderer() for renderer in view.renderer_classes]
    renderer, _ = view.content_negotiation_class().select_renderer(Request(bare), renderers, suffix)
    return None if isinstance(renderer, BrowsableAPIRenderer) else renderer.format


def is_secure(environ: Mapping[str, Any]) -> bool | None:
    """Return whether a call came over TLS; None if Django would refuse its host or redirect it."""
    return _is_secure(_transport(environ))


def _transport(environ: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Return the variables from which Django tells the host and the scheme."""
    proxy_header = settings.SECURE_PROXY_SSL_HEADER
    scheme_header = proxy_header[0] if proxy_header else "HTTP_X_FORWARDED_PROTO"
    # HTTP/1.0 clients may send no Host.
    host = ("HTTP_HOST",) if "HTTP_HOST" in environ else ("SERVER_NAME", "SERVER_PORT")
    names = ("wsgi.url_scheme", *host, "HTTP_X_FORWARDED_HOST", scheme_header)
    return tuple((name, environ[name]) for name in names if name in environ)


@lru_cache(maxsize=256)
def _is_secure(transport: tuple[tuple[str, str], ...]) -> bool | None:
    request = _bare_request(dict(transport))
    try:
        request.get_host()
    except DisallowedHost:
        return None
    is_secure = request.is_secure()
    return None if settings.SECURE_SSL_REDIRECT and not is_secure else is_secure


@cache
def _allowed(view: Any) -> str:
    """Return the `Allow` header of DRF's answers. `view` is the result of a viewset's `as_view`."""
    methods = {*view.actions, "head", "options"}
    return ", ".join(name.upper() for name in view.cls.http_method_names if name in methods)


@cache
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


def _forget(**_: Any) -> None:
    for remembered in (prepared_call, _is_secure, _negotiated, _security_headers):
        remembered.cache_clear()


# Only tests change settings.
setting_changed.connect(_forget, dispatch_uid="front.prepared")
