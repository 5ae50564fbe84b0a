"""`manage.py oauthclient create | list | revoke`. No secret is ever an argument."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from ratelimit.credentials.oauth2_clients import (
    client_create,
    client_document,
    client_list,
    client_named,
    client_revoke,
)
from ratelimit.exceptions import KeyAdministrationError
from ratelimit.management.entitlement_arguments import actor, add_entitlement, entitlement_of

_LINE = "{id:>5}  {client_id}  {state:<8}  {tier:<8}  {rate:>7}/s  {name}"


class Command(BaseCommand):
    help = "Creates, lists and revokes clients of OAuth2; also while the server runs."

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        add_entitlement(verbs.add_parser("create", help="make a client and show its secret, once"))
        verbs.add_parser("list", help="show all clients, without their secrets")
        revoke = verbs.add_parser("revoke", help="withdraw a client, everywhere within a second")
        revoke.add_argument("reference", metavar="CLIENT_ID_OR_NUMBER")
        for verb in verbs.choices.values():
            verb.add_argument("--json", action="store_true", help="print JSON only")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            getattr(self, options["verb"])(options)
        except KeyAdministrationError as error:
            raise CommandError(str(error)) from None

    def create(self, options: dict[str, Any]) -> None:
        now = timezone.now()
        document = client_create(**entitlement_of(options), now=now, actor=actor()).document(now=now)
        if options["json"]:
            self.stdout.write(json.dumps(document))
            return
        self.stdout.write("client_id     {client_id}\nclient_secret {client_secret}".format(**document))
        self.stdout.write("This is the only time that the secret is shown.")
        self.stdout.write(f"Scopes {' '.join(document['scopes'])}, tier {document['tier']}")

    def list(self, options: dict[str, Any]) -> None:
        now = timezone.now()
        rows = [client_document(client, now=now) for client in client_list()]
        if options["json"]:
            self.stdout.write(json.dumps(rows))
            return
        for row in rows:
            self.stdout.write(_LINE.format(**row))

    def revoke(self, options: dict[str, Any]) -> None:
        now = timezone.now()
        client = client_revoke(client=client_named(options["reference"]), now=now, actor=actor())
        if options["json"]:
            self.stdout.write(json.dumps(client_document(client, now=now)))
            return
        self.stdout.write(
            f"Client {client.client_id} ({client.name}) is revoked, everywhere within a second."
        )
