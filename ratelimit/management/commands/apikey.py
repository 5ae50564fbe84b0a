"""`manage.py apikey create | list | rotate | revoke | expiring`. Secrets are never passed as arguments."""

from argparse import ArgumentParser
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509 import load_pem_x509_certificate
from django.core.management.base import CommandError
from django.utils import timezone

from ops.command_line import command_actor
from ratelimit.keys.selectors import key_document, key_list, key_named, keys_expiring
from ratelimit.keys.services import CreatedKey, key_create, key_revoke, key_rotate
from ratelimit.keys.terms import BEFORE_EXPIRY
from ratelimit.management.credential_command import (
    CredentialCommand,
    add_grant_options,
    add_overlap_option,
    parse_duration,
    parse_option,
    terms_in,
)
from ratelimit.models import ApiKey
from store.instant_text import format_instant

_REFERENCE = "the key's prefix or id, or the client id of the only active key that has it"
_LINE = "{id:>5}  {prefix}  {state:<8}  {tier:<8}  {rate:>7}/s  {name}"
_REVOKED = "Key {id} ({prefix}, {name}) is revoked, everywhere within a second."
_REVOKED_BEFORE = "Key {id} ({prefix}, {name}) was revoked before."


class Command(CredentialCommand):
    help = "Creates, lists, rotates and revokes API keys. The server may be running."

    def add_verbs(self, verbs: Any) -> None:
        _add_create(verbs.add_parser("create", help="create a key and show it, once"))
        verbs.add_parser("list", help="show all keys, without their secrets")
        rotate = verbs.add_parser("rotate", help="create a key's successor and show it, once")
        rotate.add_argument("reference", metavar="KEY", help=_REFERENCE)
        add_overlap_option(rotate, old="the old key")
        revoke = verbs.add_parser("revoke", help="revoke a key, everywhere within a second")
        revoke.add_argument("reference", metavar="KEY", help=_REFERENCE)
        revoke.add_argument(
            "--successors", action="store_true", help="revoke its valid successors by rotation, too"
        )
        expiring = verbs.add_parser("expiring", help="show the valid keys that expire soon, soonest first")
        expiring.add_argument("--within", default="14d", help="the period from now: 12h, 14d")

    def create(self, options: dict[str, Any]) -> None:
        now = timezone.now()
        created = key_create(
            **terms_in(options),
            signed_only=options["signed_only"],
            certificate=_fingerprint(options["certificate"]),
            before_expiry=options["before_expiry"],
            now=now,
            actor=command_actor(),
        )
        self._print_created(created, now, options)

    def rotate(self, options: dict[str, Any]) -> None:
        now, key = timezone.now(), key_named(options["reference"])
        created = key_rotate(
            key=key, overlap=parse_option(parse_duration, options["overlap"]), now=now, actor=command_actor()
        )
        self._print_created(created, now, options)

    def list(self, options: dict[str, Any]) -> None:
        self._print_keys(key_list().prefetch_related("successors"), _LINE, options)

    def expiring(self, options: dict[str, Any]) -> None:
        keys = keys_expiring(now=timezone.now(), within=parse_option(parse_duration, options["within"]))
        self._print_keys(keys, f"{{expires_at}}  {_LINE}", options)

    def revoke(self, options: dict[str, Any]) -> None:
        now, key = timezone.now(), key_named(options["reference"])
        revoked = key_revoke(key=key, now=now, actor=command_actor(), with_successors=options["successors"])
        key.refresh_from_db()
        is_first = any(each.pk == key.pk for each in revoked)
        documents = [key_document(each, now=now) for each in (revoked if is_first else [key, *revoked])]
        messages = [_REVOKED if is_first else _REVOKED_BEFORE, *[_REVOKED] * (len(documents) - 1)]
        document = documents if options["successors"] else documents[0]
        lines = map(str.format_map, messages, documents)
        self.print_result(document, lines, options)

    def _print_created(self, created: CreatedKey, now: datetime, options: dict[str, Any]) -> None:
        document = created.document(now=now)
        self.print_result(document, _created_lines(created, document), options)

    def _print_keys(self, keys: Iterable[ApiKey], line: str, options: dict[str, Any]) -> None:
        now = timezone.now()
        rows = [key_document(key, now=now) for key in keys]
        self.print_result(rows, map(line.format_map, rows), options)


def _created_lines(created: CreatedKey, document: dict[str, Any]) -> Iterator[str]:
    yield f"{created.key}\n"
    yield f"Signing secret: {created.signing_secret}"
    yield "They are shown only now."
    grants = "id {id}, tier {tier}, {rate} requests/s".format(**document)
    yield f"{grants}, scopes {' '.join(document['scopes'])}"
    replaced = created.stored.replaces
    if replaced is not None:
        end = format_instant(replaced.revoked_at or replaced.expires_at)
        yield f"Key {replaced.pk} ({replaced.prefix}) is valid until {end}."


def _add_create(create: ArgumentParser) -> None:
    add_grant_options(create)
    create.add_argument("--signed-only", action="store_true", help="accept signed requests only")
    create.add_argument(
        "--certificate",
        type=Path,
        metavar="FILE.pem",
        help="the client certificate that authenticates as the key",
    )
    create.add_argument("--before-expiry", default=BEFORE_EXPIRY[0], choices=BEFORE_EXPIRY)


def _fingerprint(path: Path | None) -> str | None:
    """Return the SHA-256, in hex, of the certificate (DER) in a PEM file. Raises CommandError."""
    if path is None:
        return None
    try:
        return load_pem_x509_certificate(path.read_bytes()).fingerprint(SHA256()).hex()
    except (OSError, ValueError) as error:
        raise CommandError(f"{path} has no readable PEM certificate") from error
