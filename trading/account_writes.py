"""The endpoints that open and set up accounts, transfer money, start and stop trading, and set what it may risk."""

import re
from http import HTTPStatus
from typing import Any

from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer
from rest_framework.viewsets import GenericViewSet

from http_requests.parameters import single_parameters
from jobs.kinds import Document
from jobs.serializers import JOB, JobSerializer
from jobs.views import IDEMPOTENCY_KEY, PREFER, SubmissionViewSet
from ratelimit.credentials.authentication import caller_again
from trading import examples
from trading.account_inputs import (
    REASON_LENGTH,
    AccountInput,
    OverrideInput,
    PreferencesInput,
    ReasonInput,
    RiskConfigInput,
    TransferInput,
)
from trading.accounts import account_create, account_find, accounts_of, heartbeat, preferences_change
from trading.control import (
    execution_bust,
    halt_release,
    override_end,
    risk_configure,
    risk_override,
    trading_start,
    trading_stop_each,
)
from trading.core.account import STOPPED, STOPPING
from trading.core.configuration import RiskConfig
from trading.core.terms import AccountKind
from trading.exceptions import PreconditionRequired, RiskVersionChanged
from trading.journal import state_of
from trading.kinds import TRANSFER
from trading.lease import engine_status
from trading.models import Account
from trading.read_views import ACCOUNT, ACCOUNT_ID, AccountsViewSet
from trading.row_views import EXECUTION_ID
from trading.selectors import (
    account_document,
    execution_documents,
    execution_find,
    risk_config_document,
    risk_document,
)
from trading.serializers import (
    AccountSerializer,
    AccountStatusSerializer,
    ExecutionSerializer,
    RiskConfigSerializer,
    RiskSerializer,
    StoppedSerializer,
)
from trading.status import status_document
from trading.write_calls import Done, TradingWrites, require_signed

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
_OVERRIDE = {"risk_level": 0.15, "until": "2030-01-02T21:00:00Z", "reason": "earnings tonight"}
_RELEASE = {"release_halt": True, "reason": "the log was restored as it was"}
_RISK_TAG = re.compile(r'"risk-([0-9]{1,9})"')


class AccountWritesViewSet(TradingWrites, AccountsViewSet):
    """Accounts: listed, opened, set up."""

    def get_serializer_class(self) -> type[Serializer[Any]]:
        """Return the serializer with the fields of a browser's form."""
        bodies: dict[str, type[Serializer[Any]]] = {
            "create": AccountInput,
            "partial_update": PreferencesInput,
            "transfer": TransferInput,
        }
        return bodies.get(self.action, AccountSerializer)

    @extend_schema(
        operation_id="account_create",
        summary="Open an account",
        parameters=[IDEMPOTENCY_KEY],
        request=AccountInput,
        responses={201: AccountSerializer},
        examples=[
            OpenApiExample("A margin account", value={"id": "main", "kind": "margin"}, request_only=True),
            OpenApiExample("An account", value=examples.ACCOUNT, response_only=True, status_codes=["201"]),
        ],
    )
    def create(self, request: Request) -> Response:
        """Open an account, stopped, without money, with the usual limits. The caller must own its id."""
        single_parameters(request.GET, ("format",))
        values = self.body(AccountInput)
        name, kind = values["id"], AccountKind(values["kind"])
        if not self.caller.owns(name):
            raise PermissionDenied(f"the caller does not own the account {name}", "forbidden")

        def create() -> Done:
            account = account_create(
                name=name,
                kind=kind,
                currency=values["currency"],
                by=self.caller.identity,
                config=RiskConfig(),
            )
            return Done(account_document(account), account.number)

        return self.change_once(f"account_create:{name}", create, status=HTTPStatus.CREATED)

    @extend_schema(
        operation_id="account_change",
        summary="Set an account's preferences",
        parameters=[ACCOUNT_ID],
        request=PreferencesInput,
        responses={200: AccountSerializer},
        examples=[
            OpenApiExample("Another name", value={"name": "Momentum"}, request_only=True),
            OpenApiExample("An account", value=examples.ACCOUNT, response_only=True),
        ],
    )
    def partial_update(self, request: Request, account: str) -> Response:
        """Change some of an account's preferences."""
        changes = self.body(PreferencesInput)
        owned, _ = self.account_to_change(account)

        def change() -> Done:
            preferences_change(account=owned, changes=changes)
            owned.refresh_from_db()
            return Done(account_document(owned), owned.number)

        return self.change(change)

    @extend_schema(
        operation_id="account_heartbeat",
        summary="Say that the account's client lives",
        parameters=[ACCOUNT_ID],
        request=None,
        responses={204: None},
    )
    def heartbeat(self, request: Request, account: str) -> Response:
        """Note that the account's client lives. With `heartbeat_seconds`, all orders are cancelled if it stays away."""
        owned = self.account_named(account, self.caller)
        heartbeat(accounts=[owned])
        return Response(status=HTTPStatus.NO_CONTENT, headers={"X-Account-Event": str(owned.number)})


class TransfersViewSet(TradingWrites, SubmissionViewSet):
    """Money that is paid in or out."""

    kind = TRANSFER.name

    def get_serializer_class(self) -> type[Serializer[Any]]:
        """Return the serializer with the fields of a browser's form."""
        return TransferInput

    @extend_schema(
        operation_id="account_transfer",
        summary="Transfer money",
        parameters=[ACCOUNT_ID, IDEMPOTENCY_KEY, PREFER],
        request=TransferInput,
        responses={202: JobSerializer},
        examples=[
            OpenApiExample("A deposit", value={"amount": 100_000}, request_only=True),
            OpenApiExample("The job", value=JOB, response_only=True, status_codes=["202"]),
        ],
    )
    def create(self, request: Request, account: str) -> Response:
        """Queue a job that pays money in (above zero) or out. It moves no percentage of drawdown or loss.

        It fails with `invalid_transfer` if the money is not there, or pays for positions and orders.
        """
        return self.submit(request)

    def parameters(self, request: Request) -> Document:
        """Return the job's parameters: the body's, and the account of the path."""
        values = self.body(TransferInput)
        account, _ = self.account_to_change(self.kwargs["account"])
        return {"account": account.name, **values}


class TradingControlViewSet(TradingWrites, GenericViewSet[Account]):
    """Trading that is started and stopped."""

    queryset = Account.objects.all()
    serializer_class = AccountStatusSerializer

    @extend_schema(
        operation_id="trading_start",
        summary="Start trading",
        parameters=[ACCOUNT],
        request=None,
        responses={200: AccountStatusSerializer},
        examples=[OpenApiExample("Running", value=examples.STATUS, response_only=True)],
    )
    def start(self, request: Request) -> Response:
        """Let an account open positions. The answer is its status. May be repeated."""
        account, caller = self.account_to_change(None)

        def start() -> Done:
            trading_start(account=account, by=caller.identity)
            account.refresh_from_db()
            return Done(status_document(account), account.number)

        return self.change(start)

    @extend_schema(
        operation_id="trading_stop",
        summary="Stop trading",
        parameters=[ACCOUNT, _REASON],
        request=None,
        responses={200: StoppedSerializer},
        examples=[OpenApiExample("On its way", value=examples.STOPPED, response_only=True)],
    )
    def stop(self, request: Request) -> Response:
        """Cancel all orders and close all positions: of one account, or without `account` of all that the caller may see.

        It needs no header and no body; a body is ignored. It may be repeated. An account is `stopping` until it is flat.
        """
        values = single_parameters(request.GET, ("account", "reason", "format"))
        accounts = list(accounts_of(self.caller))
        if "account" in values or not accounts:
            accounts = [account_find(caller=self.caller, name=values.get("account"))]
        reason = values.get("reason", "")[:REASON_LENGTH]
        trading_stop_each(accounts=accounts, by=self.caller.identity, reason=reason)
        for account in accounts:
            account.refresh_from_db()
        documents = [status_document(account) for account in accounts]
        top = documents[0] if len(documents) == 1 else {"status": _status_of_all(documents)}
        return Response({**top, "accounts": documents}, headers={"Cache-Control": "no-store"})


def _status_of_all(documents: list[Document]) -> str:
    return STOPPING if any(each["status"] == STOPPING for each in documents) else STOPPED


class RiskWritesViewSet(TradingWrites, GenericViewSet[Account]):
    """What accounts may risk."""

    queryset = Account.objects.all()

    def get_serializer_class(self) -> type[Serializer[Any]]:
        """Return the serializer with the fields of a browser's form."""
        bodies: dict[str, type[Serializer[Any]]] = {
            "override": OverrideInput,
            "configure": RiskConfigInput,
            "bust": ReasonInput,
        }
        return bodies[self.action]

    @extend_schema(
        operation_id="risk_override",
        summary="Override the risk level, or leave a halt",
        parameters=[ACCOUNT],
        request=OverrideInput,
        responses={200: RiskSerializer},
        examples=[
            OpenApiExample("Less for today", value=_OVERRIDE, request_only=True),
            OpenApiExample("As configured", value={"end": True, "reason": "calm again"}, request_only=True),
            OpenApiExample("Leave a halt", value=_RELEASE, request_only=True),
            OpenApiExample("The limits", value=examples.RISK, response_only=True),
        ],
    )
    def override(self, request: Request) -> Response:
        """Set the risk level until an instant, end that, or release a halt. At most the configured maximum."""
        values = self.body(OverrideInput, now_ns=engine_status().now_ns)
        account, caller = self.account_to_change(None)
        noted = {"account": account, "reason": values["reason"], "by": caller.identity}

        def override() -> Done:
            if values.get("release_halt"):
                halt_release(**noted)
            elif values.get("end"):
                override_end(**noted)
            else:
                risk_override(risk_level=values["risk_level"], until_ns=values["until"], **noted)
            account.refresh_from_db()
            return Done(risk_document(account), account.number)

        return self.change(override)

    @extend_schema(
        operation_id="risk_configure",
        summary="Set the limits of an account",
        parameters=[ACCOUNT, _IF_MATCH],
        request=RiskConfigInput,
        responses={200: RiskConfigSerializer},
        examples=[
            OpenApiExample("The usual limits", value=examples.CONFIG["config"], request_only=True),
            OpenApiExample("The limits", value=examples.CONFIG, response_only=True),
        ],
    )
    def configure(self, request: Request) -> Response:
        """Replace all limits of an account. `If-Match` names the version that the caller has read."""
        config: RiskConfig = self.body(RiskConfigInput)["config"]
        account, caller = self.account_to_change(None)
        version = _version_in(request.headers.get("If-Match"))

        def configure() -> Done:
            risk_configure(account=account, config=config, version=version, by=caller.identity)
            account.refresh_from_db()
            return Done(risk_config_document(account), account.number)

        answer = self.change(configure)
        answer.headers["ETag"] = f'"risk-{state_of(account).risk_version}"'
        return answer

    @extend_schema(
        operation_id="execution_bust",
        summary="Bust an execution",
        parameters=[EXECUTION_ID],
        request=ReasonInput,
        responses={200: ExecutionSerializer},
        examples=[
            OpenApiExample("Why", value={"reason": "the exchange cancelled the print"}, request_only=True),
            OpenApiExample("The execution", value=examples.EXECUTION, response_only=True),
        ],
    )
    def bust(self, request: Request, execution: str) -> Response:
        """Undo an execution by reversing its entries. The position and the cash become what they were without it."""
        single_parameters(request.GET, ("format",))
        reason = self.body(ReasonInput)["reason"]
        caller = caller_again(self)
        row = execution_find(caller=caller, execution_id=execution)
        require_signed(row.account, caller)

        def bust() -> Done:
            execution_bust(account=row.account, execution_id=row.uuid, reason=reason, by=caller.identity)
            row.refresh_from_db()
            return Done(execution_documents(row.order, [row])[0], row.account.number)

        return self.change(bust)


def _version_in(if_match: str | None) -> int | None:
    """Return the version in `If-Match`; None for `*`. Raises PreconditionRequired, RiskVersionChanged."""
    if if_match is None:
        raise PreconditionRequired("send the ETag of GET /config in If-Match")
    if if_match.strip() == "*":
        return None
    match = _RISK_TAG.fullmatch(if_match.strip())
    if match is None:
        raise RiskVersionChanged('If-Match is the ETag of GET /config, such as "risk-1"')
    return int(match[1])
