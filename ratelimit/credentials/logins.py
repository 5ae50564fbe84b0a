"""Logins by password: checks them, limits the attempts, and audits those in the admin and the browsable API.

A rate, and one check at a time, protect the processor, because checking a password takes a third of a second. Counts of
failures keep passwords from being guessed (`ratelimit.limits.login_attempts`). Logins by `POST /auth/token` are audited
like any other API request.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from threading import BoundedSemaphore, Lock
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

from ratelimit.events import key_event
from ratelimit.exceptions import PasswordChecksBusy
from ratelimit.limits.admission import RATE_LIMITED
from ratelimit.limits.login_attempts import LoginAttempt, process_login_attempts
from ratelimit.limits.services import admit_login
from ratelimit.models import KnownAddress
from web.requests import addresses

# URL namespaces of the pages with browser sessions: the admin and the login page.
_LOGIN_SITES = frozenset({"admin", "login"})
# The URL name of the link that `serve` prints.
_LOGIN_LINK = "login-link"
# The most characters of a name that the audit log shows.
_NAME_SHOWN = 150
# An address is known to a name for so long after the last login with the password.
KNOWN_FOR = timedelta(days=30)
# Of this process: passwords that are checked or wait for it, at known and at other addresses, and how long they wait.
PLACES = 4
LONGEST_WAIT_SECONDS = 3.0


def _logged_in(*, request: HttpRequest | None, user: User, **_: Any) -> None:
    if request is not None and _is_page(request):
        _record(request, "login.done", actor=f"user:{user.pk}", name=user.username)


def _login_failed(*, credentials: dict[str, Any], request: HttpRequest | None = None, **_: Any) -> None:
    if request is not None and _is_page(request):
        _record(request, "login.failed", actor="", name=str(credentials.get("username", "")))


def record_key_login(request: HttpRequest, identity: str) -> None:
    """Record a login by key on the login page, which Django's signals do not tell.

    identity: `key:12`; "" if the key was refused.
    """
    _record(request, "login.done" if identity else "login.failed", actor=identity, name="")


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


user_logged_in.connect(_logged_in, dispatch_uid="ratelimit.credentials.logins")
user_login_failed.connect(_login_failed, dispatch_uid="ratelimit.credentials.logins")


class LoginLimited(Throttled):
    """An attempt to log in that was not made, status 429. Retry after `wait` seconds."""

    def __init__(self, seconds: int) -> None:
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
        address = addresses.identity_of(request.META.get("REMOTE_ADDR", ""))
        # Hashed, because somebody may have typed a password into the name field.
        name = hashlib.sha256(username.encode("utf-8", "surrogatepass")).hexdigest()[:32]
        attempt = LoginAttempt(name, address, is_known=_is_known(username, address, now=timezone.now()))
        _check_limits(attempt)
        with _password_place(attempt):
            user = super().authenticate(request, username, password, **others)
        if user is not None:
            process_login_attempts().forget(attempt)
            login_at = {"last_login_at": timezone.now()}
            KnownAddress.objects.update_or_create(login_at, user_id=user.pk, address=address)
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


def _check_limits(attempt: LoginAttempt) -> None:
    """Charge the rate of an attempt, then count it as failed. Raises LoginLimited."""
    # A known address has a bucket for each name, which attempts with other names cannot empty.
    identity = (
        f"login-known:{attempt.name}:{attempt.address}"
        if attempt.is_known
        else f"login-address:{attempt.address}"
    )
    rate = admit_login(identity, settings.LOGIN_RATE)
    seconds = rate.retry_after or process_login_attempts().take(attempt)
    if seconds:
        raise LoginLimited(seconds)


_places = {is_known: BoundedSemaphore(PLACES) for is_known in (True, False)}
_checking = Lock()


@contextmanager
def _password_place(attempt: LoginAttempt) -> Iterator[None]:
    """Wait until no other password is checked. Attempts at known addresses have places of their own.

    Raises PasswordChecksBusy; the attempt is not counted then.
    """
    places = _places[attempt.is_known]
    if not places.acquire(blocking=False):
        process_login_attempts().take_back(attempt)
        raise PasswordChecksBusy
    try:
        if not _checking.acquire(timeout=LONGEST_WAIT_SECONDS):
            process_login_attempts().take_back(attempt)
            raise PasswordChecksBusy
        try:
            yield
        finally:
            _checking.release()
    finally:
        places.release()


def _is_known(username: str, address: str, *, now: datetime) -> bool:
    """Return whether the person of that name, if there is one, has logged in from the address within KNOWN_FOR.

    The addresses are in the database, because they are needed at the moment at which Redis loses its data.
    """
    known = KnownAddress.objects.filter(address=address, last_login_at__gt=now - KNOWN_FOR)
    return known.filter(user__username=username).exists()


def known_addresses_delete_old(*, now: datetime) -> int:
    """Delete the addresses that are known no longer. Returns how many."""
    removed, _ = KnownAddress.objects.filter(last_login_at__lte=now - KNOWN_FOR).delete()
    return removed
