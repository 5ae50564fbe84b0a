"""How much a caller may do by its tier."""

from dataclasses import dataclass
from types import MappingProxyType

from ratelimit.exceptions import UnknownTier

BURST_SECONDS = 2


@dataclass(frozen=True, slots=True)
class Tier:
    """`rate` is in requests per second and holds for reads and for writes, each by itself.

    Quotas are in tokens per UTC day and per UTC month; None is none.
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
    """The tier of that name; raises UnknownTier."""
    try:
        return TIERS[name]
    except KeyError:
        raise UnknownTier(f"there is no tier {name!r}; the tiers are {', '.join(TIERS)}") from None


def burst_of(rate: int) -> int:
    """How many requests may come at once after a pause, for a rate per second."""
    return BURST_SECONDS * rate
