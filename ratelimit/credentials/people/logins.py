"""Logins: their limit, and the audit events of logins on the pages for people.

The limit protects the processor: checking a password takes a third of a second. Logins over the API are calls,
and audited as such.
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

# URL namespaces of Django's own sites, where sessions begin.
_PAGES = frozenset({"admin", "rest_framework"})
_NAME_SHOWN = 150


def _logged_in(*, request: HttpRequest | None, user: User, **_: Any) -> None:
    if request is not None and _is_page(request):
        _record(request, "login.done", actor=f"user:{user.pk}", name=user.username)


def _login_failed(*, credentials: dict[str, Any], request: HttpRequest | None = None, **_: Any) -> None:
    if request is not None and _is_page(request):
        _record(request, "login.failed", actor="", name=str(credentials.get("username", "")))


def _is_page(request: HttpRequest) -> bool:
    return request.resolver_match is not None and not _PAGES.isdisjoint(request.resolver_match.namespaces)


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


# Attempts with one name from all addresses. High enough that a stranger does not easily lock the owner out.
_NAME_TIMES_ADDRESS = 5


class LoginLimit:
    """Limits login attempts by address and by name. It authenticates nobody.

    As the first of AUTHENTICATION_BACKENDS it covers every form and endpoint with a password.
    """

    def authenticate(self, request: HttpRequest | None, username: str | None = None, **_: Any) -> None:
        """Return None, so that the next backend checks the password. Raises LimitReached."""
        if request is None:
            return
        address = addresses.identity_of(request.META.get("REMOTE_ADDR", ""))
        _charge(f"login-address:{address}", settings.LOGIN_RATE)
        if username:
            # Hashed, because a password may have been typed into the field of the name.
            name = hashlib.sha256(username.encode("utf-8", "surrogatepass")).hexdigest()[:32]
            _charge(f"login-name:{name}", settings.LOGIN_RATE * _NAME_TIMES_ADDRESS)


def _charge(identity: str, rate: int) -> None:
    admission = admit_login(identity, rate)
    if not admission.admitted:
        raise LimitReached(admission)
