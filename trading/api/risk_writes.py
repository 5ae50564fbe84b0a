"""The endpoints that start and stop trading, and set what an account may risk."""

import re
from dataclasses import replace

from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from trading.api.access import CLOSE, ORDER_CHANGE, RISK_CHANGE
from trading.api.account_inputs import (
    REASON_LENGTH,
    OverrideInput,
    RiskConfigInput,
)
from trading.api.read_views import ACCOUNT
from trading.api.write_calls import Done, TradingWrites
from trading.core.account import STOPPED, STOPPING
from trading.core.configuration import RiskConfig
from trading.documents.accounts import (
    AccountStatusDocument,
    RiskConfigDocument,
    RiskDocument,
    StoppedDocument,
    limits_document,
)
from trading.exceptions import PreconditionRequired, RiskVersionChanged
from trading.journal import state_of
from trading.lease import engine_status
from trading.models import Account
from trading.reading.selectors import (
    risk_document,
)
from trading.reading.status import status_document
from trading.services.accounts import account_find, accounts_of
from trading.services.control import (
    halt_release,
    override_end,
    risk_configure,
    risk_override,
    trading_start,
    trading_stop_each,
)
from web.requests.conditional import without_proxy_suffix
from web.requests.parameters import single_parameters

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


class TradingControlViewSet(TradingWrites, GenericViewSet[Account]):
    """Trading that is started and stopped."""

    access = {"start": ORDER_CHANGE, "stop": replace(CLOSE, or_scope="risk:write")}
    queryset = Account.objects.all()

    @extend_schema(
        operation_id="trading_start",
        summary="Start trading",
        parameters=[ACCOUNT],
        responses={200: AccountStatusDocument},
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
        responses={200: StoppedDocument},
    )
    def stop(self, request: Request) -> Response:
        """Cancel all orders and close all positions: of one account, or of all that the caller may see.

        It needs no header and no body; a body is ignored. It may be repeated. An account is `stopping` until it is
        flat.
        """
        values = single_parameters(request.GET, ("account", "reason", "format"))
        accounts = list(accounts_of(self.caller))
        if "account" in values or not accounts:
            accounts = [account_find(caller=self.caller, name=values.get("account"))]
        reason = values.get("reason", "")[:REASON_LENGTH]
        trading_stop_each(accounts=accounts, by=self.caller.identity, reason=reason)
        for account in accounts:
            account.refresh_from_db()
        documents = [status_document(account).as_json() for account in accounts]
        is_stopping = any(each["status"] == STOPPING for each in documents)
        top = documents[0] if len(documents) == 1 else {"status": STOPPING if is_stopping else STOPPED}
        return Response({**top, "accounts": documents}, headers={"Cache-Control": "no-store"})


class RiskWritesViewSet(TradingWrites, GenericViewSet[Account]):
    """What accounts may risk."""

    bodies = {"override": OverrideInput, "configure": RiskConfigInput}
    access = {"override": RISK_CHANGE, "configure": RISK_CHANGE}
    queryset = Account.objects.all()

    def get_object(self) -> Account:
        """Return the account of a call. OPTIONS asks for it."""
        return self.account_named(None, self.caller)

    @extend_schema(
        operation_id="risk_override",
        summary="Override the risk level, or leave a halt",
        parameters=[ACCOUNT],
        responses={200: RiskDocument},
        examples=[
            OpenApiExample("Less for today", value=_OVERRIDE, request_only=True),
            OpenApiExample("As configured", value={"end": True, "reason": "calm again"}, request_only=True),
            OpenApiExample("Leave a halt", value=_RELEASE, request_only=True),
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
        responses={200: RiskConfigDocument},
        examples=[
            OpenApiExample(
                "The usual limits", value=limits_document(RiskConfig()).as_json(), request_only=True
            ),
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
            return Done(RiskConfigDocument.of(account, state_of(account)), account.number)

        answer = self.change(configure)
        answer.headers["ETag"] = f'"risk-{state_of(account).risk_version}"'
        return answer


def _version_in(if_match: str | None) -> int | None:
    """Return the version in `If-Match`; None for `*`. Raises PreconditionRequired, RiskVersionChanged."""
    if if_match is None:
        raise PreconditionRequired("send the ETag of GET /config in If-Match")
    if if_match.strip() == "*":
        return None
    match = _RISK_TAG.fullmatch(without_proxy_suffix(if_match.strip()))
    if match is None:
        raise RiskVersionChanged('If-Match is the ETag of GET /config, such as "risk-1"')
    return int(match[1])
