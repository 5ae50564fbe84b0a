"""Alpaca's endpoints of positions: read at the prices of now, and closed, whole or in part."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from http import HTTPStatus
from typing import Annotated

from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.response import Response

from dialects.alpaca.accounts import AlpacaAccountView, parameter
from dialects.alpaca.assets import exchange_of
from dialects.alpaca.available import quantity_available
from dialects.alpaca.orders import (
    ASSET_CLASSES,
    AlpacaDocument,
    AlpacaOrder,
    ExampleId,
    Number,
    alpaca_order,
    id_of,
    named_symbol,
)
from dialects.alpaca.symbols import label_of
from ratelimit.limits.services import charge_debt
from trades.stores import market_store
from trading.api.account_view import ACCOUNT_READ, CLOSE, account_answer
from trading.core.account import AccountState
from trading.core.amounts import HUNDRED, ZERO, exact, lots_below, plain, ratio, unit_price
from trading.core.events import Reference
from trading.core.orders import Order
from trading.core.positions import Position
from trading.exceptions import UnknownPosition
from trading.journal import state_of
from trading.selectors import account_valued
from trading.services.orders import positions_close
from web.documents import AnswerDocument, about, like
from web.problem_body import PROBLEM_OF
from web.requests.exceptions import InvalidParameter
from web.requests.json_fields import JsonObject

_POSITIONS_PER_TOKEN = 10
_SYMBOL = OpenApiParameter("symbol", str, OpenApiParameter.PATH, description="The symbol, or the asset's id.")
_PARTS = (
    parameter("qty", "How much of it, in units."),
    parameter("percentage", "How much of it, in per cent, rounded down to the instrument's lot."),
)
_CANCEL = parameter("cancel_orders", "Whether all orders are cancelled, too.", type="boolean")


class AlpacaPosition(AlpacaDocument, kw_only=True):
    """A symbol's position, summed over all strategies. A short position has a negative quantity."""

    asset_id: ExampleId
    symbol: Annotated[str, like("AAPL")]
    exchange: Annotated[str, like("NASDAQ")]
    asset_class: Annotated[str, like("us_equity")]
    asset_marginable: Annotated[bool, like(True)]
    avg_entry_price: Annotated[str, like("189.98")]
    qty: Number
    qty_available: Annotated[str, about("Less what working orders close.", "100")]
    side: Annotated[str, like("long")]
    market_value: Annotated[str | None, like("19098")]
    cost_basis: Annotated[str, like("18998")]
    unrealized_pl: Annotated[str | None, like("100")]
    unrealized_plpc: Annotated[str | None, about("A fraction of the cost.", "0.005264")]
    current_price: Annotated[str | None, like("190.98")]


class AlpacaClosing(AnswerDocument):
    """The order that closes a position."""

    symbol: Annotated[str, like("AAPL")]
    order_id: ExampleId
    body: AlpacaOrder
    status: Annotated[int, about("Of this order.", 200)] = HTTPStatus.OK


class AlpacaPositionsViewSet(AlpacaAccountView):
    """Positions of the key's account, by symbol. Of futures and currencies Alpaca has none."""

    verbs = {"close": "close", "close_all": "close_all"}
    answers = {
        "list": list[AlpacaPosition],
        "retrieve": AlpacaPosition,
        "close": AlpacaOrder,
        "close_all": {207: list[AlpacaClosing]},
    }
    access = {"list": ACCOUNT_READ, "retrieve": ACCOUNT_READ, "close": CLOSE, "close_all": CLOSE}
    common_parameters = (_SYMBOL,)
    parameters = {"close": _PARTS, "close_all": (_CANCEL,)}

    def list(self, request: Request) -> Response:
        """List positions."""
        account = self.account()
        valued = account_valued(account)
        held = _by_symbol(valued.state).items()
        documents = [_document(valued.state, each, valued.marks.get(symbol)) for symbol, each in held]
        return account_answer(documents, account.number)

    def retrieve(self, request: Request, symbol: str) -> Response:
        """Get a position."""
        account = self.account()
        valued = account_valued(account)
        held = _held(valued.state, symbol)
        document = _document(valued.state, held, valued.marks.get(held[0].symbol))
        return account_answer(document, account.number)

    def close(self, request: Request, symbol: str) -> Response:
        """Close a position of all strategies, or a part of it. The answer is the first strategy's order."""
        account = self.account()
        held = _held(state_of(account), symbol)
        part = _part(held, self.query)
        done = positions_close(account=account, positions=held, by=self.caller.identity, part=part)
        order = done.first(held[0].symbol).order
        return account_answer(alpaca_order(order), done.number)

    def close_all(self, request: Request) -> Response:
        """Close all positions, in one transaction. A position with an order that closes it keeps that order.

        A position that cannot be closed has another `status`, and in `body` the error's `code` and `message`.
        """
        account = self.account()
        cancels = self.flag("cancel_orders")
        held = [each for several in _by_symbol(state_of(account)).values() for each in several]
        by = self.caller.identity
        # Never refused halfway: what the bucket lacks, the next calls wait for.
        charge_debt(self.caller, CLOSE, tokens=len(held) // _POSITIONS_PER_TOKEN)
        done = positions_close(account=account, positions=held, by=by, cancels_others=cancels)
        documents = [_closing(position, outcome) for position, outcome in done.outcomes]
        return account_answer(documents, done.number, status=HTTPStatus.MULTI_STATUS)


def _closing(position: Position, outcome: Order | Exception) -> JsonObject:
    if isinstance(outcome, Order):
        order = alpaca_order(outcome)
        return AlpacaClosing(order.symbol, order.id, order).as_json()
    problem = PROBLEM_OF.get()(outcome).body()
    error = {"code": problem["status"] * 100_000, "message": problem["message"]}
    symbol = label_of(position.symbol, position.terms.instrument_class)
    return {"symbol": symbol, "order_id": None, "body": error, "status": problem["status"]}


def _part(held: Sequence[Position], query: Mapping[str, str]) -> Decimal | None:
    """Return the quantity that a query asks to close; None for the whole. Raises InvalidParameter."""
    given = [name for name in ("qty", "percentage") if name in query]
    if not given:
        return None
    position, (name, *others) = held[0], given
    if others:
        raise InvalidParameter("conflicting_parameters", "send qty or percentage, not both")
    if len(held) > 1:
        message = f"several strategies hold {position.symbol}: a part of it cannot be closed here"
        raise InvalidParameter("invalid_parameter", message)
    text, whole = query[name], abs(position.quantity)
    most = whole if name == "qty" else HUNDRED
    is_number = text.isascii() and len(text) <= 30 and text.replace(".", "", 1).isdecimal()
    value, lot = Decimal(text) if is_number else ZERO, position.terms.lot
    # What a split has left may be no multiple of a lot, and is closed whole.
    if name == "qty":
        rule, part = "in whole lots", value if value in (whole, lots_below(value, lot)) else ZERO
    else:
        rule, part = "at least a lot", lots_below(exact(whole, value) / HUNDRED, lot)
    if not (part and value <= most):
        message = f"{name} must be a number up to {plain(most)}, {rule} ({plain(lot)})"
        raise InvalidParameter("invalid_number", message)
    return part


def _by_symbol(state: AccountState) -> Mapping[str, list[Position]]:
    """Return the positions that Alpaca can have, by symbol, those of all strategies."""
    held: dict[str, list[Position]] = {}
    for _, position in sorted(state.positions.items()):
        if position.terms.instrument_class in ASSET_CLASSES:
            held.setdefault(position.symbol, []).append(position)
    return held


def _held(state: AccountState, text: str) -> list[Position]:
    """Return the positions of a symbol, or of an asset's id. Raises UnknownPosition, InvalidValue."""
    held = _by_symbol(state)
    symbol = named_symbol(text, held)
    if symbol is None or symbol not in held:
        raise UnknownPosition(f"the account holds no {text}")
    return held[symbol]


def _document(state: AccountState, held: Sequence[Position], mark: Reference | None) -> AlpacaPosition:
    """Return the document of the positions in a symbol. mark: None if the symbol has no price."""
    symbol, terms = held[0].symbol, held[0].terms
    quantity, cost = sum((each.quantity for each in held), ZERO), sum((each.cost for each in held), ZERO)
    value = None if mark is None else sum((each.value(mark.price) for each in held), ZERO)
    gain = None if value is None else value - cost
    sign = 1 if quantity >= 0 else -1
    return AlpacaPosition.of_amounts(
        terms,
        asset_id=id_of("asset", symbol),
        symbol=label_of(symbol, terms.instrument_class),
        exchange=exchange_of(market_store().instrument(symbol)),
        asset_class=ASSET_CLASSES[terms.instrument_class],
        asset_marginable=terms.initial_margin < 1,
        avg_entry_price=unit_price(cost, exact(quantity, terms.multiplier)) if quantity else ZERO,
        qty=quantity,
        qty_available=quantity_available(state, symbol) * sign,
        side="long" if sign > 0 else "short",
        market_value=value,
        cost_basis=cost,
        unrealized_pl=gain,
        unrealized_plpc=None if gain is None else ratio(gain, abs(cost)),
        current_price=None if mark is None else mark.price,
    )
