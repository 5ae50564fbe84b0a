"""Reads keys: `key_cache` (a cache in memory, used by every request with a key), queries, documents; notes their use."""

import threading
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from django.contrib.auth.models import User
from django.db import Error
from django.db.models import CharField, Q, QuerySet, Value
from django.db.models.functions import Cast, Concat
from django.utils import timezone

from ratelimit.callers import ALL_ACCOUNTS, Caller
from ratelimit.entitlements import GRANTS, caller_from, granted_document
from ratelimit.exceptions import ExpiredApiKey, RevokedApiKey, UnknownKey
from ratelimit.fresh_cache import FreshCache
from ratelimit.models import ApiKey
from ratelimit.periodic_writer import PeriodicWriter
from store.instant_text import format_instant

FLUSH_SECONDS = 30.0


class LastUsed:
    """The time of each key's latest use in this process, until it is written to the database. Thread-safe."""

    def __init__(self) -> None:
        self._unwritten: dict[int, datetime] = {}
        self._flushing = threading.Lock()

    def note(self, key_id: int, used_at: datetime) -> None:
        self._unwritten[key_id] = used_at

    def flush(self) -> int:
        """Write new uses to the database. A later use, written by another process, is never replaced.

        Returns the number of keys. Raises django.db.Error; then the next call writes the remaining uses.
        """
        with self._flushing:
            key_ids = list(self._unwritten)
            for key_id in key_ids:
                used_at = self._unwritten.pop(key_id)
                never_or_before = Q(last_used_at=None) | Q(last_used_at__lt=used_at)
                try:
                    ApiKey.objects.filter(never_or_before, pk=key_id).update(last_used_at=used_at)
                except Error:
                    self._unwritten.setdefault(key_id, used_at)
                    raise
            return len(key_ids)


last_used = LastUsed()


def start_last_used_writer() -> PeriodicWriter:
    """Start this process's writer and return it. It stops when the process exits."""
    return PeriodicWriter("The last use of keys", last_used.flush, seconds=FLUSH_SECONDS).start()


KeyColumn = Literal["digest", "prefix", "certificate"]
# What a `CachedKey` is made of.
_COLUMNS = (
    "id", "digest", "old_digest", "overlap_until", "signed_only", "name", "expires_at", "revoked_at", *GRANTS,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class CachedKey:
    """A stored key, as it was read at most a second ago.

    digests: of the current secret, and of the one before the last rotation. A key that was found by the old secret expires
    at the overlap's end, and so do the keys that its caller creates.
    """

    key_id: int
    digests: tuple[str, ...]
    signed_only: bool
    caller: Caller
    expires_at: datetime | None
    revoked_at: datetime | None


class KeyCache(FreshCache[tuple[str, str], CachedKey]):
    """Stored keys by digest, prefix or certificate. Unknown keys are not cached."""

    def find(self, value: str, *, by: KeyColumn = "digest") -> CachedKey | None:
        """Return the key with that digest, prefix or certificate; None if unknown."""
        return self.get((by, value), _load)

    def forget(self, key_id: int) -> None:
        """Remove a key from the cache."""
        self.remove(lambda cached: cached.key_id == key_id)


key_cache = KeyCache()


def key_now(key_id: int, *, digest: str = "") -> CachedKey | None:
    """Return a key as it is stored now, past the cache; None if there is none, or if none of its digests is `digest`."""
    row = ApiKey.objects.filter(pk=key_id).values_list(*_COLUMNS).first()
    key = None if row is None else _cached(row, digest)
    return key if key is None or not digest or digest in key.digests else None


def key_with_prefix(prefix: str) -> CachedKey | None:
    """Return the key with that prefix, past the cache: its newest secret may be younger than what is cached."""
    return _load(("prefix", prefix))


def caller_of_key(key: CachedKey, *, now: datetime) -> Caller:
    """Return a key's caller. Raises RevokedApiKey, ExpiredApiKey. Call `key_used` to note the use."""
    if key.revoked_at is not None:
        raise RevokedApiKey("the API key was revoked")
    if key.expires_at is not None and now >= key.expires_at:
        raise ExpiredApiKey("the API key has expired, or was replaced by a rotation")
    return key.caller


def key_used(key: CachedKey, *, now: datetime) -> None:
    """Note the use of a key. Call it after the request's credential is verified."""
    last_used.note(key.key_id, now)


def stored_caller(key: ApiKey, *, digest: str = "") -> Caller:
    """Return a stored key's caller, whether the key is valid or not. digest: by which it was found."""
    return caller_from(key, identity=f"key:{key.pk}", name=key.name, credential="api_key", key_digest=digest)


def key_list() -> QuerySet[ApiKey]:
    """Return all keys, oldest first."""
    return ApiKey.objects.order_by("id")


def caller_names(identities: Collection[str]) -> dict[str, str]:
    """Return the names of those callers that are keys or people, such as key:12 and user:7."""
    ids: dict[str, list[int]] = {"key": [], "user": []}
    for kind, _, number in (each.partition(":") for each in identities):
        if kind in ids and number.isdecimal():
            ids[kind].append(int(number))
    keys = ApiKey.objects.filter(pk__in=ids["key"]).values_list("pk", "name")
    people = User.objects.filter(pk__in=ids["user"]).values_list("pk", "username")
    return {f"key:{pk}": name for pk, name in keys} | {f"user:{pk}": name for pk, name in people}


def keys_expiring(*, now: datetime, within: timedelta) -> QuerySet[ApiKey]:
    """Return the valid keys that expire within a duration from `now`, soonest first."""
    valid = ApiKey.objects.filter(revoked_at=None, expires_at__gt=now)
    return valid.filter(expires_at__lte=now + within).order_by("expires_at", "id")


def keys_visible(caller: Caller) -> QuerySet[ApiKey]:
    """Return the keys that the caller may see, oldest first: those whose accounts are all its own.

    Without the scope `keys:admin`, only those that it owns, and its own key.
    """
    keys = key_list() if "keys:admin" in caller.scopes else key_list().filter(_is_own(caller))
    if ALL_ACCOUNTS in caller.accounts:
        return keys
    # Lists are compared in Python, because databases differ in how they query JSON. There are few distinct lists.
    lists = ApiKey.objects.order_by().values_list("accounts", flat=True).distinct()
    return keys.filter(accounts__in=[accounts for accounts in lists if all(map(caller.owns, accounts))])


def identities_of(keys: QuerySet[ApiKey]) -> QuerySet[ApiKey, str]:
    """Return the `Caller.identity` of each of these keys."""
    identity = Concat(Value("key:"), Cast("pk", CharField()))
    return keys.order_by().annotate(identity=identity).values_list("identity", flat=True)


def _is_own(caller: Caller) -> Q:
    kind, _, number = caller.identity.partition(":")
    is_owned = Q(owner=caller.identity)
    return is_owned | Q(pk=number) if kind == "key" else is_owned


def in_state(keys: QuerySet[ApiKey], state: str) -> QuerySet[ApiKey]:
    """Return the keys whose state is now `state`, one of STATES."""
    now = timezone.now()
    if state == "revoked":
        return keys.exclude(revoked_at=None)
    is_expired = Q(expires_at__lte=now)
    valid = keys.filter(revoked_at=None)
    return valid.filter(is_expired) if state == "expired" else valid.exclude(is_expired)


def id_of(reference: str) -> int | None:
    """Parse a row id. Returns None if the text is not a number, or the number is too large for an id."""
    is_id = reference.isascii() and reference.isdecimal() and len(reference) < 19
    return int(reference) if is_id else None


def key_visible(caller: Caller, reference: str) -> ApiKey:
    """Return the key with that id. Raises UnknownKey, also if the caller may not see the key."""
    key = keys_visible(caller).filter(Q(pk=id_of(reference))).first()
    if key is None:
        raise UnknownKey(f"there is no key with the id {reference[:64]!r}")
    return key


def key_named(reference: str) -> ApiKey:
    """Return the key with that id or prefix (`<prefix>` or `md_<prefix>`). Raises UnknownKey."""
    keys = list(key_list().filter(Q(pk=id_of(reference)) | Q(prefix=reference.removeprefix("md_"))))
    if not keys:
        raise UnknownKey(f"there is no key with the id or prefix {reference!r}")
    if len(keys) > 1:
        ids = " or ".join(str(key.pk) for key in keys)
        raise UnknownKey(f"several keys have the prefix {reference!r}; use the id: {ids}")
    return keys[0]


def _load(name: tuple[str, str]) -> CachedKey | None:
    column, value = name
    is_named = Q(**{column: value})
    if column == "digest":
        is_named |= Q(old_digest=value)
    # Prefixes have no unique constraint; if several keys match, none is used.
    rows = ApiKey.objects.filter(is_named).values_list(*_COLUMNS)[:2]
    return _cached(rows[0], value if column == "digest" else "") if len(rows) == 1 else None


def _cached(row: tuple[object, ...], digest: str) -> CachedKey:
    """Return the key of a row of `_COLUMNS`. digest: by which it was found, or ""."""
    key = ApiKey(**dict(zip(_COLUMNS, row, strict=True)))
    if digest and digest == key.old_digest:
        key.expires_at = key.overlap_until
    return CachedKey(
        key_id=key.pk,
        digests=tuple(each for each in (key.digest, key.old_digest) if each),
        signed_only=key.signed_only,
        caller=stored_caller(key, digest=digest),
        expires_at=key.expires_at,
        revoked_at=key.revoked_at,
    )


def key_document(key: ApiKey, *, now: datetime) -> dict[str, Any]:
    """Return the key as a document, with its state at `now`, without secrets and digest.

    Rates and quotas are the effective ones; a quota of None is unlimited.
    """
    return {
        "id": key.pk,
        "prefix": key.prefix,
        "name": key.name,
        "owner": key.owner or None,
        "state": key.state_at(now),
        **granted_document(key, stored_caller(key)),
        "signed_only": key.signed_only,
        "certificate": key.certificate,
        "before_expiry": key.before_expiry,
        "created_at": format_instant(key.created_at),
        "expires_at": format_instant(key.expires_at),
        "revoked_at": format_instant(key.revoked_at),
        "last_used_at": format_instant(key.last_used_at),
        "overlap_until": format_instant(key.overlap_until),
    }
