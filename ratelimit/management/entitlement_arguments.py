"""The arguments of commands that grant something: what a credential is to be allowed, as options."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from ratelimit.access.roles import ROLES
from ratelimit.access.scopes import ALL_SCOPES, SCOPES, SENSITIVITIES
from ratelimit.callers import ALL_ACCOUNTS
from ratelimit.entitlements import NO_QUOTA
from ratelimit.limits.tiers import TIERS
from store.instant_text import parse_instant

DEFAULT_SCOPE = "market:read"


_OPTIONS: dict[str, dict[str, Any]] = {
    "--rate": {"type": int, "help": "requests per second instead of the tier's"},
    "--trading-rate": {"type": int, "help": "trading calls per second instead of the setting's"},
    "--daily-quota": {"metavar": "N|none", "help": "tokens per UTC day instead of the tier's"},
    "--monthly-quota": {"metavar": "N|none", "help": "tokens per UTC month instead of the tier's"},
    "--account": {
        "action": "append",
        "dest": "accounts",
        "help": "repeatable; * is every one, as it is with --scope all unless some are named",
    },
    "--sensitivity": {"choices": SENSITIVITIES, "help": "the least that the scopes need, without"},
    "--network": {
        "action": "append",
        "dest": "networks",
        "metavar": "CIDR",
        "help": "repeatable; from anywhere without",
    },
    "--expires": {"help": "ISO 8601; without an offset it is UTC"},
}


def add_entitlement(create: ArgumentParser) -> None:
    """Name, tier, scopes, limits, accounts, sensitivity, networks and expiry."""
    create.add_argument("name")
    create.add_argument("--tier", default="default", choices=[*TIERS])
    granted = create.add_mutually_exclusive_group()
    granted.add_argument("--role", choices=[*ROLES], help="the scopes and the sensitivity of docs/access.md")
    granted.add_argument(
        "--scope",
        action="append",
        dest="scopes",
        choices=[ALL_SCOPES, *SCOPES],
        help=f"repeatable; {DEFAULT_SCOPE} without",
    )
    for option, what in _OPTIONS.items():
        create.add_argument(option, **what)


def entitlement_of(options: dict[str, Any]) -> dict[str, Any]:
    """The terms that the options ask for. Raises CommandError."""
    role = ROLES.get(options["role"])
    scopes = options["scopes"] or ([DEFAULT_SCOPE] if role is None else [*role.scopes])
    return {
        "name": options["name"],
        "tier": options["tier"],
        "scopes": scopes,
        "rate": options["rate"],
        "trading_rate": options["trading_rate"],
        "daily_quota": _quota(options["daily_quota"]),
        "monthly_quota": _quota(options["monthly_quota"]),
        "accounts": _accounts(options["accounts"], scopes),
        "sensitivity": options["sensitivity"] or (None if role is None else role.sensitivity),
        "networks": options["networks"] or (),
        "expires_at": None if options["expires"] is None else read(parse_instant, options["expires"]),
    }


def read(reader: Any, text: str) -> Any:
    """What a reader makes of a text, its ValueError as a CommandError."""
    try:
        return reader(text)
    except ValueError as error:
        raise CommandError(str(error)) from error


def _accounts(named: list[str] | None, scopes: list[str]) -> list[str]:
    if named:
        return named
    return [ALL_ACCOUNTS] if ALL_SCOPES in scopes else []


def _quota(text: str | None) -> int | None:
    if text is None:
        return None
    if text == "none":
        return NO_QUOTA
    if not text.isascii() or not text.isdecimal() or int(text) < 1:
        raise CommandError(f"a quota is a whole number of tokens, or none, not {text!r}")
    return int(text)
