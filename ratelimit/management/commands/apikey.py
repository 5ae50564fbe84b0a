"""`manage.py apikey create | list | rotate | revoke | expiring`. Secrets are never passed as arguments."""

import json
import re
from argparse import ArgumentParser
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509 import load_pem_x509_certificate
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from ops.command_line import command_actor
from ratelimit.access.scopes import ALL_SCOPES, ROLES, SCOPES, SENSITIVITIES
from ratelimit.callers import ALL_ACCOUNTS
from ratelimit.entitlements import NO_QUOTA, TIERS
from ratelimit.exceptions import KeyAdministrationError
from ratelimit.keys.selectors import key_document, key_list, key_named, keys_expiring
from ratelimit.keys.services import CreatedKey, key_create, key_revoke, key_rotate
from ratelimit.keys.terms import BEFORE_EXPIRY
from ratelimit.models import ApiKey
from store.instant_text import parse_instant

_Value = TypeVar("_Value")

DEFAULT_SCOPE = "market:read"
_DURATION = re.compile(r"(\d{1,9})([smhd]?)", re.ASCII)
_UNIT_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}
_REFERENCE = "the key's prefix or id"
_LINE = "{id:>5}  {prefix}  {state:<8}  {tier:<8}  {rate:>7}/s  {name}"
# By `only_old`.
_ENDED = (
    "Key {id} ({prefix}, {name}) is revoked, everywhere within a second.",
    "The old secret of key {id} ({prefix}, {name}) is revoked, everywhere within a second.",
)
_AS_GIVEN = ("name", "tier", "rate", "trading_rate", "signed_only", "before_expiry")
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
    "--signed-only": {"action": "store_true", "help": "accept signed requests only"},
    "--certificate": {
        "type": Path,
        "metavar": "FILE.pem",
        "help": "the client certificate that authenticates as the key",
    },
    "--before-expiry": {"default": BEFORE_EXPIRY[0], "choices": BEFORE_EXPIRY},
}


class Command(BaseCommand):
    help = "Creates, lists, rotates and revokes API keys. The server may be running."

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        _add_create(verbs.add_parser("create", help="create a key and show it, once"))
        verbs.add_parser("list", help="show all keys, without their secrets")
        rotate = verbs.add_parser("rotate", help="give a key another secret and show it, once")
        rotate.add_argument("reference", metavar="KEY", help=_REFERENCE)
        rotate.add_argument(
            "--overlap",
            default="1d",
            help="how long the old secret stays valid: 3600, 12h, 1d; 0 ends it at once",
        )
        revoke = verbs.add_parser("revoke", help="revoke a key, everywhere within a second")
        revoke.add_argument("reference", metavar="KEY", help=_REFERENCE)
        revoke.add_argument(
            "--only-old", action="store_true", help="end only the secret before the last rotation"
        )
        expiring = verbs.add_parser("expiring", help="show the valid keys that expire soon, soonest first")
        expiring.add_argument("--within", default="14d", help="the period from now: 12h, 14d")
        for verb in verbs.choices.values():
            verb.add_argument("--json", action="store_true", help="print JSON only")

    def handle(self, *_: Any, verb: str, **options: Any) -> None:
        """Run the verb, a method of the same name. Raises CommandError for invalid grants and unknown keys."""
        try:
            getattr(self, verb)(options)
        except KeyAdministrationError as error:
            raise CommandError(str(error)) from None

    def create(self, options: dict[str, Any]) -> None:
        now = timezone.now()
        created = key_create(**_terms_in(options), now=now, actor=command_actor())
        self._print_created(created, now, options)

    def rotate(self, options: dict[str, Any]) -> None:
        now, key = timezone.now(), key_named(options["reference"])
        overlap = _parsed(parse_duration, options["overlap"])
        created = key_rotate(key=key, overlap=overlap, now=now, actor=command_actor())
        self._print_created(created, now, options)

    def list(self, options: dict[str, Any]) -> None:
        self._print_keys(key_list(), _LINE, options)

    def expiring(self, options: dict[str, Any]) -> None:
        keys = keys_expiring(now=timezone.now(), within=_parsed(parse_duration, options["within"]))
        self._print_keys(keys, f"{{expires_at}}  {_LINE}", options)

    def revoke(self, options: dict[str, Any]) -> None:
        now, key = timezone.now(), key_named(options["reference"])
        is_changed = key_revoke(key=key, now=now, actor=command_actor(), only_old=options["only_old"])
        key.refresh_from_db()
        document = key_document(key, now=now)
        line = (
            _ENDED[options["only_old"]] if is_changed else "Nothing was changed: key {id} ({prefix}, {name})."
        )
        self._print(document, [line.format_map(document)], options)

    def _print_created(self, created: CreatedKey, now: datetime, options: dict[str, Any]) -> None:
        document = created.document(now=now)
        self._print(document, _created_lines(created, document), options)

    def _print_keys(self, keys: Iterable[ApiKey], line: str, options: dict[str, Any]) -> None:
        now = timezone.now()
        rows = [key_document(key, now=now) for key in keys]
        self._print(rows, map(line.format_map, rows), options)

    def _print(self, document: Any, lines: Iterable[str], options: dict[str, Any]) -> None:
        """Print the document as JSON with `--json`, else the lines."""
        for line in [json.dumps(document)] if options["json"] else lines:
            self.stdout.write(line)


def _created_lines(created: CreatedKey, document: dict[str, Any]) -> Iterator[str]:
    yield f"{created.key}\n"
    yield f"Signing secret: {created.signing_secret}"
    yield "They are shown only now."
    grants = "id {id}, tier {tier}, {rate} requests/s".format(**document)
    yield f"{grants}, scopes {' '.join(document['scopes'])}"
    if document["overlap_until"] is not None:
        yield "The old secret is valid until {overlap_until}.".format_map(document)


def _add_create(create: ArgumentParser) -> None:
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


def _terms_in(options: dict[str, Any]) -> dict[str, Any]:
    """Return the attributes of a new key, as KeyTerms. Raises CommandError."""
    role = ROLES.get(options["role"])
    scopes = options["scopes"] or ([DEFAULT_SCOPE] if role is None else [*role.scopes])
    return {
        **{name: options[name] for name in _AS_GIVEN},
        "scopes": scopes,
        "daily_quota": _quota(options["daily_quota"]),
        "monthly_quota": _quota(options["monthly_quota"]),
        "accounts": _accounts(options["accounts"], scopes),
        "sensitivity": options["sensitivity"] or (None if role is None else role.sensitivity),
        "networks": options["networks"] or (),
        "certificate": _fingerprint(options["certificate"]),
        "expires_at": None if options["expires"] is None else _parsed(parse_instant, options["expires"]),
    }


def _parsed(parse: Callable[[str], _Value], text: str) -> _Value:
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


def _fingerprint(path: Path | None) -> str | None:
    """Return the SHA-256, in hex, of the certificate (DER) in a PEM file. Raises CommandError."""
    if path is None:
        return None
    try:
        return load_pem_x509_certificate(path.read_bytes()).fingerprint(SHA256()).hex()
    except (OSError, ValueError) as error:
        raise CommandError(f"{path} has no readable PEM certificate") from error


def parse_duration(text: str) -> timedelta:
    """Parse a duration: a whole number of seconds, or of the unit `s`, `m`, `h` or `d`. Raises ValueError."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(f"{text[:64]!r} is not a duration such as 3600, 90m, 12h or 7d")
    return timedelta(seconds=int(match[1]) * _UNIT_SECONDS[match[2]])
