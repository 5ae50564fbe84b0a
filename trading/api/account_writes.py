"""The endpoints that open and set up accounts."""

from dataclasses import replace
from http import HTTPStatus

from django.db import transaction
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from jobs.views import IDEMPOTENCY_KEY
from ratelimit.credentials.authentication import caller_again
from trading.api.access import ACCOUNT_CHANGE, RISK_CHANGE
from trading.api.account_inputs import (
    AccountInput,
    PreferencesInput,
)
from trading.api.read_views import ACCOUNT_ID, AccountsViewSet, account_document
from trading.api.write_calls import Done, TradingWrites
from trading.core.configuration import RiskConfig
from trading.core.terms import AccountKind
from trading.documents.accounts import AccountDocument
from trading.services.accounts import account_create, heartbeat, preferences_change
from trading.services.assigning import strategy_assign
from web.requests.parameters import single_parameters

_STRATEGY = {"name": "crossover", "parameters": {"fast": 10, "slow": 30}, "symbols": ["AAPL"]}


class AccountWritesViewSet(TradingWrites, AccountsViewSet):
    """Accounts: listed, opened, set up."""

    bodies = {"create": AccountInput, "partial_update": PreferencesInput}
    access = {
        **AccountsViewSet.access,
        "create": RISK_CHANGE,
        "partial_update": ACCOUNT_CHANGE,
        "heartbeat": replace(ACCOUNT_CHANGE, audit_class=""),
    }

    @extend_schema(
        operation_id="account_create",
        summary="Open an account",
        parameters=[IDEMPOTENCY_KEY],
        responses={201: AccountDocument},
        examples=[
            OpenApiExample("A margin account", value={"id": "main", "kind": "margin"}, request_only=True),
        ],
    )
    def create(self, request: Request) -> Response:
        """Open an account, stopped, without money, with the usual limits. The caller must own its id."""
        single_parameters(request.GET, ("format",))
        values = self.body(AccountInput)
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

        return self.change_once(f"account_create:{name}", create, status=HTTPStatus.CREATED)

    @extend_schema(
        operation_id="account_change",
        summary="Set an account's preferences",
        parameters=[ACCOUNT_ID],
        responses={200: AccountDocument},
        examples=[
            OpenApiExample("Another name", value={"name": "Momentum"}, request_only=True),
            OpenApiExample("A strategy", value={"strategy": _STRATEGY}, request_only=True),
        ],
    )
    def partial_update(self, request: Request, account: str) -> Response:
        """Change some of an account's preferences."""
        changes = self.body(PreferencesInput)
        owned, caller = self.account_to_change(account)

        def change() -> Done:
            with transaction.atomic():
                if "strategy" in changes:
                    chosen = changes.pop("strategy")
                    strategy_assign(account=owned, strategy=chosen, by=caller.identity)
                if changes:
                    preferences_change(account=owned, changes=changes)
            owned.refresh_from_db()
            return Done(account_document(owned), owned.number)

        return self.change(change)

    @extend_schema(
        operation_id="account_heartbeat",
        summary="Say that the account's client lives",
        parameters=[ACCOUNT_ID],
        responses={204: None},
    )
    def heartbeat(self, request: Request, account: str) -> Response:
        """Note that the account's client lives. With `heartbeat_seconds`, all orders are cancelled if it stays away."""
        owned = self.account_named(account, self.caller)
        heartbeat(accounts=[owned])
        return Response(status=HTTPStatus.NO_CONTENT, headers={"X-Account-Event": str(owned.number)})
