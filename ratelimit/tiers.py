"""How much a caller may do: tiers (requests per second) and scopes (which requests)."""

from collections.abc import Iterable
from dataclasses import dataclass
from types import MappingProxyType

from ratelimit.exceptions import UnknownScope, UnknownTier

SCOPES = (
    "market:read",
    "market:write",
    "trading:read",
    "trading:write",
    "risk:write",
    "keys:manage",
    "audit:read",
)
ALL_SCOPES = "all"
BURST_SECONDS = 2


@dataclass(frozen=True, slots=True)
class Tier:
    """`rate` is in requests per second and holds for reads and for writes, each by itself."""

    name: str
    rate: int


TIERS = MappingProxyType(
    {tier.name: tier for tier in (Tier("default", 10), Tier("premium", 100), Tier("internal", 1000))}
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


def expand_scopes(names: Iterable[str]) -> tuple[str, ...]:
    """The scopes named, once each, in the order of `SCOPES`; `all` stands for every one.

    Raises UnknownScope, which lists the known ones.
    """
    wanted = set(names)
    unknown = sorted(wanted.difference(SCOPES, [ALL_SCOPES]))
    if unknown:
        known = ", ".join((ALL_SCOPES, *SCOPES))
        raise UnknownScope(f"there is no scope {unknown[0]!r}; the scopes are {known}")
    return SCOPES if ALL_SCOPES in wanted else tuple(scope for scope in SCOPES if scope in wanted)
