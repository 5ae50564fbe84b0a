"""Limits login attempts, and audits logins in the admin and the browsable API.

The limit protects the processor: checking a password takes a third of a second. Logins by `POST /auth/token` are
audited like any other API request.
"""

import hashlib
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in, user_login_failed
from django.http import HttpRequest
from django.utils import timezone

from http_requests import addresses
from ratelimit.events import key_event
from ratelimit.limits.services import admit_login
from ratelimit.limits.throttles import LimitReached

# URL namespaces of the sites with a login form for browser sessions: the admin and the browsable API.
_LOGIN_SITES = frozenset({"admin", "rest_framework"})
# The URL name of the link that `serve` prints.
_LOGIN_LINK = "login-link"
# The most characters of a name that the audit log shows.
_NAME_SHOWN = 150


def _logged_in(*, request: HttpRequest | None, user: User, **_: Any) -> None:
    if request is not None and _is_page(request):
        _record(request, "login.done", actor=f"user:{user.pk}", name=user.username)


def _login_failed(*, credentials: dict[str, Any], request: HttpRequest | None = None, **_: Any) -> None:
    if request is not None and _is_page(request):
        _record(request, "login.failed", actor="", name=str(credentials.get("username", "")))


def _is_page(request: HttpRequest) -> bool:
    match = request.resolver_match
    return match is not None and (
        not _LOGIN_SITES.isdisjoint(match.namespaces) or match.url_name == _LOGIN_LINK
    )


def _record(request: HttpRequest, event: str, *, actor: str, name: str) -> None:
    key_event(
        at=timezone.now(),
        actor=actor,
        event=event,
        subject=actor,
        detail={"name": name[:_NAME_SHOWN], "address": request.META.get("REMOTE_ADDR", "")},
        correlation_id=getattr(request, "correlation_id", ""),
    )


user_logged_in.connect(_logged_in, dispatch_uid="ratelimit.credentials.people.logins")
user_login_failed.connect(_login_failed, dispatch_uid="ratelimit.credentials.people.logins")


# The login rate of one name (over all addresses), as a multiple of the rate of one address. It is high enough that a
# stranger does not easily lock the owner out.
_NAME_RATE_FACTOR = 5


class LoginLimit:
    """An authentication backend that limits login attempts by address and by name, and authenticates nobody.

    It is the first of AUTHENTICATION_BACKENDS, so it covers every form and endpoint that takes a password.
    """

    def authenticate(self, request: HttpRequest | None, username: str | None = None, **_: Any) -> None:
        """Return None, so that the next backend checks the password. Raises LimitReached."""
        if request is None:
            return
        address = addresses.identity_of(request.META.get("REMOTE_ADDR", ""))
        _charge(f"login-address:{address}", settings.LOGIN_RATE)
        if username:
            # Hashed, because somebody may have typed a password into the name field.
            name = hashlib.sha256(username.encode("utf-8", "surrogatepass")).hexdigest()[:32]
            _charge(f"login-name:{name}", settings.LOGIN_RATE * _NAME_RATE_FACTOR)


def _charge(identity: str, rate: int) -> None:
    admission = admit_login(identity, rate)
    if not admission.admitted:
        raise LimitReached(admission)
