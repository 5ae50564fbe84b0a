"""Logins of browsers: the refresh token as a cookie that scripts cannot read, and Django's session for pages.

A call with the header `X-Refresh: cookie` asks for it. Pages of other origins cannot send this header, and the
cookies are not sent with their requests.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.auth import login, logout
from django.contrib.auth.middleware import get_user
from django.contrib.auth.signals import user_logged_out
from django.contrib.sessions.models import Session
from django.http import HttpRequest, parse_cookie
from django.http.response import HttpResponseBase
from django.utils import timezone

from ratelimit.callers import Caller
from ratelimit.credentials.people import caller_of_person
from ratelimit.credentials.sessions import TokenPair, key_holder, session_close
from ratelimit.exceptions import InvalidToken
from ratelimit.models import TokenSession

_HEADER, _COOKIE = "X-Refresh", "cookie"
# A stream may go on after its token has expired, while its session is open.
_LONGEST_STREAM = timedelta(days=1)
# The most sessions that one transaction deletes.
MOST_AT_ONCE = 5_000
# Where the refresh token is used, and the browser sends it.
_PATH = "/api/v1/auth"
# Names in Django's session: the id and the secret of a logged-in key, and the id of this login's token session.
_KEY, _TOKENS = "api_key", "token_session"


def wants_cookie(request: HttpRequest) -> bool:
    """Return whether the caller wants the refresh token as a cookie."""
    return request.headers.get(_HEADER) == _COOKIE


def browser_login(request: HttpRequest, response: HttpResponseBase, pair: TokenPair) -> None:
    """Log a browser in: set the cookie, and begin Django's session of the person or the key."""
    holder = pair.holder
    # The session before, of whoever it is, ends with its tokens.
    logout(request)
    if holder.user is not None:
        login(request, holder.user)
    else:
        request.session.cycle_key()
        request.session[_KEY] = [int(holder.caller.identity.partition(":")[2]), holder.secrets[0]]
    request.session[_TOKENS] = pair.session_id
    set_cookie(response, pair)


def set_cookie(response: HttpResponseBase, pair: TokenPair) -> None:
    """Set the cookie with the refresh token. Like Django's session it ends when the browser is closed."""
    response.set_cookie(
        settings.REFRESH_COOKIE_NAME,
        pair.refresh,
        path=_PATH,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Strict",
    )


def refresh_in_cookie(request: HttpRequest) -> str:
    """Return the refresh token in the cookie. Raises InvalidToken without one."""
    token = request.COOKIES.get(settings.REFRESH_COOKIE_NAME)
    if not token:
        raise InvalidToken
    return token


def browser_logout(request: HttpRequest, response: HttpResponseBase) -> None:
    """Log a browser out, whether its tokens are still valid or not."""
    logout(request)
    response.delete_cookie(settings.REFRESH_COOKIE_NAME, path=_PATH, samesite="Strict")


def sessions_delete_expired(*, now: datetime) -> None:
    """Delete Django's sessions and the token sessions that have expired, in transactions of at most MOST_AT_ONCE."""
    for expired in (
        Session.objects.filter(expire_date__lt=now),
        TokenSession.objects.filter(expires_at__lt=now - _LONGEST_STREAM),
    ):
        while expired.exists():
            expired.filter(pk__in=expired.values("pk")[:MOST_AT_ONCE]).delete()


def caller_of_browser(request: HttpRequest, *, now: datetime) -> Caller | None:
    """Return the caller of Django's session; None if nobody is logged in or the grants are gone."""
    if not hasattr(request, "session"):
        return None
    # Of the session, as views of the API replace `request.user`.
    user = get_user(request)
    if user.is_authenticated:
        return caller_of_person(user, credential="session", now=now)
    return _caller_of_key(request.session.get(_KEY), now=now)


def caller_of_cookies(cookies: str, *, now: datetime) -> Caller | None:
    """Return the caller of the session that a Cookie header names, as it is stored now; None as `caller_of_browser`."""
    request, sessions = HttpRequest(), import_module(settings.SESSION_ENGINE)
    request.session = sessions.SessionStore(parse_cookie(cookies).get(settings.SESSION_COOKIE_NAME))
    return caller_of_browser(request, now=now)


def _caller_of_key(stored: Any, *, now: datetime) -> Caller | None:
    if stored is None:
        return None
    key_id, secret = stored
    holder = key_holder(key_id, secret=secret, now=now)
    return None if holder is None else replace(holder.caller, credential="session")


def _end_tokens(*, request: HttpRequest | None, **_: Any) -> None:
    """End the token session of a browser that logs out on any page."""
    session_id = None if request is None else request.session.get(_TOKENS)
    if session_id is not None:
        session_close(session_id, now=timezone.now())


user_logged_out.connect(_end_tokens, dispatch_uid=__name__)
