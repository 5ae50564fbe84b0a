"""`manage.py apikey create | list | rotate | revoke`. Secrets are never passed as arguments."""

import json
import re
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509 import load_pem_x509_certificate
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from ops.command_line import command_actor
from ratelimit.access.scopes import ALL_SCOPES, ROLES, SCOPES, SENSITIVITIES
from ratelimit.callers import ALL_ACCOUNTS
from ratelimit.entitlements import NO_QUOTA, TIERS
from ratelimit.exceptions import KeyAdministrationError
from ratelimit.keys.selectors import key_document, key_list, key_named
from ratelimit.keys.services import CreatedKey, key_create, key_revoke, key_rotate
from ratelimit.keys.terms import BEFORE_EXPIRY, KeyTerms
from store.instant_text import parse_instant

DEFAULT_SCOPE = "market:read"
_DURATION = re.compile(r"(\d{1,9})([smhd]?)", re.ASCII)
_UNIT_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}
_LINE = "{id:>5}  {prefix}  {state:<8}  {tier:<8}  {rate:>7}/s  {name}"
_CREATED = """{key}

Signing secret: {signing_secret}
They are shown only now.
id {id}, tier {tier}, {rate} requests/s, scopes {scopes}"""
# By `only_old`.
_ENDED = (
    "Key {id} ({prefix}, {name}) is revoked, everywhere within a second.",
    "The old secret of key {id} ({prefix}, {name}) is revoked, everywhere within a second.",
)


class Command(BaseCommand):
    help = "Creates, lists, rotates and revokes API keys. The server may be running."

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        _add_create(verbs.add_parser("create", help="create a key and show it, once"))
        verbs.add_parser("list", help="show all keys, without their secrets")
        rotate = verbs.add_parser("rotate", help="give a key another secret and show it, once")
        revoke = verbs.add_parser("revoke", help="revoke a key, everywhere within a second")
        for verb in (rotate, revoke):
            verb.add_argument("reference", metavar="KEY", help="the key's prefix or id")
        overlap = "how long the old secret stays valid: 3600, 12h, 1d; 0 ends it at once"
        rotate.add_argument("--overlap", type=_duration, default="1d", help=overlap)
        only_old = "end only the secret before the last rotation"
        revoke.add_argument("--only-old", action="store_true", help=only_old)
        for verb in verbs.choices.values():
            verb.add_argument("--json", action="store_true", help="print JSON only")

    def handle(self, *_: Any, verb: str, **options: Any) -> None:
        """Run the verb, a method of the same name. Raises CommandError for invalid grants and unknown keys."""
        try:
            getattr(self, verb)(options)
        except KeyAdministrationError as error:
            raise CommandError(str(error)) from None

    def create(self, options: dict[str, Any]) -> None:
        now, role = timezone.now(), ROLES.get(options["role"])
        terms = {name: options[name] for name in KeyTerms.__annotations__}
        terms["scopes"] = options["scopes"] or ([DEFAULT_SCOPE] if role is None else role.scopes)
        of_all = [ALL_ACCOUNTS] if ALL_SCOPES in terms["scopes"] else []
        terms |= {"accounts": options["accounts"] or of_all, "networks": options["networks"] or ()}
        terms["sensitivity"] = options["sensitivity"] or (None if role is None else role.sensitivity)
        self._print_created(key_create(**terms, now=now, actor=command_actor()), now, options)

    def rotate(self, options: dict[str, Any]) -> None:
        now, key = timezone.now(), key_named(options["reference"])
        rotated = key_rotate(key=key, overlap=options["overlap"], now=now, actor=command_actor())
        self._print_created(rotated, now, options)

    def list(self, options: dict[str, Any]) -> None:
        now = timezone.now()
        rows = [key_document(key, now=now) for key in key_list()]
        self._print(rows, map(_LINE.format_map, rows), options)

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
        lines = [_CREATED.format_map({**document, "scopes": " ".join(document["scopes"])})]
        if document["overlap_until"] is not None:
            lines.append("The old secret is valid until {overlap_until}.".format_map(document))
        self._print(document, lines, options)

    def _print(self, document: Any, lines: Iterable[str], options: dict[str, Any]) -> None:
        """Print the document as JSON with `--json`, else the lines."""
        for line in [json.dumps(document)] if options["json"] else lines:
            self.stdout.write(line)


def _add_create(create: ArgumentParser) -> None:
    """Add the options. Those of a key's attributes have the names of KeyTerms."""
    add, granted = create.add_argument, create.add_mutually_exclusive_group()
    add("name")
    add("--tier", default="default", choices=[*TIERS])
    granted.add_argument("--role", choices=[*ROLES], help="the scopes and the sensitivity of docs/access.md")
    scopes, default = [ALL_SCOPES, *SCOPES], f"repeatable; default: {DEFAULT_SCOPE}"
    granted.add_argument("--scope", action="append", dest="scopes", choices=scopes, help=default)
    add("--rate", type=int, help="requests per second instead of the tier's")
    add("--trading-rate", type=int, help="trading calls per second instead of TRADING_RATE")
    for option, unit in (("--daily-quota", "day"), ("--monthly-quota", "month")):
        add(option, type=_quota, metavar="N|none", help=f"tokens per UTC {unit} instead of the tier's")
    every = "repeatable; * is every account, the default with --scope all"
    add("--account", action="append", dest="accounts", help=every)
    add("--sensitivity", choices=SENSITIVITIES, help="default: the lowest that the scopes need")
    network = "repeatable; default: every address"
    add("--network", action="append", dest="networks", metavar="CIDR", help=network)
    add("--expires", dest="expires_at", type=_instant, help="ISO 8601; UTC without an offset")
    add("--signed-only", action="store_true", help="accept signed requests only")
    certificate = "the client certificate that authenticates as the key"
    add("--certificate", type=_fingerprint, metavar="FILE.pem", help=certificate)
    add("--before-expiry", default=BEFORE_EXPIRY[0], choices=BEFORE_EXPIRY)


def _quota(text: str) -> int:
    if text == "none":
        return NO_QUOTA
    if not text.isascii() or not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"a quota is a whole number, or none, not {text!r}")
    return int(text)


def _instant(text: str) -> datetime:
    try:
        return parse_instant(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None


def _fingerprint(path: str) -> str:
    """Return the SHA-256, in hex, of the certificate (DER) in a PEM file."""
    try:
        return load_pem_x509_certificate(Path(path).read_bytes()).fingerprint(SHA256()).hex()
    except (OSError, ValueError) as error:
        raise ArgumentTypeError(f"{path} has no readable PEM certificate") from error


def _duration(text: str) -> timedelta:
    """Parse a whole number of seconds, or of the unit `s`, `m`, `h` or `d`."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ArgumentTypeError(f"{text[:64]!r} is not a duration such as 3600, 90m, 12h or 7d")
    return timedelta(seconds=int(match[1]) * _UNIT_SECONDS[match[2]])
