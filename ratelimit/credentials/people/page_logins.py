"""Logins on the pages for people, good and bad, are events.

Those of the API are calls, which are recorded as such.
"""

from typing import Any

from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in, user_login_failed
from django.http import HttpRequest
from django.utils import timezone

from ratelimit.events import key_event

# URL namespaces of Django's own sites, at which a session begins.
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


user_logged_in.connect(_logged_in, dispatch_uid="ratelimit.credentials.people.page_logins")
user_login_failed.connect(_login_failed, dispatch_uid="ratelimit.credentials.people.page_logins")
