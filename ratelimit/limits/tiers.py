"""Tiers: the default limits of a caller."""

from dataclasses import dataclass
from types import MappingProxyType

from ratelimit.exceptions import UnknownTier

BURST_SECONDS = 2


@dataclass(frozen=True, slots=True)
class Tier:
    """`rate` is in tokens per second, for each bucket. Quotas are in tokens per UTC day and month; None: no quota."""

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
    """Return the tier with that name. Raises UnknownTier."""
    try:
        return TIERS[name]
    except KeyError:
        raise UnknownTier(f"there is no tier {name!r}; the tiers are {', '.join(TIERS)}") from None


def burst_of(rate: int) -> int:
    """Return the size in tokens of a bucket with that rate per second."""
    return BURST_SECONDS * rate
