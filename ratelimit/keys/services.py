"""Creates, rotates and revokes keys. Changes take effect at once in this process, within a second in others.

Common arguments: `actor`, for the audit log, is a caller's identity, `command:<login>` or `worker`. `within` is the
caller whose grants the key may not exceed; None is an operator, who has no limit. `record` is the function that writes
the audit record, by default `event_record`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Unpack

from django.db import IntegrityError, transaction

from audit.services import EventRecorder
from ratelimit.callers import Caller
from ratelimit.entitlements import GRANTS
from ratelimit.events import key_event
from ratelimit.exceptions import InvalidKeyRequest, NotRotatable, TooManyKeys
from ratelimit.keys import api_keys
from ratelimit.keys.api_keys import signing_secret
from ratelimit.keys.grants import check_covers, check_may_renew, check_within, expiry_within
from ratelimit.keys.selectors import in_state, key_cache, key_document
from ratelimit.keys.terms import KeyTerms, columns_of
from ratelimit.models import ApiKey

MAX_OVERLAP = timedelta(days=30)
DEFAULT_OVERLAP = timedelta(days=1)
# Callers add at most this many keys to a chain of rotations in a day. Keys are kept for good, and whoever revokes a
# chain waits for all of it.
MOST_ROTATIONS_A_DAY = 100
# Active keys that a caller may have created: each has buckets and quotas of its own.
MOST_KEYS_OF_OWNER = 100

# Fields that a successor copies from its predecessor.
_INHERITED = ("name", "owner", "client_id", *GRANTS, "signed_only", "certificate", "before_expiry")


@dataclass(frozen=True, slots=True)
class CreatedKey:
    """A new key. The key and its signing secret are shown once, now."""

    stored: ApiKey
    key: str = field(repr=False)
    signing_secret: str = field(repr=False)

    @property
    def id(self) -> int:
        return self.stored.pk

    @property
    def prefix(self) -> str:
        return self.stored.prefix

    def document(self, *, now: datetime) -> dict[str, Any]:
        """Return the key with its secrets."""
        described = key_document(self.stored, now=now)
        return {"id": self.id, "key": self.key, "signing_secret": self.signing_secret, **described}


def key_create(
    *,
    now: datetime,
    actor: str,
    owner: str = "",
    within: Caller | None = None,
    correlation_id: str = "",
    record: EventRecorder | None = None,
    **terms: Unpack[KeyTerms],
) -> CreatedKey:
    """Create and store a key.

    owner: `Caller.principal` of its creator; "" for an operator. Defaults: expires with its creator; `signed_only` if its
    creator is. Raises InvalidKeyRequest, UnknownTier, UnknownScope, GrantExceeded, TooManyKeys.
    """
    if within is not None:
        terms.setdefault("signed_only", within.signed_only)
        terms["expires_at"] = terms.get("expires_at") or within.expires_at
    columns = columns_of(terms, now=now)
    check_may_renew(within, columns["before_expiry"])
    with transaction.atomic():
        if owner:
            _check_count(owner)
        created = _store(ApiKey(**columns, owner=owner), now=now, within=within)
        key_event(
            at=now,
            actor=actor,
            event="key.created",
            subject=_subject(created.stored),
            detail={"change": ({}, key_document(created.stored, now=now))},
            correlation_id=correlation_id,
            record=record,
        )
    return created


def key_rotate(
    *,
    key: ApiKey,
    overlap: timedelta,
    now: datetime,
    actor: str,
    within: Caller | None = None,
    correlation_id: str = "",
    record: EventRecorder | None = None,
) -> CreatedKey:
    """Create a successor with the same owner, grants and lifetime.

    The old key stays valid for `overlap`, at most until its own expiry; with overlap 0 it is revoked. The successor
    expires no later than `within`, and takes over a client certificate at once. If calls are concurrent, only one
    succeeds. Raises NotRotatable, InvalidKeyRequest, GrantExceeded.
    """
    check_overlap(overlap)
    with transaction.atomic():
        old = ApiKey.objects.select_for_update().get(pk=key.pk)
        _check_rotatable(old, now=now)
        check_within(within, old)
        if within is not None:
            _check_chain(old, now=now)
        before = key_document(old, now=now)
        successor = _successor(old, now=now, within=within)
        _end(old, overlap=overlap, now=now)
        created = _store(successor, now=now, within=within)
        change = (before, key_document(old, now=now))
        key_event(
            at=now,
            actor=actor,
            event="key.rotated",
            subject=_subject(old),
            detail={"change": change, "successor": key_document(created.stored, now=now)},
            correlation_id=correlation_id,
            record=record,
        )
    _forget(old.pk)
    return created


def check_overlap(overlap: timedelta) -> None:
    """Raise InvalidKeyRequest unless the overlap of a rotation is 0 to MAX_OVERLAP."""
    if not timedelta(0) <= overlap <= MAX_OVERLAP:
        raise InvalidKeyRequest(f"the overlap must be 0 to {MAX_OVERLAP.days} days", "overlap_seconds")


def key_revoke(
    *,
    key: ApiKey,
    now: datetime,
    actor: str,
    with_successors: bool = False,
    within: Caller | None = None,
    correlation_id: str = "",
    record: EventRecorder | None = None,
) -> list[ApiKey]:
    """Revoke a key and, if `with_successors`, all its valid successors by rotation. An error revokes none of them.

    Returns the keys that this call revoked; an empty list if all were already revoked. Raises GrantExceeded.
    """
    write_event = partial(key_event, at=now, actor=actor, correlation_id=correlation_id, record=record)
    revoked: list[ApiKey] = []
    with transaction.atomic():
        following: ApiKey | None = key
        while following is not None:
            if following.pk == key.pk or following.state_at(now) == "active":
                revoked += _revoke_one(following.pk, now=now, within=within, write_event=write_event)
            # Read the successor only now that the key is locked and revoked, so that it cannot get another one.
            successors = ApiKey.objects.filter(replaces_id=following.pk)
            following = successors.first() if with_successors else None
    for each in (key, *revoked):
        _forget(each.pk)
    return revoked


def _revoke_one(
    pk: int, *, now: datetime, within: Caller | None, write_event: Callable[..., None]
) -> list[ApiKey]:
    """Revoke one key in the current transaction. Returns a list of the key; an empty list if it was revoked before."""
    key = ApiKey.objects.select_for_update().get(pk=pk)
    check_covers(within, key)
    if key.revoked_at is not None:
        return []
    before = key_document(key, now=now)
    key.revoked_at = now
    key.save(update_fields=["revoked_at"])
    change = (before, key_document(key, now=now))
    write_event(event="key.revoked", subject=_subject(key), detail={"change": change})
    return [key]


def _store(key: ApiKey, *, now: datetime, within: Caller | None) -> CreatedKey:
    """Give a new key its secrets and store it."""
    check_within(within, key)
    new = api_keys.generate()
    key.prefix, key.digest, key.created_at = new.prefix, new.digest, now
    key.client_id = key.client_id or new.prefix
    try:
        with transaction.atomic():
            key.save(force_insert=True)
    except IntegrityError as error:
        raise InvalidKeyRequest(
            "the certificate belongs to another key; use another", "certificate"
        ) from error
    return CreatedKey(stored=key, key=new.key, signing_secret=signing_secret(new.digest))


def _check_rotatable(key: ApiKey, *, now: datetime) -> None:
    state = key.state_at(now)
    if state != "active":
        word = "was revoked" if state == "revoked" else "has expired"
        raise NotRotatable(f"the key {key.pk} {word}; create a new one")
    successor = key.successors.first()
    if successor is not None:
        raise NotRotatable(f"the key {key.pk} was rotated before; its successor is the key {successor.pk}")


def _check_chain(key: ApiKey, *, now: datetime) -> None:
    family = ApiKey.objects.filter(family=key.family or key.pk)
    if family.filter(created_at__gt=now - timedelta(days=1)).count() >= MOST_ROTATIONS_A_DAY:
        raise NotRotatable(
            f"the key {key.pk} and its predecessors were rotated {MOST_ROTATIONS_A_DAY} times within a day; wait"
        )


def _check_count(owner: str) -> None:
    """Raise TooManyKeys if a caller has as many active keys as it may. A chain of rotations counts once."""
    created = ApiKey.objects.filter(owner=owner, successors=None)
    if in_state(created, "active").count() >= MOST_KEYS_OF_OWNER:
        raise TooManyKeys(
            f"you have created {MOST_KEYS_OF_OWNER} keys that are active; revoke those that are not needed"
        )


def _successor(key: ApiKey, *, now: datetime, within: Caller | None) -> ApiKey:
    """Return the successor, without storing it. It lives as long as the chain's first key, at most as `within`."""
    inherited = {name: getattr(key, name) for name in _INHERITED}
    lifetime = None if key.expires_at is None else key.lifetime or key.expires_at - key.created_at
    expires_at = expiry_within(within, None if lifetime is None else now + lifetime)
    family = key.pk if key.family is None else key.family
    return ApiKey(**inherited, expires_at=expires_at, lifetime=lifetime, replaces=key, family=family)


def _end(key: ApiKey, *, overlap: timedelta, now: datetime) -> None:
    """End a key's validity after the overlap; with overlap 0 revoke it."""
    if overlap:
        end = now + overlap
        key.expires_at = end if key.expires_at is None else min(key.expires_at, end)
    else:
        key.revoked_at = now
    key.certificate = None
    key.save(update_fields=["expires_at", "revoked_at", "certificate"])


def _subject(key: ApiKey) -> str:
    return f"key:{key.pk}"


def _forget(pk: int) -> None:
    """Remove a changed key from the cache, now and after the commit, because until then others read the old row."""
    key_cache.forget(pk)
    transaction.on_commit(lambda: key_cache.forget(pk))
