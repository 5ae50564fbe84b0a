"""The endpoints that list rows of an account: executions, transactions, trades and signals."""

from collections.abc import Callable
from typing import Any

import django_filters
import msgspec
from django import forms
from django.db.models import QuerySet
from django_filters.rest_framework import FilterSet
from rest_framework.request import Request
from rest_framework.response import Response

from store.timestamps import InvalidTimestamp, parse_timestamp_or_epoch
from trades.instruments.services import requested_symbol, symbol_canonical
from trading.api.account_view import ACCOUNT, ACCOUNT_PAGE, AccountView, account_answer
from trading.core.orders import OrderState
from trading.core.positions import ClosedTrade
from trading.documents.ledger import (
    ClosedTradeDocument,
    ExecutionDocument,
    TransactionDocument,
)
from trading.documents.orders import EXAMPLE_ORDER, SignalDocument
from trading.models import Account, ExecutionRow, OrderRow, TradeRow, TransactionRow
from trading.selectors import execution_documents, order_find
from trading.services.orders import order_in
from web.lists.filters import choice_filter
from web.lists.pages import KeysetPagination
from web.lists.views import ListViewSet
from web.requests.exceptions import InvalidParameter
from web.views import id_parameter

# The word for all states that another one may follow.
_OPEN = "open"
DEFAULT_LIMIT = 50
_DIRECTIONS = {"LONG": "buy", "SHORT": "sell"}

Rows = QuerySet[Any]


class _TimeFormField(forms.CharField):
    """A time as nanoseconds UTC."""

    def clean(self, value: Any) -> int | None:
        text = super().clean(value)
        try:
            return parse_timestamp_or_epoch(text) if text else None
        except InvalidTimestamp as error:
            raise forms.ValidationError(str(error), code=error.code) from error


class _TimeFilter(django_filters.CharFilter):  # type: ignore[misc]  # not typed
    field_class = _TimeFormField


def _strategy() -> django_filters.CharFilter:
    return django_filters.CharFilter(max_length=64, help_text="The strategy's name.")


class _RowsFilter(FilterSet):  # type: ignore[misc]  # not typed
    """The filter that all lists have."""

    symbol = django_filters.CharFilter(method="of_symbol", help_text="The symbol, or an alias of it.")

    def of_symbol(self, rows: Rows, _: str, symbol: str) -> Rows:
        """Return the rows of a symbol. Raises InvalidValue."""
        return rows.filter(symbol=symbol_canonical(requested_symbol(symbol)))


class OrderFilter(_RowsFilter):
    """The filters of orders, combined with AND."""

    status = choice_filter(
        (_OPEN, *(state.value for state in OrderState)),
        "The order's state; `open`: any that can still change.",
        method="of_status",
    )
    strategy = _strategy()

    def of_status(self, rows: Rows, _: str, status: str) -> Rows:
        """Return the orders in a state."""
        return rows.filter(is_open=True) if status == _OPEN else rows.filter(state=status)


class SignalFilter(_RowsFilter):
    """The filters of signals, combined with AND."""

    strategy = _strategy()
    direction = choice_filter(list(_DIRECTIONS), "The position that it opens.", method="of_direction")

    def of_direction(self, rows: Rows, _: str, direction: str) -> Rows:
        """Return the orders that buy or sell."""
        return rows.filter(side=_DIRECTIONS[direction])


class ExecutionFilter(_RowsFilter):
    """The filter of executions."""


class TransactionFilter(_RowsFilter):
    """The filters of transactions, combined with AND."""

    kind = django_filters.CharFilter(max_length=40, help_text="The event's name, such as transferred.")


class TradeFilter(_RowsFilter):
    """The filters of closed trades, combined with AND."""

    from_time = _TimeFilter(
        field_name="closed_ns", lookup_expr="gte", label="From", help_text="Closed at this time or later."
    )
    to_time = _TimeFilter(
        field_name="closed_ns", lookup_expr="lt", label="To", help_text="Closed before this time."
    )
    strategy = _strategy()
    direction = choice_filter(list(_DIRECTIONS), "Of the position.")

    @classmethod
    def get_filters(cls) -> dict[str, Any]:
        """Return the filters by parameter name. `from` is a keyword in Python, so the attributes have other names."""
        return {name.removesuffix("_time"): each for name, each in super().get_filters().items()}

    def filter_queryset(self, queryset: Rows) -> Rows:
        """Return the matching trades. Raises InvalidParameter if `from` is not before `to`."""
        first, end = (self.form.cleaned_data.get(name) for name in ("from", "to"))
        if first is not None and end is not None and first >= end:
            raise InvalidParameter("invalid_range", "from must be before to")
        found: Rows = super().filter_queryset(queryset)
        return found


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
