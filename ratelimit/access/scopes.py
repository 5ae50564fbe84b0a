"""Scopes (which calls), sensitivities (which data), and roles (common grants, by name, for the commands)."""

from collections.abc import Iterable
from dataclasses import dataclass

from ratelimit.exceptions import InvalidKeyRequest

# Places an order by Alpaca's API, which has no preview. No role has it: it is granted by name, or as one of `all`.
DIRECT = "trading:direct"
SCOPES = (
    "market:read",
    "market:write",
    "backfill:write",
    "trading:read",
    "trading:write",
    DIRECT,
    "risk:write",
    "keys:manage",
    "keys:admin",
    "audit:read",
)
ALL_SCOPES = "all"
# Every endpoint of trading needs one of these, and no other endpoint does.
TRADING_SCOPES = frozenset({"trading:read", "trading:write", DIRECT, "risk:write"})

# From the least to the most sensitive. Clearance for one includes those before it.
SENSITIVITIES = ("public", "internal", "confidential")


def expand_scopes(names: Iterable[str]) -> tuple[str, ...]:
    """Return the named scopes, each once, in the order of SCOPES; `all` means every scope. Raises InvalidKeyRequest."""
    requested = set(names)
    unknown = sorted(requested.difference(SCOPES, [ALL_SCOPES]))
    if unknown:
        valid = ", ".join((ALL_SCOPES, *SCOPES))
        raise InvalidKeyRequest(f"there is no scope {unknown[0]!r}; the scopes are {valid}", "scopes")
    return SCOPES if ALL_SCOPES in requested else tuple(scope for scope in SCOPES if scope in requested)


@dataclass(frozen=True, slots=True)
class AccessRole:
    """A name for scopes and a sensitivity. Accounts are granted separately. `purpose` is a description for people."""

    name: str
    scopes: tuple[str, ...]
    sensitivity: str
    purpose: str


ROLES = {
    role.name: role
    for role in (
        AccessRole("reader", ("market:read",), "internal", "reads market data"),
        AccessRole("feeder", ("market:read", "market:write"), "internal", "stores market data, and reads it"),
        AccessRole(
            "trader",
            ("market:read", "trading:read", "trading:write"),
            "confidential",
            "places orders for its accounts",
        ),
        AccessRole(
            "risk",
            ("market:read", "trading:read", "risk:write"),
            "confidential",
            "sees its accounts' trading and sets its limits",
        ),
        AccessRole("auditor", ("audit:read",), "confidential", "reads audit records"),
        AccessRole(
            "keymaster", ("keys:manage", "keys:admin"), "confidential", "lists, rotates and revokes keys"
        ),
        AccessRole(
            "everything",
            tuple(scope for scope in SCOPES if scope != DIRECT),
            "confidential",
            "does everything, but for orders by Alpaca's API",
        ),
    )
}
