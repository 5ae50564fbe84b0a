"""Creates, rotates and revokes keys. Changes take effect at once in this process, within a second in others.

Common arguments: `actor`, for the audit log, is a caller's identity, `command:<login>` or `worker`. `within` is the
caller whose grants the key may not exceed; None is an operator, who has no limit. `record` is the function that writes
the audit record, by default `event_record`.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Unpack

from django.db import IntegrityError, transaction

from audit.services import EventRecorder
from ratelimit.callers import Caller
from ratelimit.events import key_event
from ratelimit.exceptions import InvalidKeyRequest, NotRotatable, TooManyKeys
from ratelimit.keys import api_keys
from ratelimit.keys.api_keys import signing_secret
from ratelimit.keys.grants import check_covers, check_may_renew, check_within, expiry_within
from ratelimit.keys.selectors import in_state, key_cache, key_document
from ratelimit.keys.terms import KeyTerms, columns_of
from ratelimit.models import ApiKey
from store.instant_text import format_instant

MAX_OVERLAP = timedelta(days=30)
DEFAULT_OVERLAP = timedelta(days=1)
# Active keys that a caller may have created: each has buckets and quotas of its own.
MOST_KEYS_OF_OWNER = 100


@dataclass(frozen=True, slots=True)
class CreatedKey:
    """A key, new or rotated. The key and its signing secret are shown once, now."""

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

    owner: `Caller.identity` of its creator; "" for an operator. Defaults: expires with its creator; `signed_only` if its
    creator is. Raises InvalidKeyRequest, GrantExceeded, TooManyKeys.
    """
    if within is not None:
        terms.setdefault("signed_only", within.signed_only)
        terms["expires_at"] = terms.get("expires_at") or within.expires_at
    columns = columns_of(terms, now=now)
    check_may_renew(within, columns["before_expiry"])
    with transaction.atomic():
        if owner:
            _check_count(owner)
        created = _store(ApiKey(**columns, owner=owner, created_at=now), within=within)
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
    """Give a stored key another secret, and as long a life as at first, at most that of `within`.

    The old secret stays valid for `overlap`, at most until the key's expiry before. If calls are concurrent, only one
    succeeds: `key` is as the caller read it. Raises NotRotatable, InvalidKeyRequest, GrantExceeded.
    """
    check_overlap(overlap)
    with transaction.atomic():
        stored = ApiKey.objects.select_for_update().get(pk=key.pk)
        _check_rotatable(stored, digest=key.digest, now=now, within=within)
        check_within(within, stored)
        before = key_document(stored, now=now)
        if stored.expires_at is not None:
            stored.lifetime = stored.lifetime or stored.expires_at - stored.created_at
        end = None if stored.lifetime is None else now + stored.lifetime
        stored.old_digest = stored.digest
        # Not after the new expiry, because `check_within` refuses a caller who expires before the key.
        stored.overlap_until = min(now + overlap, stored.expires_at or now + overlap)
        stored.expires_at, stored.warned_at = expiry_within(within, end), None
        rotated = _store(stored, within=within)
        key_event(
            at=now,
            actor=actor,
            event="key.rotated",
            subject=_subject(stored),
            detail={"change": (before, key_document(stored, now=now))},
            correlation_id=correlation_id,
            record=record,
        )
    _forget(stored.pk)
    return rotated


def check_overlap(overlap: timedelta) -> None:
    """Raise InvalidKeyRequest unless the overlap of a rotation is 0 to MAX_OVERLAP."""
    if not timedelta(0) <= overlap <= MAX_OVERLAP:
        raise InvalidKeyRequest(f"the overlap must be 0 to {MAX_OVERLAP.days} days", "overlap_seconds")


def key_revoke(
    *,
    key: ApiKey,
    now: datetime,
    actor: str,
    only_old: bool = False,
    within: Caller | None = None,
    correlation_id: str = "",
    record: EventRecorder | None = None,
) -> bool:
    """Revoke a key, or, if `only_old`, end the overlap of its last rotation. Returns whether this call changed it.

    Raises GrantExceeded.
    """
    with transaction.atomic():
        stored = ApiKey.objects.select_for_update().get(pk=key.pk)
        check_covers(within, stored)
        is_over = not is_overlapping(stored, now=now) if only_old else stored.revoked_at is not None
        if not is_over:
            before = key_document(stored, now=now)
            setattr(stored, "overlap_until" if only_old else "revoked_at", now)
            stored.save(update_fields=["overlap_until", "revoked_at"])
            key_event(
                at=now,
                actor=actor,
                event="key.overlap_ended" if only_old else "key.revoked",
                subject=_subject(stored),
                detail={"change": (before, key_document(stored, now=now))},
                correlation_id=correlation_id,
                record=record,
            )
    _forget(key.pk)
    return not is_over


def is_overlapping(key: ApiKey, *, now: datetime) -> bool:
    """Return whether the secret before the last rotation is still valid."""
    return key.overlap_until is not None and key.overlap_until > now


def _store(key: ApiKey, *, within: Caller | None) -> CreatedKey:
    """Give a key another secret and store it. A rotated key keeps its prefix."""
    check_within(within, key)
    new = api_keys.generate(key.prefix)
    key.prefix, key.digest = new.prefix, new.digest
    try:
        with transaction.atomic():
            key.save()
    except IntegrityError as error:
        raise InvalidKeyRequest(
            "the certificate belongs to another key; use another", "certificate"
        ) from error
    return CreatedKey(stored=key, key=new.key, signing_secret=signing_secret(new.digest))


def _check_rotatable(key: ApiKey, *, digest: str, now: datetime, within: Caller | None) -> None:
    """Raise NotRotatable. digest: of the key, as the caller read it."""
    state = key.state_at(now)
    if state != "active":
        word = "was revoked" if state == "revoked" else "has expired"
        raise NotRotatable(f"the key {key.pk} {word}; create a new one")
    if is_overlapping(key, now=now):
        raise NotRotatable(
            f"the key {key.pk} was rotated before; end the overlap, or wait until {format_instant(key.overlap_until)}"
        )
    sent = within.key_digest if within is not None and within.identity == _subject(key) else ""
    if {digest, sent} - {key.digest, ""}:
        raise NotRotatable(f"the key {key.pk} was rotated before; use its newest secret")


def _check_count(owner: str) -> None:
    """Raise TooManyKeys if a caller has as many active keys as it may."""
    if in_state(ApiKey.objects.filter(owner=owner), "active").count() >= MOST_KEYS_OF_OWNER:
        raise TooManyKeys(
            f"you have created {MOST_KEYS_OF_OWNER} keys that are active; revoke those that are not needed"
        )


def _subject(key: ApiKey) -> str:
    return f"key:{key.pk}"


def _forget(pk: int) -> None:
    """Remove a changed key from the cache, now and after the commit, because until then others read the old row."""
    key_cache.forget(pk)
    transaction.on_commit(lambda: key_cache.forget(pk))
