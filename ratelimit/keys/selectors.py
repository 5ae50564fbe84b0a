"""Reads keys: `key_cache` (a cache in memory, used by every request with a key), queries, and documents."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from django.contrib.auth.models import User
from django.db.models import CharField, Q, QuerySet, Value
from django.db.models.functions import Cast, Coalesce, Concat
from django.utils import timezone

from ratelimit.callers import ALL_ACCOUNTS, Caller
from ratelimit.entitlements import GRANTS, caller_from, granted_document
from ratelimit.exceptions import AmbiguousKey, ExpiredApiKey, RevokedApiKey, UnknownKey
from ratelimit.fresh_cache import FreshCache
from ratelimit.keys.last_used import last_used
from ratelimit.models import ApiKey
from store.instant_text import format_instant

# If more are in use, the rest is read one by one.
_MOST_RENEWED = 500
# A key is renewed so many times after its last use: in a web process for about five seconds.
RENEWALS = 16

KeyColumn = Literal["digest", "prefix", "certificate"]
# What a `CachedKey` is made of.
_COLUMNS = ("id", "digest", "client_id", "signed_only", "family", "name", "expires_at", "revoked_at", *GRANTS)


@dataclass(frozen=True, slots=True)
class CachedKey:
    """A stored key, as it was read at most a second ago. row: its `_COLUMNS`."""

    key_id: int
    digest: str
    client_id: str
    signed_only: bool
    caller: Caller
    expires_at: datetime | None
    revoked_at: datetime | None
    row: tuple[object, ...]


class KeyCache(FreshCache[tuple[str, str], CachedKey]):
    """Stored keys by digest, prefix or certificate. Unknown keys are not cached."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        # The renewals that are left to keys in use, by digest.
        self._renewals: dict[str, int] = {}

    def find(self, value: str, *, by: KeyColumn = "digest") -> CachedKey | None:
        """Return the key with that digest, prefix or certificate; None if unknown."""
        if by == "digest" and (cached := self.find_cached(value)) is not None:
            return cached
        key = self.get_or_load((by, value), _load)
        if by == "digest" and key is not None:
            self._note_use(value)
        return key

    def find_cached(self, digest: str) -> CachedKey | None:
        """Return the key with that digest without using the database; None if it is not cached."""
        key = self.get(("digest", digest))
        if key is not None:
            self._note_use(digest)
        return key

    def renew_used(self) -> None:
        """Read the keys that were found by digest in the last RENEWALS calls again, in one query. Raises DatabaseError.

        Call it several times in `MAX_AGE_SECONDS`. Then a client that asks every few seconds seldom waits for the database.
        """
        used = dict(self._renewals)
        for digest, left in used.items():
            if left > 1:
                self._renewals[digest] = left - 1
            else:
                self._renewals.pop(digest, None)
        if used:
            loaded_at = self._clock()
            rows = ApiKey.objects.filter(digest__in=used).order_by().values_list(*_COLUMNS)
            self.refresh(dict(self._renewed(rows)), loaded_at=loaded_at)

    def _renewed(self, rows: Iterable[tuple[object, ...]]) -> Iterator[tuple[tuple[str, str], CachedKey]]:
        """Yield the names and values of keys. One that is stored as it was is not made again, which takes the longest."""
        for row in rows:
            name = "digest", str(row[1])
            cached = self.peek(name)
            yield name, cached if cached is not None and cached.row == row else _cached(row)

    def _note_use(self, digest: str) -> None:
        if len(self._renewals) < _MOST_RENEWED or digest in self._renewals:
            self._renewals[digest] = RENEWALS

    def forget(self, key_id: int) -> None:
        """Remove a key from the cache."""
        self.remove(lambda cached: cached.key_id == key_id)


key_cache = KeyCache()


def key_now(key_id: int) -> CachedKey | None:
    """Return a key as it is stored now, past the cache; None if there is none."""
    row = ApiKey.objects.filter(pk=key_id).values_list(*_COLUMNS).first()
    return None if row is None else _cached(row)


def caller_of_key(key: CachedKey, *, now: datetime) -> Caller:
    """Return a key's caller. Raises RevokedApiKey, ExpiredApiKey. Call `key_used` to note the use."""
    if key.revoked_at is not None:
        raise RevokedApiKey("the API key was revoked")
    if key.expires_at is not None and now >= key.expires_at:
        raise ExpiredApiKey("the API key has expired")
    return key.caller


def key_used(key: CachedKey, *, now: datetime) -> None:
    """Note the use of a key. Call it after the request's credential is verified."""
    last_used.note(key.key_id, now)


def stored_caller(key: ApiKey) -> Caller:
    """Return a stored key's caller, whether the key is valid or not.

    Its principal, which owns the buckets and quotas, is the first key of its chain of rotations.
    """
    principal = f"key:{key.pk if key.family is None else key.family}"
    return caller_from(
        key, identity=f"key:{key.pk}", name=key.name, credential="api_key", principal=principal
    )


def newest_key(first: int, *, now: datetime) -> ApiKey | None:
    """Return the newest valid key of a chain of rotations, by the id of its first key; None if none is valid."""
    chain = ApiKey.objects.filter(Q(pk=first) | Q(family=first), revoked_at=None)
    return chain.filter(Q(expires_at=None) | Q(expires_at__gt=now)).order_by("-pk").first()


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
    """Return the valid keys without a successor that expire within a duration from `now`, soonest first."""
    valid = ApiKey.objects.filter(revoked_at=None, expires_at__gt=now, successors=None)
    return valid.filter(expires_at__lte=now + within).order_by("expires_at", "id")


def keys_visible(caller: Caller) -> QuerySet[ApiKey]:
    """Return the keys that the caller may see, oldest first: those whose accounts are all its own.

    Without the scope `keys:admin`, only those that it owns, and its own key with the other keys of its chain of
    rotations.
    """
    keys = key_list() if "keys:admin" in caller.scopes else key_list().filter(_is_own(caller))
    if ALL_ACCOUNTS in caller.accounts:
        return keys
    # Lists are compared in Python, because databases differ in how they query JSON. There are few distinct lists.
    lists = ApiKey.objects.order_by().values_list("accounts", flat=True).distinct()
    return keys.filter(accounts__in=[accounts for accounts in lists if all(map(caller.owns, accounts))])


def principals_of(keys: QuerySet[ApiKey]) -> QuerySet[ApiKey, str]:
    """Return the `Caller.principal`s of keys."""
    first = Cast(Coalesce("family", "pk"), CharField())
    return (
        keys.order_by().annotate(principal=Concat(Value("key:"), first)).values_list("principal", flat=True)
    )


def _is_own(caller: Caller) -> Q:
    kind, _, first = caller.principal.partition(":")
    is_owned = Q(owner=caller.principal)
    return is_owned | Q(pk=first) | Q(family=first) if kind == "key" else is_owned


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
    """Return the key with that id or prefix (`<prefix>` or `md_<prefix>`), else the active one with that client id.

    Raises UnknownKey; AmbiguousKey, also for a client id while a rotation's overlap lasts.
    """
    by_id, by_prefix = Q(pk=id_of(reference)), Q(prefix=reference.removeprefix("md_"))
    keys = list(key_list().filter(by_id | by_prefix)) or list(
        in_state(key_list().filter(client_id=reference), "active")
    )
    if not keys:
        raise UnknownKey(
            f"there is no key with the id or prefix, and no active one with the client id {reference!r}"
        )
    if len(keys) > 1:
        ids = " or ".join(str(key.pk) for key in keys)
        raise AmbiguousKey(f"several keys have the prefix or client id {reference!r}; use the id: {ids}")
    return keys[0]


def _load(name: tuple[str, str]) -> CachedKey | None:
    column, value = name
    # Prefixes have no unique constraint; if several keys match, none is used.
    rows = ApiKey.objects.filter(**{column: value}).values_list(*_COLUMNS)[:2]
    return _cached(rows[0]) if len(rows) == 1 else None


def _cached(row: tuple[object, ...]) -> CachedKey:
    key = ApiKey(**dict(zip(_COLUMNS, row, strict=True)))
    return CachedKey(
        key_id=key.pk,
        digest=key.digest,
        client_id=key.client_id,
        signed_only=key.signed_only,
        caller=stored_caller(key),
        expires_at=key.expires_at,
        revoked_at=key.revoked_at,
        row=row,
    )


def key_document(key: ApiKey, *, now: datetime) -> dict[str, Any]:
    """Return the key as a document, with its state at `now`, without secrets and digest.

    Rates and quotas are the effective ones; a quota of None is unlimited.
    """
    return {
        "id": key.pk,
        "prefix": key.prefix,
        "client_id": key.client_id,
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
        "replaces": key.replaces_id,
        "replaced_by": next((successor.pk for successor in key.successors.all()), None),
    }
