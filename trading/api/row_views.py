"""The endpoints that list rows of an account: executions, transactions, trades and signals."""

from collections.abc import Callable
from typing import Any

import msgspec
from django.db.models import QuerySet
from rest_framework.request import Request
from rest_framework.response import Response

from trading.api.access import ACCOUNT_PAGE
from trading.api.account_view import ACCOUNT, AccountView, account_answer
from trading.api.read_filters import (
    DEFAULT_LIMIT,
    ExecutionFilter,
    SignalFilter,
    TradeFilter,
    TransactionFilter,
)
from trading.core.positions import ClosedTrade
from trading.documents.fields import EXAMPLE_ORDER
from trading.documents.ledger import (
    ClosedTradeDocument,
    ExecutionDocument,
    TransactionDocument,
)
from trading.documents.orders import SignalDocument
from trading.models import Account, ExecutionRow, OrderRow, TradeRow, TransactionRow
from trading.reading.selectors import execution_documents, order_find
from trading.services.orders import order_in
from web.lists.pages import KeysetPagination
from web.lists.views import ListViewSet
from web.views import id_parameter

ORDER_ID = id_parameter("order", EXAMPLE_ORDER)


class AccountRowsPagination(KeysetPagination):
    """Pages of an account's rows, in the order in which they were made."""

    by = "pk"
    sort_description = "By the order in which they were made; `desc`: newest first."
    default_limit = DEFAULT_LIMIT
    default_sort = "desc"
    # More are not counted, because accounts have hundreds of thousands of orders.
    counted = 10_000


class AccountRowsViewSet(AccountView, ListViewSet[Any]):
    """The base of lists of the rows of an account."""

    access = {"list": ACCOUNT_PAGE}
    pagination_class = AccountRowsPagination

    def page(
        self, account: Account, rows: QuerySet[Any], documents: Callable[[list[Any]], list[Any]]
    ) -> Response:
        """Return a page of the account's rows."""
        found = self.paginate_queryset(self.filter_queryset(rows)) or []
        return account_answer(self.envelope(documents(list(found))), account.number)


class AccountExecutionsViewSet(AccountRowsViewSet):
    """Executions of an account."""

    answers = {"list": ExecutionDocument}
    queryset = ExecutionRow.objects.all()
    filterset_class = ExecutionFilter
    rows_name = "executions"

    def list(self, request: Request) -> Response:
        """List executions.

        What filled the orders of an account, newest first, each with the stored row that it was filled by.
        """
        account = self.account()
        rows = account.executions.select_related("order")
        return self.page(account, rows, lambda rows: execution_documents(rows, account=account))


class ExecutionsViewSet(AccountRowsViewSet):
    """Executions of an order."""

    common_parameters = (ACCOUNT, ORDER_ID)
    answers = {"list": ExecutionDocument}
    queryset = ExecutionRow.objects.all()
    rows_name = "executions"

    def list(self, request: Request, order: str) -> Response:
        """List an order's executions.

        What filled an order, newest first, each with the stored row that it was filled by.
        """
        row = order_find(caller=self.caller, name=self.query.get("account"), order_id=order)
        rows = row.executions.all()
        return self.page(row.account, rows, lambda rows: execution_documents(rows, account=row.account))


class TransactionsViewSet(AccountRowsViewSet):
    """Transactions of an account."""

    answers = {"list": TransactionDocument}
    queryset = TransactionRow.objects.all()
    filterset_class = TransactionFilter
    rows_name = "transactions"

    def list(self, request: Request, account: str | None = None) -> Response:
        """List transactions.

        What changed the ledger, newest first: fills, transfers, dividends, settlements, fees of borrowing.
        """
        found = self.account()
        rows = found.transactions.all()
        return self.page(found, rows, lambda rows: list(map(TransactionDocument.of, rows)))


class ClosedTradePagination(AccountRowsPagination):
    """Pages of closed trades, which may be found by `offset`, too."""

    takes_offset = True


class ClosedTradesViewSet(AccountRowsViewSet):
    """Trades from flat to flat."""

    answers = {"list": ClosedTradeDocument}
    queryset = TradeRow.objects.all()
    filterset_class = TradeFilter
    pagination_class = ClosedTradePagination
    rows_name = "trades"

    def list(self, request: Request) -> Response:
        """List closed trades. Trades that ended, newest first. A page is found by `cursor` or by `offset`."""
        account = self.account()
        return self.page(account, account.trades.all(), lambda rows: list(map(_trade, rows)))


def _trade(row: TradeRow) -> ClosedTradeDocument:
    return ClosedTradeDocument.of(msgspec.json.decode(row.document, type=ClosedTrade))


class SignalsViewSet(AccountRowsViewSet):
    """Orders by which strategies open positions."""

    answers = {"list": SignalDocument}
    queryset = OrderRow.objects.all()
    filterset_class = SignalFilter
    rows_name = "signals"

    def list(self, request: Request) -> Response:
        """List signals.

        Orders that name a strategy and do not only reduce a position, newest first; also those that risk refused.
        """
        account = self.account()
        rows = account.orders.filter(is_signal=True)
        return self.page(account, rows, lambda rows: [SignalDocument.of(order_in(row)) for row in rows])
