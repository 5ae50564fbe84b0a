"""The endpoints that start and stop trading, and set what an account may risk."""

from dataclasses import replace

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from trading.api.access import CLOSE, ORDER_CHANGE, RISK_CHANGE
from trading.api.account_inputs import REASON_LENGTH, OverrideInput, RiskConfigInput
from trading.api.account_view import AccountView
from trading.core.account import STOPPED, STOPPING
from trading.core.configuration import RiskConfig
from trading.documents.accounts import (
    AccountStatusDocument,
    RiskConfigDocument,
    RiskDocument,
    StoppedDocument,
)
from trading.journal import state_of
from trading.lease import engine_status
from trading.models import Account
from trading.reading.selectors import risk_document
from trading.reading.status import status_document
from trading.services.accounts import accounts_of
from trading.services.control import (
    halt_release,
    override_end,
    risk_configure,
    risk_override,
    risk_tag,
    trading_start,
    trading_stop_each,
)

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
