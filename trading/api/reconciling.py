"""The endpoints that compare an account with a broker's statement, and correct it by adjusting entries."""

import re
from dataclasses import replace
from decimal import Decimal
from http import HTTPStatus
from typing import Any

from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer
from rest_framework.viewsets import GenericViewSet

from jobs.views import IDEMPOTENCY_KEY
from trades.formats import CSV, JSON
from trades.ingest import UNKNOWN_CHOICES
from trading.api import examples
from trading.api.access import ACCOUNT_READ, RISK_CHANGE
from trading.api.read_views import ACCOUNT_ID, account_answer, account_named
from trading.api.serializers import ReconciledAccountSerializer, TransactionSerializer
from trading.api.statements import AdjustmentInput, StatementInput, read_statement
from trading.api.write_calls import Done, TradingWrites
from trading.core.statement import Tolerances
from trading.documents import transaction_document
from trading.models import Account, TransactionRow
from trading.reading.reconciling import reconciliation_document
from trading.services.adjusting import cash_adjust, position_adjust
from web.endpoints import WRITE
from web.requests.exceptions import InvalidParameter
from web.requests.parameters import choice, single_parameters
from web.requests.parsers import CSVBytesParser, JSONBytesParser, media_type_of, take_body

_NUMBER = re.compile(r"[0-9]{1,12}(\.[0-9]{1,6})?")
_DEFAULT = Tolerances()


def _tolerance(name: str, default: Decimal, text: str) -> OpenApiParameter:
    schema = {"type": "number", "minimum": 0, "default": float(default)}
    return OpenApiParameter(name, schema, OpenApiParameter.QUERY, description=text)


_PARAMETERS = [
    ACCOUNT_ID,
    _tolerance("price_tolerance", _DEFAULT.price, "Per cent by which an average price may differ."),
    _tolerance(
        "cash_tolerance",
        _DEFAULT.cash,
        "Money by which the cash may differ, and the cost of a position by its price.",
    ),
    OpenApiParameter(
        "unknown",
        enum=UNKNOWN_CHOICES,
        default=UNKNOWN_CHOICES[0],
        description="`ignore` skips a broker's other columns.",
    ),
]
_CSV_BODY = {"type": "string", "description": "Header line of symbol, quantity, price, in any order"}
_CASH = {"cash": -12.5, "reason": "the broker's fee for data"}
_SHARES = {
    "symbol": "AAPL",
    "quantity": 10,
    "price": 190.1,
    "strategy": "momentum",
    "reason": "bought by telephone",
    "event": 12,
}


class ReconcileViewSet(GenericViewSet[Account]):
    """Accounts that are compared with statements."""

    access = {"reconcile": replace(ACCOUNT_READ, kind=WRITE, cost="stream")}
    queryset = Account.objects.all()
    serializer_class = StatementInput
    parser_classes = [JSONBytesParser, CSVBytesParser]

    @extend_schema(
        operation_id="account_reconcile",
        summary="Compare an account with a statement",
        parameters=_PARAMETERS,
        request={JSON: StatementInput, CSV: _CSV_BODY},
        responses={200: ReconciledAccountSerializer},
        examples=[
            OpenApiExample("A statement", value=examples.STATEMENT, request_only=True, media_type=JSON),
            OpenApiExample("What differs", value=examples.RECONCILED, response_only=True),
        ],
    )
    def reconcile(self, request: Request, account: str) -> Response:
        """Name the breaks between an account and a broker's statement. Nothing is changed.

        The statement names all positions. `orders` and `executions` are the open orders and the last day's fills in
        symbols with a break, which are its usual cause.
        """
        media_type, body = media_type_of(request.content_type), take_body(request)
        values = single_parameters(request.GET, ("price_tolerance", "cash_tolerance", "unknown", "format"))
        ignore_unknown = choice(values, "unknown", UNKNOWN_CHOICES, UNKNOWN_CHOICES[0]) == "ignore"
        tolerances = Tolerances(
            price=_decimal(values, "price_tolerance", _DEFAULT.price),
            cash=_decimal(values, "cash_tolerance", _DEFAULT.cash),
        )
        found = account_named(request, account)
        statement = read_statement(body, media_type, ignore_unknown=ignore_unknown)
        return account_answer(found, reconciliation_document(found, statement, tolerances))


def _decimal(values: dict[str, str], name: str, default: Decimal) -> Decimal:
    text = values.get(name, str(default))
    if not _NUMBER.fullmatch(text):
        raise InvalidParameter("invalid_number", f"{name} must be a number of at least 0, such as {default}")
    return Decimal(text)


class AdjustmentsViewSet(TradingWrites, GenericViewSet[Account]):
    """Positions and cash that a person corrects."""

    access = {"create": RISK_CHANGE}
    queryset = Account.objects.all()

    def get_serializer_class(self) -> type[Serializer[Any]]:
        """Return the serializer with the fields of a browser's form."""
        return AdjustmentInput

    @extend_schema(
        operation_id="account_adjust",
        summary="Book an adjusting entry",
        parameters=[ACCOUNT_ID, IDEMPOTENCY_KEY],
        request=AdjustmentInput,
        responses={201: TransactionSerializer},
        examples=[
            OpenApiExample("Of the cash", value=_CASH, request_only=True),
            OpenApiExample("Of a position", value=_SHARES, request_only=True),
            OpenApiExample("The entry", value=examples.ADJUSTED, response_only=True, status_codes=["201"]),
        ],
    )
    def create(self, request: Request, account: str) -> Response:
        """Correct a position without cash, or the cash. The ledger's account `adjustment` is the other side.

        While an order of the symbol is open: 409 `adjustment_refused`. Send an `Idempotency-Key`: a second call
        without one is a second entry, unless `event` says what was compared.
        """
        values = self.body(AdjustmentInput)
        owned, caller = self.account_to_change(account)
        noted = {
            "account": owned,
            "reason": values["reason"],
            "by": caller.identity,
            "seen": values.get("event"),
        }

        def adjust() -> Done:
            if "cash" in values:
                number = cash_adjust(amount=values["cash"], **noted)
            else:
                number = position_adjust(
                    symbol=values["symbol"],
                    strategy=values.get("strategy") or "",
                    change=values["quantity"],
                    price=values["price"],
                    **noted,
                )
            row = TransactionRow.objects.get(account=owned, number=number)
            return Done(transaction_document(row), number)

        return self.change_once(f"account_adjust:{owned.name}", adjust, status=HTTPStatus.CREATED)
