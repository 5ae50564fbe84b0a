"""The endpoints that change accounts: opened and set up, money, limits, start and stop."""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from http import HTTPStatus
from typing import Any

from django.db import transaction
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from jobs.kinds import JobKind, Run
from jobs.views import SubmissionViewSet
from ratelimit.credentials.authentication import caller_again
from trading.api.account_inputs import (
    REASON_LENGTH,
    AccountInput,
    OverrideInput,
    PreferencesInput,
    RiskConfigInput,
    TransferInput,
    TransferParameters,
)
from trading.api.account_view import (
    ACCOUNT_CHANGE,
    ACCOUNT_ID,
    ACCOUNT_PAGE,
    ACCOUNT_READ,
    CLOSE,
    ORDER_CHANGE,
    RISK_CHANGE,
    AccountView,
    Done,
    account_answer,
    require_submitter,
)
from trading.api.row_views import DEFAULT_LIMIT
from trading.core.account import STOPPED, STOPPING
from trading.core.configuration import RiskConfig
from trading.core.terms import AccountKind
from trading.documents.accounts import (
    AccountDocument,
    AccountPositionsDocument,
    AccountStatusDocument,
    RiskConfigDocument,
    RiskDocument,
    StoppedDocument,
)
from trading.journal import state_of
from trading.lease import engine_status
from trading.models import Account
from trading.selectors import (
    account_document,
    account_valued,
    positions_documents,
    risk_document,
    status_document,
)
from trading.services.accounts import (
    account_create,
    account_transfer,
    accounts_of,
    halt_release,
    heartbeat,
    override_end,
    preferences_change,
    risk_configure,
    risk_override,
    risk_tag,
    trading_start,
    trading_stop_each,
    transferable_equity,
)
from trading.services.assigning import strategy_assign
from web.idempotency.answers import IDEMPOTENCY_KEY
from web.lists.pages import KeysetPagination
from web.lists.views import ListViewSet
from web.requests.json_fields import JsonObject


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
        return self.answer_page(lambda account: account_document(account).as_json(), accounts_of(self.caller))

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


def transfer(run: Run) -> JsonObject:
    """Transfer once, however often the job is started: the job's id is the transfer's.

    Raises the errors of `account_transfer`, and those of SUBMITTER_REFUSED.
    """
    require_submitter(run, TRANSFER.access)
    account = run.parameters["account"]
    account_transfer(name=account, transfer=str(run.uuid), amount=_amount(run.parameters))
    return {"account": account, "transfer": str(run.uuid), "amount": run.parameters["amount"]}


TRANSFER = JobKind(
    name="transfer",
    function=transfer,
    serializer=TransferParameters,
    unit="transfers",
    access=ACCOUNT_CHANGE,
    account_parameter="account",
    turn=lambda parameters: f"transfer:{parameters['account']}",
)


class TransfersViewSet(AccountView, SubmissionViewSet):
    """Money that is paid in or out."""

    verbs = {"create": ""}
    bodies = {"create": TransferInput}
    access = {"create": TRANSFER.access}
    kind = TRANSFER.name

    def create(self, request: Request, account: str) -> Response:
        """Transfer money.

        Queue a job that pays money in (above zero) or out. It moves no percentage of drawdown or loss.

        422 `invalid_transfer` if the money is not there, or pays for positions and orders; the job fails with it if that
        becomes so before it runs.
        """
        return self.submit(request)

    def job_parameters(self) -> JsonObject:
        """Return the job's parameters: the body's, and the account of the path."""
        values = self.body()
        account, _ = self.account_to_change()
        return {"account": account.name, **values}

    def require_possible(self, parameters: JsonObject) -> None:
        """Raise InvalidTransfer, AccountNotValued."""
        state = state_of(Account.objects.get(name=parameters["account"]))
        transferable_equity(state, _amount(parameters), now_ns=engine_status().now_ns)


def _amount(parameters: JsonObject) -> Decimal:
    return Decimal(repr(parameters["amount"]))


_IF_MATCH = OpenApiParameter(
    "If-Match",
    {"type": "string", "examples": ['"risk-1"']},
    OpenApiParameter.HEADER,
    required=True,
    description="The ETag of `GET /config`, or `*`.",
)
_REASON = OpenApiParameter(
    "reason",
    {"type": "string", "minLength": 1, "maxLength": REASON_LENGTH},
    OpenApiParameter.QUERY,
    description="Why, for those who read the records.",
)


class TradingControlViewSet(AccountView, GenericViewSet[Account]):
    """Trading that is started and stopped."""

    access = {"start": ORDER_CHANGE, "stop": replace(CLOSE, or_scope="risk:write")}
    answers = {"start": AccountStatusDocument, "stop": StoppedDocument}
    parameters = {"stop": [_REASON]}
    asks_first = ("stop",)

    def start(self, request: Request) -> Response:
        """Start trading. Let an account open positions. The answer is its status. May be repeated."""
        account, caller = self.account_to_change()
        return self.change_account(
            account, lambda: trading_start(account=account, by=caller.identity), status_document
        )

    def stop(self, request: Request) -> Response:
        """Stop trading.

        Cancel all orders and close all positions: of one account, or of all that the caller may see.

        It needs no header and no body; a body is ignored. It may be repeated. An account is `stopping` until it is
        flat.
        """
        accounts = list(accounts_of(self.caller))
        if "account" in self.query or not accounts:
            accounts = [self.account()]
        reason = self.query.get("reason", "")[:REASON_LENGTH]
        trading_stop_each(accounts=accounts, by=self.caller.identity, reason=reason)
        for account in accounts:
            account.refresh_from_db()
        documents = [status_document(account).as_json() for account in accounts]
        is_stopping = any(each["status"] == STOPPING for each in documents)
        top = documents[0] if len(documents) == 1 else {"status": STOPPING if is_stopping else STOPPED}
        return Response({**top, "accounts": documents}, headers={"Cache-Control": "no-store"})


class RiskWritesViewSet(AccountView, GenericViewSet[Account]):
    """What accounts may risk."""

    bodies = {"override": OverrideInput, "configure": RiskConfigInput}
    answers = {"override": RiskDocument, "configure": RiskConfigDocument}
    access = {"override": RISK_CHANGE, "configure": RISK_CHANGE}
    parameters = {"configure": [_IF_MATCH]}

    def get_object(self) -> Account:
        """Return the account of a call. OPTIONS asks for it."""
        return self.account()

    def override(self, request: Request) -> Response:
        """Override the risk level, or leave a halt.

        Set the risk level until an instant, end that, or release a halt. At most the configured maximum.
        """
        values = self.body(now_ns=engine_status().now_ns)
        account, caller = self.account_to_change()
        noted = {"account": account, "reason": values["reason"], "by": caller.identity}

        def override() -> None:
            if values.get("release_halt"):
                halt_release(**noted)
            elif values.get("end"):
                override_end(**noted)
            else:
                risk_override(risk_level=values["risk_level"], until_ns=values["until"], **noted)

        return self.change_account(account, override, risk_document)

    @extend_schema(operation_id="risk_configure")
    def configure(self, request: Request) -> Response:
        """Set the limits of an account.

        Replace all limits of an account. `If-Match` names the version that the caller has read.
        """
        config: RiskConfig = self.body()["config"]
        account, caller = self.account_to_change()
        answer = self.change_account(
            account,
            lambda: risk_configure(account=account, config=config, tag=self.if_match(), by=caller.identity),
            lambda changed: RiskConfigDocument.of(changed, state_of(changed)),
        )
        answer.headers["ETag"] = risk_tag(state_of(account).risk_version)
        return answer
