"""The endpoints that list rows of an account: orders, executions, transactions, trades and signals."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import msgspec
from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from ratelimit.callers import Caller
from trading.api.access import ACCOUNT_PAGE, ACCOUNT_READ
from trading.api.read_filters import (
    DEFAULT_LIMIT,
    ExecutionFilter,
    OrderFilter,
    SignalFilter,
    TradeFilter,
    TransactionFilter,
)
from trading.api.read_views import (
    ACCOUNT,
    ACCOUNT_ID,
    account_answer,
    account_named,
)
from trading.core.positions import ClosedTrade
from trading.documents.fields import EXAMPLE_EXECUTION, EXAMPLE_ORDER
from trading.documents.ledger import (
    ClosedTradeDocument,
    ExecutionDocument,
    ExplanationDocument,
    TransactionDocument,
)
from trading.documents.orders import OrderDocument, SignalDocument
from trading.models import Account, ExecutionRow, OrderRow, TradeRow, TransactionRow
from trading.reading.explain import execution_explain
from trading.reading.selectors import (
    execution_documents,
    execution_find,
    order_find,
)
from trading.services.orders import order_in
from web.lists.pages import PAGE_PARAMETERS, KeysetPagination
from web.lists.views import ListViewSet, parameters_form
from web.requests.parameters import single_parameters

ORDER_ID = OpenApiParameter(
    "order",
    {"type": "string", "format": "uuid", "examples": [EXAMPLE_ORDER]},
    OpenApiParameter.PATH,
    description="The order's id.",
)
EXECUTION_ID = OpenApiParameter(
    "execution",
    {"type": "string", "format": "uuid", "examples": [EXAMPLE_EXECUTION]},
    OpenApiParameter.PATH,
    description="The execution's id.",
)
_COUNTED = 10_000


class AccountRowsPagination(KeysetPagination):
    """Pages of an account's rows, in the order in which they were made."""

    by = "pk"
    sort_description = "By the order in which they were made; `desc`: newest first."
    default_limit = DEFAULT_LIMIT
    default_sort = "desc"
    # More are not counted, because accounts have hundreds of thousands of orders.
    counted = _COUNTED


class AccountRowsViewSet(ListViewSet[Any]):
    """The base of lists of the rows of an account, which the path names, or the parameter `account`."""

    access = {"list": ACCOUNT_PAGE}
    by_account = {"description": ACCOUNT_ID.description, "schema": ACCOUNT_ID.type}
    pagination_class = AccountRowsPagination

    @property
    def further_parameters(self) -> tuple[str, ...]:  # type: ignore[override]  # as the path says
        """`account`, if the path does not name it."""
        return () if "account" in getattr(self, "kwargs", {}) else ("account",)

    def page(
        self,
        rows: Callable[[Account], QuerySet[Any]],
        documents: Callable[[Account, list[Any]], list[Any]],
    ) -> Response:
        """Return a page of the account's rows."""
        account = account_named(
            self.request, self.kwargs.get("account") or self.list_parameters().get("account")
        )
        found = self.paginate_queryset(self.filter_queryset(rows(account))) or []
        return account_answer(account, self.envelope(documents(account, list(found))))


class OrdersViewSet(AccountRowsViewSet):
    """Orders of an account."""

    access = {"list": ACCOUNT_PAGE, "retrieve": ACCOUNT_READ}
    queryset = OrderRow.objects.all()
    filterset_class = OrderFilter
    rows_name = "orders"
    query_serializer = parameters_form

    @extend_schema(
        operation_id="orders", summary="List orders", parameters=[ACCOUNT], responses={200: OrderDocument}
    )
    def list(self, request: Request, account: str | None = None) -> Response:
        """Orders, newest first, legs of brackets too."""
        return self.page(lambda account: account.orders.all(), _orders)

    @extend_schema(
        operation_id="order",
        summary="Get an order",
        parameters=[ORDER_ID, ACCOUNT],
        responses={200: OrderDocument},
    )
    def retrieve(self, request: Request, order: str) -> Response:
        """An order with its states. Without `account` it may be of any account that the caller may see."""
        row = order_named(request, order)
        return account_answer(row.account, OrderDocument.of(order_in(row), account=row.account.name))


def _orders(account: Account, rows: list[OrderRow]) -> list[OrderDocument]:
    return [OrderDocument.of(order_in(row), account=account.name) for row in rows]


def _trade(row: TradeRow) -> ClosedTradeDocument:
    return ClosedTradeDocument.of(msgspec.json.decode(row.document, type=ClosedTrade))


def order_named(request: Request, order: str, *further: str) -> OrderRow:
    """Return the order of a path, of the account of the query.

    further: names of other parameters. Raises UnknownOrder, NoSuchAccount.
    """
    values = single_parameters(request.GET, ("account", "format", *further))
    return order_find(caller=cast("Caller", request.user), name=values.get("account"), order_id=order)


class AccountExecutionsViewSet(AccountRowsViewSet):
    """Executions of an account."""

    queryset = ExecutionRow.objects.all()
    filterset_class = ExecutionFilter
    rows_name = "executions"

    @extend_schema(
        operation_id="executions",
        summary="List executions",
        parameters=[ACCOUNT],
        responses={200: ExecutionDocument},
    )
    def list(self, request: Request) -> Response:
        """What filled the orders of an account, newest first, each with the stored row that it was filled by."""
        return self.page(
            lambda account: account.executions.select_related("order"),
            lambda account, rows: execution_documents(rows, account=account),
        )


class ExecutionsViewSet(ListViewSet[ExecutionRow]):
    """Executions of an order."""

    access = {"list": ACCOUNT_PAGE}
    queryset = ExecutionRow.objects.all()
    rows_name = "executions"
    pagination_class = AccountRowsPagination
    further_parameters = ("account",)

    @extend_schema(
        operation_id="order_executions",
        summary="List an order's executions",
        parameters=[ORDER_ID, ACCOUNT],
        responses={200: ExecutionDocument},
    )
    def list(self, request: Request, order: str) -> Response:
        """What filled an order, newest first, each with the stored row that it was filled by."""
        row = order_named(request, order, *PAGE_PARAMETERS)
        found = list(self.paginate_queryset(row.executions.all()) or [])
        return account_answer(row.account, self.envelope(execution_documents(found, account=row.account)))


class ExecutionExplanationViewSet(ViewSet):
    """Why an execution is as it is."""

    access = {"explain": replace(ACCOUNT_READ, cost="stream")}

    @extend_schema(
        operation_id="execution_explain",
        summary="Explain an execution",
        parameters=[EXECUTION_ID],
        responses={200: ExplanationDocument},
    )
    def explain(self, request: Request, execution: str) -> Response:
        """All that an execution was decided by: its order, the print, each check, the limits. Amounts are texts.

        Later commits and events do not change the answer.
        """
        single_parameters(request.GET, ("format",))
        row = execution_find(caller=cast("Caller", request.user), execution_id=execution)
        return account_answer(row.account, execution_explain(row))


class TransactionsViewSet(AccountRowsViewSet):
    """Transactions of an account."""

    queryset = TransactionRow.objects.all()
    filterset_class = TransactionFilter
    rows_name = "transactions"

    @extend_schema(
        operation_id="transactions",
        summary="List transactions",
        parameters=[ACCOUNT],
        responses={200: TransactionDocument},
    )
    def list(self, request: Request, account: str | None = None) -> Response:
        """What changed the ledger, newest first: fills, transfers, dividends, settlements, fees of borrowing."""
        return self.page(
            lambda account: account.transactions.all(),
            lambda _, rows: list(map(TransactionDocument.of, rows)),
        )


class ClosedTradePagination(AccountRowsPagination):
    """Pages of closed trades, which may be found by `offset`, too."""

    takes_offset = True


class ClosedTradesViewSet(AccountRowsViewSet):
    """Trades from flat to flat."""

    queryset = TradeRow.objects.all()
    filterset_class = TradeFilter
    pagination_class = ClosedTradePagination
    rows_name = "trades"

    @extend_schema(
        operation_id="closed_trades",
        summary="List closed trades",
        parameters=[ACCOUNT],
        responses={200: ClosedTradeDocument},
    )
    def list(self, request: Request) -> Response:
        """Trades that ended, newest first. A page is found by `cursor` or by `offset`."""
        return self.page(lambda account: account.trades.all(), lambda _, rows: list(map(_trade, rows)))


class SignalsViewSet(AccountRowsViewSet):
    """Orders by which strategies open positions."""

    queryset = OrderRow.objects.all()
    filterset_class = SignalFilter
    rows_name = "signals"

    @extend_schema(
        operation_id="signals",
        summary="List signals",
        parameters=[ACCOUNT],
        responses={200: SignalDocument},
    )
    def list(self, request: Request) -> Response:
        """Orders that name a strategy and do not only reduce a position, newest first; also those that risk refused."""
        return self.page(
            lambda account: account.orders.filter(is_signal=True),
            lambda _, rows: [SignalDocument.of(order_in(row)) for row in rows],
        )
