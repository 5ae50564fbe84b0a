"""The endpoints of orders: listed, placed, replaced, cancelled; of positions that are closed, and of trades in two steps."""

from http import HTTPStatus

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from ratelimit.credentials.authentication import caller_again
from trades.instruments.services import requested_symbol, symbol_canonical
from trading.api.account_view import (
    ACCOUNT,
    ACCOUNT_ID,
    ACCOUNT_PAGE,
    ACCOUNT_READ,
    CLOSE,
    ORDER_CHANGE,
    AccountView,
    Done,
    account_answer,
    require_signed,
)
from trading.api.order_inputs import CloseInput, ExecuteInput, OrderInput, ReplacementInput, replacement_of
from trading.api.row_views import ORDER_ID, AccountRowsViewSet, OrderFilter
from trading.core.orders import OrderTerms
from trading.documents.orders import CancelledOrdersDocument, OrderDocument, PreviewDocument
from trading.exceptions import OnceRequired, PreviewStale, UnknownPreview
from trading.journal import state_of
from trading.models import Account, OrderRow
from trading.selectors import order_find
from trading.services.orders import (
    Submitted,
    order_cancel,
    order_in,
    order_repeated,
    order_replace,
    order_submit,
    orders_cancel,
    position_close,
)
from trading.services.previews import preview_document, preview_find, trade_execute, trade_preview
from web.idempotency.answers import IDEMPOTENCY_KEY

_SYMBOL = OpenApiParameter(
    "symbol",
    {"type": "string", "minLength": 1, "maxLength": 32, "examples": ["AAPL"]},
    OpenApiParameter.PATH,
    description="The instrument, by its symbol or an alias.",
)


class OrdersViewSet(AccountRowsViewSet):
    """Orders of an account."""

    verbs = {"create": "submit", "partial_update": "replace", "destroy": "cancel"}
    bodies = {"create": OrderInput, "partial_update": ReplacementInput}
    answers = {
        "list": OrderDocument,
        "create": OrderDocument,
        "cancel_all": {202: CancelledOrdersDocument},
        "retrieve": OrderDocument,
        "partial_update": {201: OrderDocument},
        "destroy": {202: OrderDocument},
    }
    access = {
        "list": ACCOUNT_PAGE,
        "create": ORDER_CHANGE,
        "cancel_all": CLOSE,
        "retrieve": ACCOUNT_READ,
        "partial_update": ORDER_CHANGE,
        "destroy": CLOSE,
    }
    common_parameters = (ACCOUNT, ACCOUNT_ID, ORDER_ID)
    parameters = {"create": [IDEMPOTENCY_KEY], "partial_update": [IDEMPOTENCY_KEY]}
    queryset = OrderRow.objects.all()
    filterset_class = OrderFilter
    rows_name = "orders"

    def list(self, request: Request, account: str | None = None) -> Response:
        """List orders. Orders, newest first, legs of brackets too."""
        found = self.account()
        return self.page(found, found.orders.all(), lambda rows: [_document(row, found) for row in rows])

    def retrieve(self, request: Request, order: str) -> Response:
        """Get an order.

        An order with its states. Without `account` it may be of any account that the caller may see.
        """
        row = self._order()
        return account_answer(_document(row, row.account), row.account.number)

    def create(self, request: Request, account: str | None = None) -> Response:
        """Place an order. Check an order, and accept it. What was printed before its acceptance never fills it.

        An order that may open a position needs an `Idempotency-Key` or a `client_order_id`.
        """
        order: OrderTerms = self.body()["order"]
        found, caller = self.account_to_change()
        operation = f"order_submit:{found.name}"
        if self.keyed_call(operation) is None and order.client_order_id is None and not order.reduce_only:
            raise OnceRequired("send an Idempotency-Key, or give the order a client_order_id")
        return self.change_once(
            operation, lambda: _done(order_submit(account=found, order=order, by=caller.identity), found)
        )

    def partial_update(self, request: Request, order: str) -> Response:
        """Replace an order.

        Accept an order in the place of another one, which ends as `replaced`. The answer is the new order.

        The quantity includes what the replaced order filled. Both orders are checked together.
        """
        changes = self.body()
        caller = caller_again(self)
        row = order_find(caller=caller, name=self.query.get("account"), order_id=order)
        require_signed(row.account, caller)

        def replace() -> Done:
            account, order_id = row.account, row.uuid
            done = order_repeated(account=account, fields=changes, replaces=order_id)
            if done is None:
                terms = replacement_of(order_in(row), changes)
                done = order_replace(
                    account=account, order_id=order_id, order=terms, changes=changes, by=caller.identity
                )
            return _done(done, account)

        return self.change_once(f"order_replace:{row.uuid}", replace)

    def destroy(self, request: Request, order: str) -> Response:
        """Cancel an order.

        Ask for an order's cancel. The engine does it; what was printed before still fills. May be repeated.
        """
        row = self._order()
        done = order_cancel(account=row.account, order_id=row.uuid, by=self.caller.identity)
        document = OrderDocument.of(done.order, account=row.account.name)
        return account_answer(document, done.number, status=HTTPStatus.ACCEPTED)

    @extend_schema(operation_id="orders_cancel")
    def cancel_all(self, request: Request) -> Response:
        """Cancel all orders.

        Ask for the cancel of all orders of an account, protective stops too. May be repeated.
        """
        account = self.account()
        cancelled = orders_cancel(account=account, by=self.caller.identity)
        account.refresh_from_db(fields=["number"])
        document = CancelledOrdersDocument(account.name, cancelled)
        return account_answer(document, account.number, status=HTTPStatus.ACCEPTED)

    def _order(self) -> OrderRow:
        name, order = self.query.get("account"), self.kwargs["order"]
        return order_find(caller=self.caller, name=name, order_id=order)


def _document(row: OrderRow, account: Account) -> OrderDocument:
    return OrderDocument.of(order_in(row), account=account.name)


def _done(submitted: Submitted, account: Account) -> Done:
    document = OrderDocument.of(submitted.order, account=account.name)
    return Done(document, submitted.number, submitted.is_repeated)


class PositionCloseViewSet(AccountView, GenericViewSet[Account]):
    """Positions that are closed."""

    bodies = {"close": CloseInput}
    answers = {"close": {201: OrderDocument}}
    access = {"close": CLOSE}
    common_parameters = (ACCOUNT_ID, _SYMBOL)
    asks_first = ("close",)

    def close(self, request: Request, account: str, symbol: str) -> Response:
        """Close a position.

        Accept a market order that closes a position, whatever the account's state. It only reduces.

        The body may be left out.
        """
        values = self.body(is_optional=True)
        owned = self.account()
        done = position_close(
            account=owned,
            symbol=symbol_canonical(requested_symbol(symbol)),
            strategy=values.get("strategy") or "",
            by=self.caller.identity,
        )
        document = OrderDocument.of(done.order, account=owned.name)
        return account_answer(document, done.number, status=HTTPStatus.CREATED)


class TradesViewSet(AccountView, GenericViewSet[Account]):
    """Trades in two steps."""

    bodies = {"preview": OrderInput, "execute": ExecuteInput}
    answers = {"preview": PreviewDocument, "execute": {201: OrderDocument}}
    access = {"preview": ORDER_CHANGE, "execute": ORDER_CHANGE}
    common_parameters = ()
    parameters = {"preview": [ACCOUNT], "execute": [ACCOUNT, IDEMPOTENCY_KEY]}

    def preview(self, request: Request) -> Response:
        """Preview a trade.

        Say what an order would do: its cost, each check with its number, and whether it would be accepted.

        `preview_id` holds for 30 seconds, for the caller that asked.
        """
        order: OrderTerms = self.body()["order"]
        account = self.account()

        previewed = trade_preview(account=account, order=order, owner=self.caller.identity)
        document = preview_document(previewed, state_of(account).currency)
        return self.change(lambda: Done(document, previewed.number))

    def execute(self, request: Request) -> Response:
        """Execute a preview. Place the order of a preview, once.

        If the market, the account or its limits have changed since, or a check fails now: 409 with a new preview.
        """
        token = self.body()["preview_id"]
        caller = caller_again(self)
        preview, account = preview_find(token=token, caller=caller)
        if "account" in self.query and self.account(caller) != account:
            raise UnknownPreview("the account has no such preview")
        require_signed(account, caller)
        try:
            return self.change_once(
                f"trade_execute:{account.name}",
                lambda: _done(trade_execute(account=account, preview=preview, by=caller.identity), account),
            )
        except PreviewStale as stale:
            account.refresh_from_db()
            anew = trade_preview(account=account, order=preview.order, owner=caller.identity)
            document = preview_document(anew, state_of(account).currency)
            raise PreviewStale(str(stale), preview=document.as_json()) from None
