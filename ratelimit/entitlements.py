"""Tiers (the default limits), and how the stored grants of a credential become a Caller."""

from dataclasses import dataclass
from ipaddress import ip_network
from types import MappingProxyType
from typing import Any

from django.conf import settings

from ratelimit.callers import Caller
from ratelimit.exceptions import InvalidKeyRequest
from ratelimit.models import ApiKey, Entitlement


@dataclass(frozen=True, slots=True)
class Tier:
    """Default limits. `rate` is in tokens per second for each bucket.

    Quotas are in tokens per UTC day and month; None is unlimited.
    """

    name: str
    rate: int
    daily_quota: int | None
    monthly_quota: int | None


TIERS = MappingProxyType(
    {
        tier.name: tier
        for tier in (
            Tier("default", 10, 100_000, 2_000_000),
            Tier("premium", 100, 10_000_000, 200_000_000),
            Tier("internal", 1000, None, None),
        )
    }
)


def tier_named(name: str) -> Tier:
    """Return the tier with that name. Raises InvalidKeyRequest."""
    try:
        return TIERS[name]
    except KeyError:
        message = f"there is no tier {name!r}; the tiers are {', '.join(TIERS)}"
        raise InvalidKeyRequest(message, "tier") from None


# A stored quota of 0 means unlimited; None means the tier's quota.
NO_QUOTA = 0
# The fields of an Entitlement that are grants: all except `expires_at` and `revoked_at`.
GRANTS = (
    "tier",
    "rate",
    "trading_rate",
    "daily_quota",
    "monthly_quota",
    "scopes",
    "accounts",
    "sensitivity",
    "networks",
)


def caller_from(
    entitlement: Entitlement, *, identity: str, name: str, credential: str, key_digest: str = ""
) -> Caller:
    """Return the caller with these grants. Raises InvalidKeyRequest.

    A missing rate or quota is the tier's; a missing trading rate is the setting TRADING_RATE.
    """
    tier = tier_named(entitlement.tier)
    return Caller(
        identity=identity,
        name=name,
        tier=tier.name,
        rate=tier.rate if entitlement.rate is None else entitlement.rate,
        trading_rate=settings.TRADING_RATE if entitlement.trading_rate is None else entitlement.trading_rate,
        daily_quota=quota(entitlement.daily_quota, of_tier=tier.daily_quota),
        monthly_quota=quota(entitlement.monthly_quota, of_tier=tier.monthly_quota),
        scopes=frozenset(entitlement.scopes),
        accounts=frozenset(entitlement.accounts),
        sensitivity=entitlement.sensitivity,
        networks=tuple(ip_network(network) for network in entitlement.networks),
        credential=credential,
        key_digest=key_digest,
        expires_at=entitlement.expires_at,
        signed_only=isinstance(entitlement, ApiKey) and entitlement.signed_only,
    )


def quota(own: int | None, *, of_tier: int | None) -> int | None:
    """Return the effective quota: the credential's own, else the tier's. None is unlimited."""
    if own is None:
        return of_tier
    return None if own == NO_QUOTA else own


def granted_document(entitlement: Entitlement, caller: Caller) -> dict[str, Any]:
    """Return the grants as a document, with the caller's effective rates and quotas (None: unlimited)."""
    of_caller = {"rate", "trading_rate", "daily_quota", "monthly_quota"}
    return {name: getattr(caller if name in of_caller else entitlement, name) for name in GRANTS}
