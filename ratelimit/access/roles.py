"""Names for what callers commonly are granted, for the commands; what is stored are the scopes."""

from dataclasses import dataclass

from ratelimit.access.scopes import SCOPES


@dataclass(frozen=True, slots=True)
class Role:
    """Scopes and a sensitivity under one name; accounts are granted beside it. `purpose` is for people."""

    name: str
    scopes: tuple[str, ...]
    sensitivity: str
    purpose: str


ROLES = {
    role.name: role
    for role in (
        Role("reader", ("market:read",), "internal", "reads market data"),
        Role("feeder", ("market:read", "market:write"), "internal", "stores market data, and reads it"),
        Role(
            "trader",
            ("market:read", "trading:read", "trading:write"),
            "internal",
            "places orders for its accounts",
        ),
        Role(
            "risk",
            ("market:read", "trading:read", "risk:write"),
            "internal",
            "sees its accounts' trading and sets its limits",
        ),
        Role("auditor", ("audit:read",), "confidential", "reads what was recorded"),
        Role("keymaster", ("keys:manage",), "confidential", "lists, rotates and revokes keys"),
        Role("everything", SCOPES, "confidential", "does everything"),
    )
}
