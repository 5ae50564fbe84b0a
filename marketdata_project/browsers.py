"""Middlewares for browsers: Django's session, CSRF, login and message middlewares, and the pages' security policies.

Requests without a session, such as API calls with a key, skip them. That saves about 40 µs. The header of pages says
who is logged in.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, cast

from csp.middleware import CSPMiddleware
from django.conf import settings
from django.contrib.auth import middleware as auth
from django.contrib.messages import middleware as messages
from django.contrib.sessions import middleware as sessions
from django.db import DatabaseError
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.middleware import csrf
from django.utils import timezone

from ratelimit.credentials.browser_login import caller_of_browser


class _ForBrowsers:
    """A mixin that skips a middleware unless the page needs a login or the request has a session cookie."""

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not _has_session(request):
            return cast("HttpResponseBase", cast("Any", self).get_response(request))
        return cast("HttpResponseBase", cast("Any", super()).__call__(request))

    def process_view(self, request: HttpRequest, *args: Any) -> Any:
        """Call the middleware's `process_view`. Only the CSRF middleware has one."""
        hook = getattr(super(), "process_view", None)
        return hook(request, *args) if hook and _has_session(request) else None


class SessionMiddleware(_ForBrowsers, sessions.SessionMiddleware):
    """Sessions, for browsers."""


class CsrfViewMiddleware(_ForBrowsers, csrf.CsrfViewMiddleware):
    """CSRF tokens, for browsers."""


class AuthenticationMiddleware(_ForBrowsers, auth.AuthenticationMiddleware):
    """The logged-in user, for browsers."""


class MessageMiddleware(_ForBrowsers, messages.MessageMiddleware):
    """Messages between pages, for browsers."""


def _has_session(request: HttpRequest) -> bool:
    path = request.path_info
    return path.startswith(
        ("/admin", "/login", "/logout", "/api/v1/auth/")
    ) or settings.SESSION_COOKIE_NAME in request.META.get("HTTP_COOKIE", "")


def login_name(request: HttpRequest) -> dict[str, Callable[[], str]]:
    """Give templates `login_name`: who is logged in with this browser. It is "" if nobody is, or if the database is away."""
    return {"login_name": partial(_login_name, request)}


def _login_name(request: HttpRequest) -> str:
    try:
        # DRF's requests have Django's.
        caller = caller_of_browser(getattr(request, "_request", request), now=timezone.now())
    except DatabaseError:
        return ""
    return "" if caller is None else caller.name


class PagePolicyMiddleware(CSPMiddleware):
    """A middleware that adds Content-Security-Policy (django-csp) and Permissions-Policy to HTML answers only.

    Browsers do not render other answers. No page needs a nonce, because scripts and styles are files.
    """

    sync_capable = True
    async_capable = False

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = cast("HttpResponseBase", self.get_response(request))
        if response.headers.get("Content-Type", "").startswith("text/html"):
            response.headers["Permissions-Policy"] = settings.PERMISSIONS_POLICY
            self.process_response(request, response)
        return response


def is_own_origin(environ: Mapping[str, Any]) -> bool:
    """Return whether a request to open a WebSocket comes from a page of this host or of CORS_ALLOWED_ORIGINS, or from no page.

    Browsers send client certificates with WebSockets of any page, and do not apply CORS to them. Over TLS a page that
    came without it is of another origin: whoever can change it on its way could read the feed.
    """
    origin: str | None = environ.get("HTTP_ORIGIN")
    if origin is None or origin in settings.CORS_ALLOWED_ORIGINS:
        return True
    scheme, _, host = origin.partition("://")
    is_mixed = environ["wsgi.url_scheme"] == "https" and scheme != "https"
    return host == environ.get("HTTP_HOST") and not is_mixed
