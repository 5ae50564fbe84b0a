"""The base class of the commands for credentials: subcommands, `--json`, errors, and common arguments."""

import json
import re
from abc import ABC, abstractmethod
from argparse import ArgumentParser
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any, TypeVar

from django.core.management.base import BaseCommand, CommandError

from ratelimit.access.scopes import ALL_SCOPES, ROLES, SCOPES, SENSITIVITIES
from ratelimit.callers import ALL_ACCOUNTS
from ratelimit.entitlements import NO_QUOTA, TIERS
from ratelimit.exceptions import KeyAdministrationError
from store.instant_text import parse_instant

DEFAULT_SCOPE = "market:read"

_Value = TypeVar("_Value")


class CredentialCommand(BaseCommand, ABC):
    """A command with subcommands (verbs). Each verb is a method of the same name, called with the options."""

    @abstractmethod
    def add_verbs(self, verbs: Any) -> None:
        """Add a parser for each verb."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        self.add_verbs(verbs)
        for verb in verbs.choices.values():
            verb.add_argument("--json", action="store_true", help="print JSON only")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the verb. Raises CommandError for invalid grants and unknown keys."""
        try:
            getattr(self, options["verb"])(options)
        except KeyAdministrationError as error:
            raise CommandError(str(error)) from None

    def print_result(self, document: Any, lines: Iterable[str], options: dict[str, Any]) -> None:
        """Print the document as JSON with `--json`, else the lines."""
        for line in [json.dumps(document)] if options["json"] else lines:
            self.stdout.write(line)


_OPTIONS: dict[str, dict[str, Any]] = {
    "--rate": {"type": int, "help": "requests per second instead of the tier's"},
    "--trading-rate": {"type": int, "help": "trading calls per second instead of TRADING_RATE"},
    "--daily-quota": {"metavar": "N|none", "help": "tokens per UTC day instead of the tier's"},
    "--monthly-quota": {"metavar": "N|none", "help": "tokens per UTC month instead of the tier's"},
    "--account": {
        "action": "append",
        "dest": "accounts",
        "help": "repeatable; * is every account, the default with --scope all",
    },
    "--sensitivity": {"choices": SENSITIVITIES, "help": "default: the lowest that the scopes need"},
    "--network": {
        "action": "append",
        "dest": "networks",
        "metavar": "CIDR",
        "help": "repeatable; default: every address",
    },
    "--expires": {"help": "ISO 8601; UTC without an offset"},
}


def add_grant_options(create: ArgumentParser) -> None:
    """Add the arguments: name, tier, scopes, limits, accounts, sensitivity, networks, expiry."""
    create.add_argument("name")
    create.add_argument("--tier", default="default", choices=[*TIERS])
    granted = create.add_mutually_exclusive_group()
    granted.add_argument("--role", choices=[*ROLES], help="the scopes and the sensitivity of docs/access.md")
    granted.add_argument(
        "--scope",
        action="append",
        dest="scopes",
        choices=[ALL_SCOPES, *SCOPES],
        help=f"repeatable; default: {DEFAULT_SCOPE}",
    )
    for option, settings in _OPTIONS.items():
        create.add_argument(option, **settings)


def add_overlap_option(rotate: ArgumentParser, *, old: str) -> None:
    """Add `--overlap`, a duration. `old` is what stays valid for it."""
    rotate.add_argument(
        "--overlap",
        default="1d",
        help=f"how long {old} stays valid: 3600, 12h, 1d; 0 ends it at once",
    )


def terms_in(options: dict[str, Any]) -> dict[str, Any]:
    """Return the attributes of a new credential, as KeyTerms, from the options. Raises CommandError."""
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
        "expires_at": None if options["expires"] is None else parse_option(parse_instant, options["expires"]),
    }


def parse_option(parse: Callable[[str], _Value], text: str) -> _Value:
    """Parse an option with `parse`; its ValueError becomes a CommandError."""
    try:
        return parse(text)
    except ValueError as error:
        raise CommandError(str(error)) from error


def _accounts(accounts: list[str] | None, scopes: list[str]) -> list[str]:
    if accounts:
        return accounts
    return [ALL_ACCOUNTS] if ALL_SCOPES in scopes else []


def _quota(text: str | None) -> int | None:
    if text is None:
        return None
    if text == "none":
        return NO_QUOTA
    if not text.isascii() or not text.isdecimal() or int(text) < 1:
        raise CommandError(f"a quota is a whole number, or none, not {text!r}")
    return int(text)


_DURATION = re.compile(r"(\d{1,9})([smhd]?)", re.ASCII)
_UNIT_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}


def parse_duration(text: str) -> timedelta:
    """Parse a duration: a whole number of seconds, or of the unit `s`, `m`, `h` or `d`. Raises ValueError."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(f"{text[:64]!r} is not a duration such as 3600, 90m, 12h or 7d")
    return timedelta(seconds=int(match[1]) * _UNIT_SECONDS[match[2]])
