"""From what is stored of a credential to the caller that it makes."""

from datetime import datetime
from ipaddress import ip_network
from typing import Any

from django.conf import settings

from ratelimit.callers import Caller
from ratelimit.limits.tiers import tier_named
from ratelimit.models import ApiKey, Entitlement

NO_QUOTA = 0
STATES = ("active", "expired", "revoked")
# What every credential may be granted, by name: all that an Entitlement has but when it ends.
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
    entitlement: Entitlement, *, identity: str, name: str, credential: str, family: str = ""
) -> Caller:
    """The caller with what it was granted, the tier's limits where it has none of its own.

    Raises UnknownTier.
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
        family=family,
        expires_at=entitlement.expires_at,
        signed_only=isinstance(entitlement, ApiKey) and entitlement.signed_only,
    )


def quota(own: int | None, *, of_tier: int | None) -> int | None:
    """Tokens of a period: a credential's own number, or its tier's; None is no quota."""
    if own is None:
        return of_tier
    return None if own == NO_QUOTA else own


def granted_document(entitlement: Entitlement, caller: Caller) -> dict[str, Any]:
    """What is granted, with the rates and quotas that hold for the caller, its own or its tier's.

    A quota of None is none.
    """
    of_caller = ("rate", "trading_rate", "daily_quota", "monthly_quota")
    return {name: getattr(caller if name in of_caller else entitlement, name) for name in GRANTS}


def state_of(entitlement: Entitlement, *, now: datetime) -> str:
    """One of STATES."""
    if entitlement.revoked_at is not None:
        return "revoked"
    return "expired" if entitlement.expires_at is not None and entitlement.expires_at <= now else "active"
