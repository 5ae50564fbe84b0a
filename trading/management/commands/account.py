"""`manage.py account create | list | verify`."""

import json
import sys
from argparse import ArgumentParser
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import uuid4

from django.core.management.base import BaseCommand, CommandError
from django.db import Error, transaction
from django.utils import timezone

from audit.services import event_record
from ops.command_line import command_actor
from ops.command_line.disk_errors import disk_problem
from store.currencies import CURRENCIES
from trading.account_store import account_verify
from trading.api.account_inputs import MOST_MONEY
from trading.core.amounts import money
from trading.core.configuration import RiskConfig
from trading.core.terms import AccountKind
from trading.exceptions import TradingError
from trading.models import Account
from trading.selectors import account_document, status_document
from trading.services.accounts import ACCOUNT_NAME, account_create, account_transfer

_LINE = "{id:<24}  {kind:<6}  {status:<8}  {equity:>16,.2f} {currency}  {open_positions} positions, {open_orders} orders"


class Command(BaseCommand):
    help = "Opens, lists and verifies accounts. The server may be running."

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        create = verbs.add_parser("create", help="open an account, stopped")
        create.add_argument("name")
        create.add_argument("--kind", choices=[*AccountKind], default=AccountKind.CASH.value)
        create.add_argument("--currency", choices=sorted(CURRENCIES), default="USD", metavar="USD")
        create.add_argument("--deposit", default="0", help="money to begin with")
        verbs.add_parser("list", help="show all accounts")
        verify = verbs.add_parser(
            "verify", help="replay an account's events and name the first difference, with exit code 1"
        )
        verify.add_argument("name")
        for verb in verbs.choices.values():
            verb.add_argument("--json", action="store_true", help="print JSON only")

    def handle(self, *args: Any, verb: str, **options: Any) -> None:
        """Run a verb. Raises CommandError, and SystemExit(1) if verification finds anything."""
        try:
            {"create": self._create, "list": self._list, "verify": self._verify}[verb](options)
        except (TradingError, Error) as error:
            raise CommandError(disk_problem(error) or str(error)) from error

    def _create(self, options: dict[str, Any]) -> None:
        name, deposit, actor = options["name"], _money(options["deposit"]), command_actor()
        if not ACCOUNT_NAME.fullmatch(name):
            raise CommandError("a name is 1-64 of A-Z a-z 0-9 _ . : -, first a letter or digit")
        with transaction.atomic():
            account_create(
                name=name,
                kind=AccountKind(options["kind"]),
                currency=options["currency"],
                by=actor,
                config=RiskConfig(),
            )
            if deposit:
                account_transfer(name=name, transfer=str(uuid4()), amount=deposit)
            event_record(
                at=timezone.now(),
                actor=actor,
                audit_class="trading",
                event="account.created",
                subject=f"account:{name}",
                detail={"kind": options["kind"], "currency": options["currency"], "deposit": str(deposit)},
            )
        document = _document(Account.objects.get(name=name))
        line = f"Account {name} is open, and stopped.\n{_LINE.format_map(document)}"
        self.stdout.write(json.dumps(document) if options["json"] else line)

    def _list(self, options: dict[str, Any]) -> None:
        documents = [_document(account) for account in Account.objects.order_by("name")]
        lines = "\n".join(map(_LINE.format_map, documents))
        self.stdout.write(json.dumps(documents) if options["json"] else lines)

    def _verify(self, options: dict[str, Any]) -> None:
        account = Account.objects.filter(name=options["name"]).first()
        if account is None:
            raise CommandError(f"there is no account {options['name']}")
        difference = account_verify(account=account)
        document = {"account": account.name, "events": account.number, "difference": difference}
        found = difference or f"{account.number:,} events give the stored state and rows"
        self.stdout.write(json.dumps(document) if options["json"] else f"{account.name}: {found}")
        if difference:
            sys.exit(1)


def _document(account: Account) -> dict[str, Any]:
    return {
        **account_document(account).as_json(),
        "status": status_document(account).status,
    }


def _money(text: str) -> Decimal:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or not 0 <= amount <= MOST_MONEY:
        raise CommandError(f"a deposit is a number of at least 0 and at most {MOST_MONEY:,f}")
    return money(amount)
