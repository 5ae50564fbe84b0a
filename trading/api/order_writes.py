"""The endpoints that place, replace and cancel orders, close positions, and preview and execute trades."""

from http import HTTPStatus

from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from jobs.views import IDEMPOTENCY_KEY
from ratelimit.credentials.authentication import caller_again
from trades.instruments.services import requested_symbol, symbol_canonical
from trading.api.access import CLOSE, ORDER_CHANGE
from trading.api.order_inputs import CloseInput, ExecuteInput, OrderInput, ReplacementInput, replacement_of
from trading.api.read_views import ACCOUNT, ACCOUNT_ID
from trading.api.row_views import ORDER_ID, OrdersViewSet
from trading.api.write_calls import Done, TradingWrites, require_signed, trading_answer
from trading.core.orders import OrderTerms
from trading.documents.orders import CancelledOrdersDocument, OrderDocument, PreviewDocument
from trading.exceptions import OnceRequired, PreviewStale
from trading.models import Account
from trading.reading.selectors import order_find
from trading.services.orders import (
    Submitted,
    order_cancel,
    order_in,
    order_replace,
    order_replaced,
    order_submit,
    orders_cancel,
    position_close,
)
from trading.services.previews import (
    preview_document,
    preview_find,
    previewed_order,
    trade_execute,
    trade_preview,
)
from web.requests.parameters import single_parameters

_SYMBOL = OpenApiParameter(
    "symbol",
    {"type": "string", "minLength": 1, "maxLength": 32, "examples": ["AAPL"]},
    OpenApiParameter.PATH,
    description="The instrument, by its symbol or an alias.",
)
_LIMIT = {"symbol": "AAPL", "side": "buy", "quantity": 10, "type": "limit", "limit_price": 189.5}
_BRACKET = {
    **_LIMIT,
    "time_in_force": "gtc",
    "take_profit": 195.0,
    "stop_loss": 187.0,
    "strategy": "momentum",
    "client_order_id": "m-17",
}
_NEW_ORDERS = [
    OpenApiExample("A limit order", value=_LIMIT, request_only=True),
    OpenApiExample("A bracket", value=_BRACKET, request_only=True),
]


class OrderWritesViewSet(TradingWrites, OrdersViewSet):
    """Orders: listed, placed, replaced, cancelled."""

    bodies = {"create": OrderInput, "partial_update": ReplacementInput}
    access = {
        **OrdersViewSet.access,
        "create": ORDER_CHANGE,
        "cancel_all": CLOSE,
        "partial_update": ORDER_CHANGE,
        "destroy": CLOSE,
    }

    @extend_schema(
        operation_id="order_submit",
        summary="Place an order",
        parameters=[ACCOUNT, IDEMPOTENCY_KEY],
        responses={201: OrderDocument},
        examples=_NEW_ORDERS,
    )
    def create(self, request: Request, account: str | None = None) -> Response:
        """Check an order, and accept it. What was printed before its acceptance never fills it.

        An order that may open a position needs an `Idempotency-Key` or a `client_order_id`.
        """
        order: OrderTerms = self.body(OrderInput)["order"]
        found, caller = self.account_to_change(account)
        deed = f"order_submit:{found.name}"
        if self.keyed_call(deed) is None and order.client_order_id is None and not order.reduce_only:
            raise OnceRequired("send an Idempotency-Key, or give the order a client_order_id")
        return self.change_once(
            deed,
            lambda: _done(order_submit(account=found, order=order, by=caller.identity), found),
            status=HTTPStatus.CREATED,
        )

    @extend_schema(
        operation_id="order_replace",
        summary="Replace an order",
        parameters=[ORDER_ID, ACCOUNT, IDEMPOTENCY_KEY],
        responses={201: OrderDocument},
        examples=[
            OpenApiExample("Another limit", value={"limit_price": 189.75}, request_only=True),
        ],
    )
    def partial_update(self, request: Request, order: str) -> Response:
        """Accept an order in the place of another one, which ends as `replaced`. The answer is the new order.

        The quantity includes what the replaced order filled. Both orders are checked together.
        """
        changes = self.body(ReplacementInput)
        caller = caller_again(self)
        row = order_find(caller=caller, name=self.account_parameter(), order_id=order)
        require_signed(row.account, caller)

        def replace() -> Done:
            account, order_id = row.account, row.uuid
            done = order_replaced(account=account, order_id=order_id, changes=changes)
            if done is None:
                terms = replacement_of(order_in(row).terms, changes)
                done = order_replace(
                    account=account, order_id=order_id, order=terms, changes=changes, by=caller.identity
                )
            return _done(done, account)

        return self.change_once(f"order_replace:{row.uuid}", replace, status=HTTPStatus.CREATED)

    @extend_schema(
        operation_id="order_cancel",
        summary="Cancel an order",
        parameters=[ORDER_ID, ACCOUNT],
        responses={202: OrderDocument},
    )
    def destroy(self, request: Request, order: str) -> Response:
        """Ask for an order's cancel. The engine does it; what was printed before still fills. May be repeated."""
        row = order_find(caller=self.caller, name=self.account_parameter(), order_id=order)
        done = order_cancel(account=row.account, order_id=row.uuid, by=self.caller.identity)
        document = OrderDocument.of(done.order, account=row.account.name)
        return trading_answer(document, event=done.number, status=HTTPStatus.ACCEPTED)

    @extend_schema(
        operation_id="orders_cancel",
        summary="Cancel all orders",
        parameters=[ACCOUNT],
        responses={202: CancelledOrdersDocument},
    )
    def cancel_all(self, request: Request) -> Response:
        """Ask for the cancel of all orders of an account, protective stops too. May be repeated."""
        account = self.account_named(None, self.caller)
        cancelled = orders_cancel(account=account, by=self.caller.identity)
        account.refresh_from_db(fields=["number"])
        document = CancelledOrdersDocument(account.name, cancelled)
        return trading_answer(document, event=account.number, status=HTTPStatus.ACCEPTED)


def _done(submitted: Submitted, account: Account) -> Done:
    document = OrderDocument.of(submitted.order, account=account.name)
    return Done(document, submitted.number, submitted.is_repeated)


class PositionCloseViewSet(TradingWrites, GenericViewSet[Account]):
    """Positions that are closed."""

    bodies = {"close": CloseInput}
    access = {"close": CLOSE}
    queryset = Account.objects.all()

    @extend_schema(
        operation_id="position_close",
        summary="Close a position",
        parameters=[ACCOUNT_ID, _SYMBOL],
        responses={201: OrderDocument},
        examples=[
            OpenApiExample("A strategy's", value={"strategy": "momentum"}, request_only=True),
        ],
    )
    def close(self, request: Request, account: str, symbol: str) -> Response:
        """Accept a market order that closes a position, whatever the account's state. It only reduces.

        The body may be left out.
        """
        values = self.body(CloseInput) if request.stream is not None else {}
        owned = self.account_named(account, self.caller)
        done = position_close(
            account=owned,
            symbol=symbol_canonical(requested_symbol(symbol)),
            strategy=values.get("strategy") or "",
            by=self.caller.identity,
        )
        document = OrderDocument.of(done.order, account=owned.name)
        return trading_answer(document, event=done.number, status=HTTPStatus.CREATED)


class TradeWritesViewSet(TradingWrites, GenericViewSet[Account]):
    """Trades in two steps."""

    bodies = {"preview": OrderInput, "execute": ExecuteInput}
    access = {"preview": ORDER_CHANGE, "execute": ORDER_CHANGE}
    queryset = Account.objects.all()

    @extend_schema(
        operation_id="trade_preview",
        summary="Preview a trade",
        parameters=[ACCOUNT],
        responses={200: PreviewDocument},
        examples=_NEW_ORDERS,
    )
    def preview(self, request: Request) -> Response:
        """Say what an order would do: its cost, each check with its number, and whether it would be accepted.

        `preview_id` holds for 30 seconds, for the caller that asked.
        """
        order: OrderTerms = self.body(OrderInput)["order"]
        account = self.account_named(None, self.caller)

        previewed = trade_preview(account=account, order=order, owner=self.caller.principal)
        document = preview_document(previewed)

        def save() -> Done:
            previewed.preview.save()
            return Done(document, previewed.number)

        return self.change(save)

    @extend_schema(
        operation_id="trade_execute",
        summary="Execute a preview",
        parameters=[IDEMPOTENCY_KEY],
        responses={201: OrderDocument},
        examples=[
            OpenApiExample(
                "A preview", value={"preview_id": "d1f0a2c4-5b6e-4f70-8a91-b2c3d4e5f607"}, request_only=True
            ),
        ],
    )
    def execute(self, request: Request) -> Response:
        """Place the order of a preview, once.

        If the market, the account or its limits have changed since, or a check fails now: 409 with a new preview.
        """
        single_parameters(request.GET, ("format",))
        preview_id = self.body(ExecuteInput)["preview_id"]
        caller = caller_again(self)
        preview = preview_find(preview_id=preview_id, caller=caller)
        account = preview.account
        require_signed(account, caller)
        try:
            return self.change_once(
                f"trade_execute:{account.name}",
                lambda: _done(trade_execute(preview=preview, by=caller.identity), account),
                status=HTTPStatus.CREATED,
            )
        except PreviewStale as stale:
            account.refresh_from_db()
            anew = trade_preview(account=account, order=previewed_order(preview), owner=caller.principal)
            anew.preview.save()
            raise PreviewStale(str(stale), preview=preview_document(anew).as_json()) from None
