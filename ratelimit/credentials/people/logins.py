"""Logins by password: checks them, limits the attempts, and audits those in the admin and the browsable API.

A rate and turns (`password_turns`) protect the processor, because checking a password takes a third of a second;
backoffs keep passwords from being guessed (`ratelimit.limits.login_backoff`). Logins by `POST /auth/token` are audited
like any other API request.
"""

import hashlib
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in, user_login_failed
from django.http import HttpRequest
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables
from rest_framework.exceptions import Throttled

from ratelimit.credentials.people.known_addresses import address_is_known, address_note
from ratelimit.credentials.people.password_turns import password_turns
from ratelimit.events import key_event
from ratelimit.limits.admission import RATE_LIMITED
from ratelimit.limits.login_backoff import Attempt, process_login_backoff
from ratelimit.limits.services import admit_login
from ratelimit.limits.token_bucket import SECOND_US
from web.requests import addresses

# URL namespaces of the pages with browser sessions: the admin and the login page.
_LOGIN_SITES = frozenset({"admin", "login"})
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


def record_key_login(request: HttpRequest, holder: str) -> None:
    """Record a login by key on the login page, which Django's signals do not tell.

    holder: `key:12`; "" if the key was refused.
    """
    _record(request, "login.done" if holder else "login.failed", actor=holder, name="")


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


class LoginLimited(Throttled):
    """An attempt to log in that was not made, status 429. Retry after `wait` seconds."""

    def __init__(self, wait_us: int) -> None:
        seconds = -(-wait_us // SECOND_US)
        super().__init__(detail=f"too many attempts to log in; retry in {seconds} s", code=RATE_LIMITED)
        self.wait = seconds


class PasswordLogin(ModelBackend):
    """The authentication backend: checks passwords, and limits the attempts of addresses and of names.

    Every form and endpoint that takes a password uses it. Unknown names are treated like all others.
    """

    @sensitive_variables("password")
    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **others: Any,
    ) -> User | None:
        """Return the person, or None if the name or the password is wrong.

        Without a request nothing is limited. Raises LoginLimited, PasswordChecksBusy, DatabaseError.
        """
        if request is None or username is None:
            return super().authenticate(request, username, password, **others)
        now, address = timezone.now(), addresses.identity_of(request.META.get("REMOTE_ADDR", ""))
        # Hashed, because somebody may have typed a password into the name field.
        name = hashlib.sha256(username.encode("utf-8", "surrogatepass")).hexdigest()[:32]
        attempt = Attempt(name, address, is_known=address_is_known(username, address, now=now))
        _check_wait(attempt)
        with password_turns().turn(is_known=attempt.is_known):
            # Counted only now: an attempt that gets no turn is not a failure.
            _refuse(process_login_backoff().take(attempt))
            user = super().authenticate(request, username, password, **others)
        if user is not None:
            process_login_backoff().succeeded(attempt)
            address_note(user, address, now=now)
        return user

    async def aauthenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **others: Any,
    ) -> User | None:
        """Do the same in a thread: ModelBackend's own method would evade the limits."""
        return await sync_to_async(self.authenticate)(request, username, password, **others)


def _check_wait(attempt: Attempt) -> None:
    """Charge the rate of an attempt. Raises LoginLimited if it exceeds it, or has to wait for a backoff."""
    # A known address has a bucket for each name, which attempts with other names cannot empty.
    identity = (
        f"login-known:{attempt.name}:{attempt.address}"
        if attempt.is_known
        else f"login-address:{attempt.address}"
    )
    rate = admit_login(identity, settings.LOGIN_RATE)
    _refuse(max(rate.retry_after_us, process_login_backoff().take(attempt, is_counted=False)))


def _refuse(wait_us: int) -> None:
    """Raise LoginLimited if there is a wait."""
    if wait_us:
        raise LoginLimited(wait_us)
