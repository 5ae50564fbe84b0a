"""Reading keys. `caller_for` is on the path of every request and answers from the process's memory."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from django.db.models import QuerySet

from ratelimit.api_keys import Caller, digest, presented_key
from ratelimit.exceptions import (
    AmbiguousKey,
    ExpiredApiKey,
    InvalidApiKey,
    RevokedApiKey,
    UnknownKey,
)
from ratelimit.models import ApiKey
from ratelimit.tiers import tier_named

MAX_AGE_SECONDS = 0.9  # a revocation is promised to be effective within 1 s
MAX_CACHED_KEYS = 10_000


@dataclass(frozen=True, slots=True)
class KnownKey:
    """A stored key as of `loaded_at`, in seconds of the monotonic clock."""

    caller: Caller
    expires_at: datetime | None
    revoked_at: datetime | None
    loaded_at: float


class KeyCache:
    """The keys lately used, by digest; unknown keys are never held.

    An entry is loaded anew, and so moved to the end, whenever it is older than `max_age`. The order of
    loading is therefore the order of use to within that time, and the first entry is the one to drop.
    """

    def __init__(
        self,
        *,
        capacity: int = MAX_CACHED_KEYS,
        max_age: float = MAX_AGE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._known: OrderedDict[str, KnownKey] = OrderedDict()
        self._lock = threading.Lock()
        self._capacity = capacity
        self._max_age = max_age
        self._clock = clock

    def find(self, key_digest: str) -> KnownKey | None:
        """The key with that digest, at most `max_age` old; None where there is none."""
        known = self._known.get(key_digest)
        now = self._clock()
        if known is not None and now - known.loaded_at < self._max_age:
            return known
        known = _load(key_digest, loaded_at=now)
        with self._lock:
            self._known.pop(key_digest, None)
            if known is not None:
                self._known[key_digest] = known
                if len(self._known) > self._capacity:
                    self._known.popitem(last=False)
        return known

    def forget(self, key_digest: str) -> None:
        with self._lock:
            self._known.pop(key_digest, None)

    def clear(self) -> None:
        with self._lock:
            self._known.clear()

    def __len__(self) -> int:
        return len(self._known)


known_keys = KeyCache()


def caller_for(key: str, *, now: datetime) -> Caller | None:
    """The caller that a key stands for, or None for an unknown key.

    A change of the key is seen within a second. Raises RevokedApiKey and ExpiredApiKey.
    """
    known = known_keys.find(digest(key))
    if known is None:
        return None
    if known.revoked_at is not None:
        raise RevokedApiKey("the API key was revoked")
    if known.expires_at is not None and now >= known.expires_at:
        raise ExpiredApiKey("the API key has expired")
    return known.caller


def caller_presented(*, authorization: str | None, x_api_key: str | None, now: datetime) -> Caller | None:
    """The caller whose key these request headers present, None where they present none.

    Raises a CredentialError: InvalidApiKey, RevokedApiKey or ExpiredApiKey.
    """
    key = presented_key(authorization=authorization, x_api_key=x_api_key)
    if key is None:
        return None
    caller = caller_for(key, now=now)
    if caller is None:
        raise InvalidApiKey("the API key is unknown")
    return caller


def key_list() -> QuerySet[ApiKey]:
    """All keys, oldest first."""
    return ApiKey.objects.order_by("id")


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


def rate_of(key: ApiKey) -> int:
    """Requests per second: the key's own rate, or its tier's."""
    return key.rate if key.rate is not None else tier_named(key.tier).rate


def _load(key_digest: str, *, loaded_at: float) -> KnownKey | None:
    key = ApiKey.objects.filter(digest=key_digest).first()
    if key is None:
        return None
    caller = Caller(
        key_id=key.pk,
        name=key.name,
        prefix=key.prefix,
        tier=key.tier,
        rate=rate_of(key),
        scopes=frozenset(key.scopes),
    )
    return KnownKey(caller=caller, expires_at=key.expires_at, revoked_at=key.revoked_at, loaded_at=loaded_at)
