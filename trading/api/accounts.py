"""The endpoints of accounts: listed, opened, set up."""

from collections.abc import Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Any

from django.db import transaction
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from ratelimit.credentials.authentication import caller_again
from trading.api.access import ACCOUNT_CHANGE, ACCOUNT_PAGE, ACCOUNT_READ, RISK_CHANGE
from trading.api.account_inputs import AccountInput, PreferencesInput
from trading.api.account_view import ACCOUNT_ID, AccountView, Done, account_answer
from trading.api.read_filters import DEFAULT_LIMIT
from trading.core.configuration import RiskConfig
from trading.core.terms import AccountKind
from trading.documents.accounts import AccountDocument, AccountPositionsDocument
from trading.models import Account
from trading.reading.selectors import account_document, account_valued, positions_documents
from trading.services.accounts import account_create, accounts_of, heartbeat, preferences_change
from trading.services.assigning import strategy_assign
from web.idempotency.answers import IDEMPOTENCY_KEY
from web.lists.pages import KeysetPagination
from web.lists.views import ListViewSet


class NamedPagination(KeysetPagination):
    """Pages of what has a name, by it."""

    by = "name"
    sort_description = "By name."
    default_limit = DEFAULT_LIMIT


class AccountsViewSet(AccountView, ListViewSet[Account]):
    """Accounts that the caller may see."""

    bodies = {"create": AccountInput, "partial_update": PreferencesInput}
    answers = {
        "list": AccountDocument,
        "retrieve": AccountDocument,
        "create": AccountDocument,
        "partial_update": AccountDocument,
        "heartbeat": None,
        "positions": AccountPositionsDocument,
    }
    access = {
        "list": ACCOUNT_PAGE,
        "retrieve": ACCOUNT_READ,
        "create": RISK_CHANGE,
        "partial_update": ACCOUNT_CHANGE,
        "heartbeat": replace(ACCOUNT_CHANGE, audit_class=""),
        "positions": ACCOUNT_READ,
    }
    common_parameters = (ACCOUNT_ID,)
    parameters = {"create": [IDEMPOTENCY_KEY]}
    queryset = Account.objects.all()
    pagination_class = NamedPagination
    rows_name = "accounts"

    def list(self, request: Request) -> Response:
        """List accounts. The accounts that the caller may see, by id."""
        accounts = self.paginate_queryset(accounts_of(self.caller))
        return self.get_paginated_response(
            [account_document(account).as_json() for account in accounts or ()]
        )

    def retrieve(self, request: Request, account: str) -> Response:
        """Get an account. An account: information, balances of its ledger, preferences."""
        found = self.account()
        return account_answer(account_document(found), found.number)

    def positions(self, request: Request, account: str) -> Response:
        """List positions. All positions of an account at the prices of now, by symbol and strategy."""
        found = self.account()
        positions = positions_documents(account_valued(found))
        return account_answer(AccountPositionsDocument(found.name, positions), found.number)

    def create(self, request: Request) -> Response:
        """Open an account.

        Open an account, stopped, without money, with the usual limits. The caller must own its id.
        """
        values = self.body()
        name, kind = values["id"], AccountKind(values["kind"])
        caller = caller_again(self)
        if not caller.owns(name):
            raise PermissionDenied(f"the caller does not own the account {name}", "forbidden")

        def create() -> Done:
            account = account_create(
                name=name,
                kind=kind,
                currency=values["currency"],
                by=caller.identity,
                config=RiskConfig(),
            )
            return Done(account_document(account), account.number)

        return self.change_once(f"account_create:{name}", create)

    def partial_update(self, request: Request, account: str) -> Response:
        """Set an account's preferences. Change some of an account's preferences."""
        changes = self.body()
        owned, caller = self.account_to_change()
        return self.change_account(owned, lambda: _set_up(owned, changes, caller.identity), account_document)

    def heartbeat(self, request: Request, account: str) -> Response:
        """Say that the account's client lives.

        Note that the account's client lives. With `heartbeat_seconds`, all orders are cancelled if it stays away.
        """
        owned = self.account()
        heartbeat(accounts=[owned])
        return account_answer(None, owned.number, status=HTTPStatus.NO_CONTENT)


def _set_up(account: Account, changes: Mapping[str, Any], by: str) -> None:
    preferences = {name: value for name, value in changes.items() if name != "strategy"}
    with transaction.atomic():
        if "strategy" in changes:
            strategy_assign(account=account, strategy=changes["strategy"], by=by)
        if preferences:
            preferences_change(account=account, changes=preferences)
