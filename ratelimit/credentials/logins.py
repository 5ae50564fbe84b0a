"""Logins by password: checks them, limits the attempts, and audits those in the admin and the browsable API.

A rate, and one check at a time, protect the processor, because checking a password takes a third of a second. Counts of
failures in windows of five minutes keep passwords from being guessed; they are in Redis, shared by all processes. An
attempt counts as failed when it is admitted, and a login takes that back, so attempts at the same time gain nothing.
Logins by `POST /auth/token` are audited like any other API request.
"""

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from threading import BoundedSemaphore, Lock
from typing import Any

from asgiref.sync import sync_to_async
from cachetools import LRUCache
from django.conf import settings
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in, user_login_failed
from django.http import HttpRequest
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables
from django_redis import get_redis_connection
from redis.exceptions import RedisError
from rest_framework.exceptions import Throttled

from ops.metrics.declarations import LIMIT_DECISIONS
from ratelimit.events import key_event
from ratelimit.exceptions import PasswordChecksBusy
from ratelimit.limits.admission import RATE_LIMITED
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
# Counts of failures.
WINDOW_SECONDS = 300
MAX_LOCAL = 10_000
_METRIC = "login-failures"


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


@dataclass(frozen=True, slots=True)
class LoginAttempt:
    """An attempt to log in. name: hashed. is_known: whether the address is a known one of the name.

    At a known address the failures of this name there count; elsewhere those of the address, and those of the name at
    all unknown addresses.
    """

    name: str
    address: str
    is_known: bool
    # The window at the attempt's beginning, in which it is also taken back.
    _window: int = field(default_factory=lambda: int(time.time() // WINDOW_SECONDS))

    @property
    def keys(self) -> list[str]:
        """Return the keys in Redis of the counts of the attempt's window."""
        parts = (
            [f"known:{self.name}:{self.address}"]
            if self.is_known
            else [f"address:{self.address}", f"name:{self.name}"]
        )
        return [f"ratelimit:login:{self._window}:{part}" for part in parts]


class LoginAttempts:
    """The counts as one of `workers` processes sees them. Thread-safe.

    While Redis is away each process counts alone, and admits its share.
    """

    def __init__(self, *, workers: int) -> None:
        self._workers = max(1, workers)
        self._local: LRUCache[str, int] = LRUCache(MAX_LOCAL)
        self._lock = Lock()

    def take(self, attempt: LoginAttempt) -> int:
        """Count an attempt as failed. Return the seconds until another window if it is not admitted, else 0."""
        most, counted_in = settings.LOGIN_FREE_FAILURES, "redis"
        try:
            counts = _add_shared(attempt, 1)
        except RedisError:
            most, counted_in = max(1, most // self._workers), "process"
            counts = self._add_local(attempt)
        is_admitted = max(counts) <= most
        LIMIT_DECISIONS.labels(_METRIC, "admitted" if is_admitted else "refused", counted_in).inc()
        return 0 if is_admitted else WINDOW_SECONDS - int(time.time() % WINDOW_SECONDS)

    def take_back(self, attempt: LoginAttempt) -> None:
        """Count an attempt no longer, because its password was not looked at. A process's own count keeps it."""
        try:
            _add_shared(attempt, -1)
        except RedisError:
            return

    def forget(self, attempt: LoginAttempt) -> None:
        """Forget the failures that an admitted attempt was counted with: it was a login."""
        with self._lock:
            for key in attempt.keys:
                self._local.pop(key, None)
        try:
            get_redis_connection("default").delete(*attempt.keys)
        except RedisError:
            return

    def _add_local(self, attempt: LoginAttempt) -> list[int]:
        keys = attempt.keys
        with self._lock:
            for key in keys:
                self._local[key] = self._local.get(key, 0) + 1
            return [self._local[key] for key in keys]


def _add_shared(attempt: LoginAttempt, count: int) -> list[int]:
    """Add to the counts in Redis, and return them. Raises redis.exceptions.RedisError."""
    pipeline = get_redis_connection("default").pipeline()
    for key in attempt.keys:
        pipeline.incrby(key, count)
        pipeline.expire(key, WINDOW_SECONDS)
    return list(pipeline.execute()[::2])


@cache
def process_login_attempts() -> LoginAttempts:
    return LoginAttempts(workers=settings.WORKERS * settings.WEB_HOSTS)


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
