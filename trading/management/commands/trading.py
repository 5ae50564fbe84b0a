"""`manage.py trading stop | start`. A stop works without web processes, Redis and audit log."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import Error, transaction
from django.utils import timezone

from audit.services import event_record
from ops.command_line import command_actor
from ops.command_line.disk_errors import disk_problem
from trading.exceptions import TradingError
from trading.models import Account
from trading.selectors import status_document
from trading.services.accounts import audit_stop, trading_start, trading_stop_each


class Command(BaseCommand):
    help = "Stops and starts trading. The server may be running."

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        stop = verbs.add_parser("stop", help="cancel all orders and close all positions")
        stop.add_argument("accounts", nargs="*", metavar="ACCOUNT")
        stop.add_argument("--all", action="store_true", help="of all accounts")
        stop.add_argument("--reason", default="", help="for those who read the records")
        start = verbs.add_parser("start", help="let accounts open positions")
        start.add_argument("accounts", nargs="+", metavar="ACCOUNT")
        for verb in verbs.choices.values():
            verb.add_argument("--json", action="store_true", help="print JSON only")

    def handle(self, *args: Any, verb: str, **options: Any) -> None:
        """Run a verb. Raises CommandError."""
        try:
            {"stop": self._stop, "start": self._start}[verb](options)
        except (TradingError, Error) as error:
            raise CommandError(disk_problem(error) or str(error)) from error

    def _stop(self, options: dict[str, Any]) -> None:
        if bool(options["accounts"]) == options["all"]:
            raise CommandError("name accounts, or say --all")
        accounts = [*Account.objects.order_by("name")] if options["all"] else _named(options["accounts"])
        trading_stop_each(accounts=accounts, by=command_actor(), reason=options["reason"])
        names = [account.name for account in accounts]
        audit_stop(names, actor=command_actor(), reason=options["reason"])
        self._print_statuses(accounts, options)

    def _start(self, options: dict[str, Any]) -> None:
        accounts = _named(options["accounts"])
        with transaction.atomic():
            for account in accounts:
                trading_start(account=account, by=command_actor())
                event_record(
                    at=timezone.now(),
                    actor=command_actor(),
                    audit_class="trading",
                    event="trading.started",
                    subject=f"account:{account.name}",
                    detail={},
                )
        self._print_statuses(accounts, options)

    def _print_statuses(self, accounts: list[Account], options: dict[str, Any]) -> None:
        for account in accounts:
            account.refresh_from_db()
        documents = [status_document(account).as_json() for account in accounts]
        lines = map(
            "{account}: {status}, {open_positions} positions; the engine is {engine}".format_map, documents
        )
        self.stdout.write(json.dumps(documents) if options["json"] else "\n".join(lines))


def _named(names: list[str]) -> list[Account]:
    accounts = {account.name: account for account in Account.objects.filter(name__in=names)}
    for name in names:
        if name not in accounts:
            raise CommandError(f"there is no account {name}")
    return [accounts[name] for name in dict.fromkeys(names)]
