"""`manage.py oauthclient create | list | rotate | revoke`. Secrets are never passed as arguments."""

from datetime import datetime
from typing import Any

from django.utils import timezone

from ops.command_line import command_actor
from ratelimit.credentials.programs.clients import (
    CreatedClient,
    client_create,
    client_document,
    client_list,
    client_named,
    client_revoke,
    client_rotate,
)
from ratelimit.management.credential_command import (
    CredentialCommand,
    add_grant_options,
    add_overlap_option,
    parse_duration,
    parse_option,
    terms_in,
)

_LINE = "{id:>5}  {client_id}  {state:<8}  {tier:<8}  {rate:>7}/s  {name}"


class Command(CredentialCommand):
    help = "Creates, lists and revokes OAuth2 clients, and rotates their secrets. The server may be running."

    def add_verbs(self, verbs: Any) -> None:
        add_grant_options(verbs.add_parser("create", help="create a client and show its secret, once"))
        verbs.add_parser("list", help="show all clients, without their secrets")
        rotate = verbs.add_parser("rotate", help="give a client a new secret and show it, once")
        rotate.add_argument("reference", metavar="CLIENT_ID_OR_NUMBER")
        add_overlap_option(rotate, old="the old secret")
        revoke = verbs.add_parser("revoke", help="revoke a client, everywhere within a second")
        revoke.add_argument("reference", metavar="CLIENT_ID_OR_NUMBER")

    def create(self, options: dict[str, Any]) -> None:
        now = timezone.now()
        created = client_create(**terms_in(options), now=now, actor=command_actor())
        self._print_created(created, now, options)

    def rotate(self, options: dict[str, Any]) -> None:
        now, client = timezone.now(), client_named(options["reference"])
        overlap = parse_option(parse_duration, options["overlap"])
        created = client_rotate(client=client, overlap=overlap, now=now, actor=command_actor())
        until = created.document(now=now)["old_secret_expires_at"]
        end = f"until {until}" if until else "no longer, nor are the client's tokens"
        self._print_created(created, now, options, f"The old secret is valid {end}.")

    def list(self, options: dict[str, Any]) -> None:
        now = timezone.now()
        rows = [client_document(client, now=now) for client in client_list()]
        self.print_result(rows, map(_LINE.format_map, rows), options)

    def revoke(self, options: dict[str, Any]) -> None:
        now = timezone.now()
        client = client_revoke(client=client_named(options["reference"]), now=now, actor=command_actor())
        message = f"Client {client.client_id} ({client.name}) is revoked, everywhere within a second."
        self.print_result(client_document(client, now=now), [message], options)

    def _print_created(
        self, created: CreatedClient, now: datetime, options: dict[str, Any], *more: str
    ) -> None:
        document = created.document(now=now)
        lines = [
            "client_id     {client_id}\nclient_secret {client_secret}".format(**document),
            "The secret is shown only now.",
            f"Scopes {' '.join(document['scopes'])}, tier {document['tier']}",
            *more,
        ]
        self.print_result(document, lines, options)
