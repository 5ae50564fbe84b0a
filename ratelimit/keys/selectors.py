"""Reading keys.

`known_keys` is on the path of every request with one and answers from the process's memory.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from cachetools import LRUCache
from django.db.models import QuerySet

from ratelimit.callers import ALL_ACCOUNTS, Caller
from ratelimit.entitlements import caller_from
from ratelimit.exceptions import (
    AmbiguousKey,
    ExpiredApiKey,
    RevokedApiKey,
    UnknownKey,
)
from ratelimit.keys.last_used import last_used
from ratelimit.models import ApiKey

KeyName = Literal["digest", "prefix", "certificate"]

MAX_AGE_SECONDS = 0.9  # a revocation is promised to be effective within 1 s
MAX_CACHED_KEYS = 10_000


@dataclass(frozen=True, slots=True)
class KnownKey:
    """A stored key as of `loaded_at`, in seconds of the monotonic clock."""

    key_id: int
    digest: str
    signed_only: bool
    caller: Caller
    expires_at: datetime | None
    revoked_at: datetime | None
    loaded_at: float


class KeyCache:
    """The keys lately used, by digest, prefix or certificate; unknown keys are never held."""

    def __init__(
        self,
        *,
        capacity: int = MAX_CACHED_KEYS,
        max_age: float = MAX_AGE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._known: LRUCache[tuple[str, str], KnownKey] = LRUCache(capacity)
        self._lock = threading.Lock()
        self._max_age = max_age
        self._clock = clock

    def find(self, value: str, *, by: KeyName = "digest") -> KnownKey | None:
        """The key with that digest, prefix or certificate, at most `max_age` old.

        None where there is none.
        """
        name = (by, value)
        with self._lock:
            known = self._known.get(name)
        now = self._clock()
        if known is not None and now - known.loaded_at < self._max_age:
            return known
        known = _load(by, value, loaded_at=now)
        with self._lock:
            self._known.pop(name, None)
            if known is not None:
                self._known[name] = known
        return known

    def forget(self, key_id: int) -> None:
        """Load the key with that id anew when it is next asked for, by whichever name."""
        with self._lock:
            for name in [name for name, known in self._known.items() if known.key_id == key_id]:
                del self._known[name]

    def clear(self) -> None:
        with self._lock:
            self._known.clear()

    def __len__(self) -> int:
        return len(self._known)


known_keys = KeyCache()


def caller_of_key(known: KnownKey, *, now: datetime) -> Caller:
    """The caller that a key makes, if it is neither revoked nor expired: else RevokedApiKey, ExpiredApiKey.

    Whoever has then verified the credential notes its use.
    """
    if known.revoked_at is not None:
        raise RevokedApiKey("the API key was revoked")
    if known.expires_at is not None and now >= known.expires_at:
        raise ExpiredApiKey("the API key has expired")
    return known.caller


def key_used(known: KnownKey, *, now: datetime) -> None:
    """Note that a credential of a key was verified."""
    last_used.note(known.key_id, now)


def family_of(key: ApiKey) -> str:
    """What a key's buckets and quotas are of: the first key of its chain of rotations."""
    return f"key:{key.pk if key.family is None else key.family}"


def key_list() -> QuerySet[ApiKey]:
    """All keys, oldest first."""
    return ApiKey.objects.order_by("id")


def keys_expiring(*, now: datetime, within: timedelta) -> QuerySet[ApiKey]:
    """The valid keys without a successor that expire within a time, the next one first."""
    valid = ApiKey.objects.filter(revoked_at=None, expires_at__gt=now, successors=None)
    return valid.filter(expires_at__lte=now + within).order_by("expires_at", "id")


def keys_visible(caller: Caller) -> QuerySet[ApiKey]:
    """The keys of which a caller may know, oldest first: those that have no account but its own."""
    if ALL_ACCOUNTS in caller.accounts:
        return key_list()
    # Lists of accounts are few beside keys, and no two databases ask alike whether one contains another.
    lists = ApiKey.objects.order_by().values_list("accounts", flat=True).distinct()
    return key_list().filter(accounts__in=[accounts for accounts in lists if all(map(caller.owns, accounts))])


def key_visible(caller: Caller, reference: str) -> ApiKey:
    """The key with that id, if the caller may know of it; else UnknownKey, as if there were none."""
    is_id = reference.isascii() and reference.isdecimal() and len(reference) < 19
    key = ApiKey.objects.filter(pk=int(reference)).first() if is_id else None
    if key is None or not all(map(caller.owns, key.accounts)):
        raise UnknownKey(f"there is no key with the id {reference[:64]!r}")
    return key


def key_named(reference: str) -> ApiKey:
    """The key with that id or prefix (bare or as `md_<prefix>`); raises UnknownKey, AmbiguousKey."""
    if reference.isascii() and reference.isdecimal():
        found = list(ApiKey.objects.filter(pk=int(reference)) if len(reference) < 19 else ())
    else:
        found = list(ApiKey.objects.filter(prefix=reference.removeprefix("md_"))[:2])
    if not found:
        raise UnknownKey(f"there is no key with the id or prefix {reference!r}")
    if len(found) > 1:
        raise AmbiguousKey(f"several keys have the prefix {reference!r}; use the id")
    return found[0]


def _load(by: KeyName, value: str, *, loaded_at: float) -> KnownKey | None:
    # Prefixes are not unique by the database's law: of several keys none is meant.
    found = list(ApiKey.objects.filter(**{by: value})[:2])
    if len(found) != 1:
        return None
    key = found[0]
    return KnownKey(
        key_id=key.pk,
        digest=key.digest,
        signed_only=key.signed_only,
        caller=caller_from(
            key, identity=f"key:{key.pk}", name=key.name, credential="api_key", family=family_of(key)
        ),
        expires_at=key.expires_at,
        revoked_at=key.revoked_at,
        loaded_at=loaded_at,
    )
