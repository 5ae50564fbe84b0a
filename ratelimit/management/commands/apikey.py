"""`manage.py apikey create | list | revoke`."""

import json
from argparse import ArgumentParser
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from ratelimit.exceptions import KeyAdministrationError
from ratelimit.models import ApiKey
from ratelimit.selectors import key_list, key_named, rate_of
from ratelimit.services import CreatedKey, key_create, key_revoke
from ratelimit.tiers import ALL_SCOPES, SCOPES, TIERS


class Command(BaseCommand):
    help = "Creates, lists and revokes API keys; also while the server runs."

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        create = verbs.add_parser("create", help="make a key and show it, once")
        create.add_argument("name")
        create.add_argument("--tier", default="default", choices=list(TIERS))
        create.add_argument(
            "--scope", action="append", dest="scopes", choices=[ALL_SCOPES, *SCOPES], help="repeatable"
        )
        create.add_argument("--rate", type=int, help="requests per second instead of the tier's")
        create.add_argument("--expires", help="ISO 8601; without an offset it is UTC")
        create.add_argument("--json", action="store_true", help="print JSON only")
        listing = verbs.add_parser("list", help="show all keys, without their secrets")
        listing.add_argument("--json", action="store_true", help="print JSON only")
        revoke = verbs.add_parser("revoke", help="withdraw a key, everywhere within a second")
        revoke.add_argument("reference", metavar="PREFIX_OR_ID")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            getattr(self, options["verb"])(options)
        except KeyAdministrationError as error:
            raise CommandError(str(error)) from None

    def create(self, options: dict[str, Any]) -> None:
        created = key_create(
            name=options["name"],
            tier=options["tier"],
            scopes=options["scopes"] or ["market:read"],
            rate=options["rate"],
            expires_at=_instant(options["expires"]),
            now=timezone.now(),
        )
        if options["json"]:
            self.stdout.write(json.dumps(_described(created)))
            return
        self.stdout.write(f"{created.key}\n")
        self.stdout.write("This is the only time that the key is shown.")
        self.stdout.write(
            f"id {created.id}, tier {created.tier}, {created.rate} requests/s, scopes {' '.join(created.scopes)}"
        )

    def list(self, options: dict[str, Any]) -> None:
        now = timezone.now()
        rows = [_row(key, now=now) for key in key_list()]
        if options["json"]:
            self.stdout.write(json.dumps(rows))
            return
        for row in rows:
            self.stdout.write("{id:>5}  {prefix}  {state:<8}  {tier:<8}  {rate:>7}/s  {name}".format(**row))

    def revoke(self, options: dict[str, Any]) -> None:
        key = key_revoke(key=key_named(options["reference"]), now=timezone.now())
        self.stdout.write(f"Key {key.pk} ({key.prefix}, {key.name}) is revoked, everywhere within a second.")


def _instant(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise CommandError(f"{text!r} is not an ISO 8601 time") from None
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def _described(created: CreatedKey) -> dict[str, Any]:
    return {**asdict(created), "expires_at": _text(created.expires_at)}


def _row(key: ApiKey, *, now: datetime) -> dict[str, Any]:
    return {
        "id": key.pk,
        "prefix": key.prefix,
        "name": key.name,
        "tier": key.tier,
        "rate": rate_of(key),
        "scopes": key.scopes,
        "state": _state(key, now=now),
        "created_at": _text(key.created_at),
        "expires_at": _text(key.expires_at),
        "revoked_at": _text(key.revoked_at),
    }


def _state(key: ApiKey, *, now: datetime) -> str:
    if key.revoked_at is not None:
        return "revoked"
    return "expired" if key.expires_at is not None and key.expires_at <= now else "active"


def _text(instant: datetime | None) -> str | None:
    return None if instant is None else instant.astimezone(UTC).isoformat().replace("+00:00", "Z")
