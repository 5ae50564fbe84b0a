"""The words of what may be done: scopes (which calls) and sensitivities (which data)."""

from collections.abc import Iterable

from ratelimit.exceptions import UnknownScope

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

# From the least to the most sensitive: a caller cleared for one is cleared for those before it.
SENSITIVITIES = ("public", "internal", "confidential")


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
