"""Making and withdrawing keys."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from ratelimit import api_keys
from ratelimit.exceptions import InvalidKeyRequest
from ratelimit.models import ApiKey
from ratelimit.selectors import known_keys, rate_of
from ratelimit.tiers import expand_scopes, tier_named

MAX_NAME_LENGTH = 100
MAX_RATE = 2**31 - 1  # what the column holds; twice as much in microseconds is exact in the script's doubles


@dataclass(frozen=True, slots=True)
class CreatedKey:
    """A new key; `key` is shown to its owner now and cannot be had again. `rate` is per second."""

    id: int
    key: str
    prefix: str
    name: str
    tier: str
    rate: int
    scopes: tuple[str, ...]
    expires_at: datetime | None


def key_create(
    *,
    name: str,
    tier: str,
    scopes: Iterable[str],
    now: datetime,
    rate: int | None = None,
    expires_at: datetime | None = None,
) -> CreatedKey:
    """A new key, which is stored; `rate` (per second) overrides the tier's, `all` among the scopes means every one.

    Raises InvalidKeyRequest, UnknownTier, UnknownScope.
    """
    granted = expand_scopes(scopes)
    tier_named(tier)
    _check_bounds(name=name, scopes=granted, rate=rate, expires_at=expires_at, now=now)
    new = api_keys.generate()
    stored = ApiKey.objects.create(
        name=name,
        prefix=new.prefix,
        digest=new.digest,
        tier=tier,
        rate=rate,
        scopes=list(granted),
        created_at=now,
        expires_at=expires_at,
    )
    return CreatedKey(
        id=stored.pk,
        key=new.key,
        prefix=new.prefix,
        name=name,
        tier=tier,
        rate=rate_of(stored),
        scopes=granted,
        expires_at=expires_at,
    )


def key_revoke(*, key: ApiKey, now: datetime) -> ApiKey:
    """The key, withdrawn: at once in this process, within a second in all others. A second call changes nothing."""
    ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=now)
    known_keys.forget(key.digest)
    key.refresh_from_db()
    return key


def _check_bounds(
    *, name: str, scopes: tuple[str, ...], rate: int | None, expires_at: datetime | None, now: datetime
) -> None:
    if not name.strip() or len(name) > MAX_NAME_LENGTH or not name.isprintable():
        raise InvalidKeyRequest(f"the name must be 1 to {MAX_NAME_LENGTH} printable characters")
    if not scopes:
        raise InvalidKeyRequest("a key needs at least one scope")
    if rate is not None and not 1 <= rate <= MAX_RATE:
        raise InvalidKeyRequest(f"the rate must be 1 to {MAX_RATE} requests per second")
    if expires_at is not None and expires_at <= now:
        raise InvalidKeyRequest("the expiry must lie in the future")
