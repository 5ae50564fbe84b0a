"""Services of orders: submit, cancel, replace, close."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
from msgspec.structs import asdict, replace

from store.exceptions import StorageError, UnknownSymbol
from trading.account_store import account_act
from trading.core.acceptance import MarketView, accept, accept_closing, closing_order, judge
from trading.core.account import AccountState
from trading.core.due import request_cancels
from trading.core.events import CancelRequested, OrderAccepted, OrderRejected, decoded
from trading.core.matching import Record
from trading.core.orders import Contingency, Order, OrderState, OrderTerms
from trading.core.positions import Position
from trading.core.risk import RiskVerdict
from trading.documents.orders import OrderCheckDocument
from trading.exceptions import (
    ClientOrderIdReused,
    OrderNotOpen,
    RiskRefused,
    TradingError,
    TradingHalted,
    TradingStopped,
    UnknownOrder,
    UnknownPosition,
)
from trading.journal import state_of
from trading.lease import engine_status, require_engine
from trading.market.symbols import market
from trading.market.views import market_view, position_closing_view
from trading.models import Account, EventRow, OrderRow


@dataclass(frozen=True, slots=True)
class Submitted:
    """An accepted order. number: of the account's last event. is_repeated: whether its client_order_id came before."""

    order: Order
    number: int
    is_repeated: bool = False


def order_submit(*, account: Account, order: OrderTerms, by: str) -> Submitted:
    """Check an order, and accept it. `by`: the caller's identity.

    An order with the client_order_id of an equal earlier one is that one. Raises EngineUnavailable, TradingStopped,
    TradingHalted, RiskRefused, ClientOrderIdReused, NotTradable, NoReferencePrice, NoRate.
    """
    repeated = order_repeated(account=account, fields=asdict(order))
    if repeated is not None:
        return repeated
    now_ns = _now_ns(order)
    view = order_view(state_of(account), order, now_ns=now_ns)

    def submit(state: AccountState, record: Record) -> Submitted:
        repeated = order_repeated(account=account, fields=asdict(order))
        if repeated is not None:
            return repeated
        found = order_judge(state, order, view, now_ns=now_ns)
        raise_if_refused(found)
        order_id = accept(state, record, found, view, now_ns=now_ns, by=by)
        return Submitted(state.orders[order_id], state.number)

    return account_act(account.name, submit, at_ns=now_ns)


def _now_ns(order: OrderTerms) -> int:
    """Return the engine's clock.

    An order that only reduces waits for the engine; others raise EngineUnavailable if it is away.
    """
    return (engine_status() if order.reduce_only else require_engine()).now_ns


def order_repeated(
    *, account: Account, fields: Mapping[str, Any], replaces: UUID | None = None
) -> Submitted | None:
    """Return the order that an equal earlier request made; None if none has its client_order_id.

    fields: those that the request gave. Others may differ: fills and splits change them. replaces: the order in whose
    place it puts another one. Raises ClientOrderIdReused.
    """
    row = _row_of_client(account, fields.get("client_order_id"))
    if row is None:
        return None
    earlier = order_in(row)
    accepted = asdict(_accepted_terms(account, earlier))
    # Acceptance may have made it one that only reduces; never the other way round.
    accepted["reduce_only"] = accepted["reduce_only"] and fields.get("reduce_only")
    if {**accepted, **fields} != accepted or (replaces and earlier.replaces != str(replaces)):
        raise ClientOrderIdReused(f"the client_order_id belongs to the order {row.uuid}, which is another")
    account.refresh_from_db(fields=["number"])
    return Submitted(earlier, account.number, is_repeated=True)


def _accepted_terms(account: Account, order: Order) -> OrderTerms:
    """Return an order's terms as it was accepted. Splits, and fills of the order that it replaces, change them later."""
    event = decoded(EventRow.objects.get(account=account, number=order.first_event).body)
    assert isinstance(event, OrderAccepted | OrderRejected)  # noqa: S101 no other event makes an order
    return event.order


def _row_of_client(account: Account, client_order_id: str | None) -> OrderRow | None:
    if client_order_id is None:
        return None
    return OrderRow.objects.filter(account=account, client_order_id=client_order_id).first()


def order_in(row: OrderRow) -> Order:
    """Return the order of a row."""
    return msgspec.json.decode(row.document, type=Order)


def order_cancel(*, account: Account, order_id: UUID, by: str) -> Submitted:
    """Ask for an order's cancel. The engine does it, and what was printed before still fills.

    Asking twice changes nothing. Raises UnknownOrder, OrderNotOpen.
    """

    def cancel(state: AccountState, record: Record) -> Submitted:
        order = open_order(state, account, order_id)
        if order.state is not OrderState.PENDING_CANCEL:
            record(CancelRequested(order_ids=(order.id,), reason="client", by=by))
        return Submitted(order, state.number)

    return account_act(account.name, cancel, at_ns=engine_status().now_ns)


def open_order(state: AccountState, account: Account, order_id: UUID) -> Order:
    """Return an order of an account that has not ended. Raises UnknownOrder, OrderNotOpen."""
    order = state.orders.get(str(order_id))
    if order is not None:
        return order
    states = OrderRow.objects.filter(account=account, uuid=order_id).values_list("state", flat=True)
    raise order_refusal(order_id, states.first())


def order_refusal(order_id: UUID, state: str | None) -> UnknownOrder | OrderNotOpen:
    """Return why an order that is not open cannot be changed. state: of its row; None without a row."""
    if state is None:
        return UnknownOrder(f"the account has no order {order_id}")
    return OrderNotOpen(f"the order is {state}")


def orders_cancel(*, account: Account, by: str, reason: str = "client") -> list[str]:
    """Ask for the cancel of all orders, and return their ids."""

    def cancel(state: AccountState, record: Record) -> list[str]:
        return request_cancels(state.orders.values(), record, reason=reason, by=by)

    return account_act(account.name, cancel, at_ns=engine_status().now_ns)


def order_replace(
    *, account: Account, order_id: UUID, order: OrderTerms, changes: Mapping[str, Any], by: str
) -> Submitted:
    """Accept an order in the place of another one, which ends as `replaced`. changes: what the caller gave of it.

    Raises the errors of `order_submit` and `order_cancel`.

    A second call gives the first one's order; see `order_repeated`. Both are checked together, so the account
    must be able to bear both until the engine has ended the first.
    """
    now_ns = _now_ns(order)
    view = order_view(state_of(account), order, now_ns=now_ns)

    def replace(state: AccountState, record: Record) -> Submitted:
        repeated = order_repeated(account=account, fields=changes, replaces=order_id)
        if repeated is not None:
            return repeated
        old = open_order(state, account, order_id)
        is_leg = old.parent_id is not None and old.contingency is not Contingency.OCO
        if old.state is OrderState.PENDING_CANCEL or is_leg:
            raise OrderNotOpen("the order is being cancelled, or is a leg of a bracket")
        found = order_judge(state, order, view, now_ns=now_ns)
        raise_if_refused(found)
        new_id = accept(state, record, found, view, now_ns=now_ns, by=by, replaces=old)
        record(CancelRequested(order_ids=(old.id,), reason="replaced", by=by))
        return Submitted(state.orders[new_id], state.number)

    return account_act(account.name, replace, at_ns=now_ns)


@dataclass(frozen=True, slots=True)
class Closings:
    """By position, the order that closes it or why it has none. number: of the account's last event."""

    outcomes: Sequence[tuple[Position, Order | Exception]]
    number: int

    def first(self, symbol: str) -> Submitted:
        """Return the first order. Raises why there is none: UnknownPosition if no position of the symbol is left."""
        _, outcome = self.outcomes[0] if self.outcomes else (None, _not_held(symbol))
        if isinstance(outcome, Exception):
            raise outcome
        return Submitted(outcome, self.number)


def position_close(*, account: Account, symbol: str, strategy: str, by: str) -> Submitted:
    """Do as `positions_close` for one position. Raises UnknownPosition."""
    position = state_of(account).position(symbol, strategy)
    if position is None:
        raise _not_held(symbol)
    return positions_close(account=account, positions=[position], by=by).first(symbol)


def positions_close(
    *,
    account: Account,
    positions: Iterable[Position],
    by: str,
    part: Decimal | None = None,
    cancels_others: bool = False,
) -> Closings:
    """Accept market orders that close positions, in one transaction. It needs no engine: it is the first thing that the engine does.

    A position that is gone is left out. One with a working order that closes the whole of it keeps that order.
    part: the quantity to close; None for the whole. cancels_others: whether all other orders are cancelled.
    """
    now_ns = engine_status().now_ns
    currency = state_of(account).currency
    views = [(each, _closing_view(each, currency, now_ns)) for each in positions]

    def close(state: AccountState, record: Record) -> Closings:
        held = [
            (position, view, _closing_of(state, position) if part is None else None)
            for before, view in views
            if (position := state.position(before.symbol, before.strategy)) is not None
        ]
        if cancels_others:
            kept = {closing.id for _, _, closing in held if closing is not None}
            others = [order for order in state.orders.values() if order.id not in kept]
            request_cancels(others, record, reason="client", by=by)
        outcomes: list[tuple[Position, Order | Exception]] = []
        for position, view, closing in held:
            outcome = closing or view
            if isinstance(outcome, MarketView):
                order_id = accept_closing(state, record, position, outcome, now_ns=now_ns, by=by, part=part)
                outcome = state.orders[order_id]
            outcomes.append((position, outcome))
        return Closings(outcomes, state.number)

    return account_act(account.name, close, at_ns=now_ns)


def _closing_view(position: Position, currency: str, now_ns: int) -> MarketView | Exception:
    """Return what is needed to close a position, or why the store does not have it."""
    try:
        return position_closing_view(market(), position, currency, now_ns=now_ns)
    except (StorageError, TradingError) as error:
        return error


def _closing_of(state: AccountState, position: Position) -> Order | None:
    """Return a position's working market order that still closes the whole of it."""
    whole = closing_order(position)
    for order in state.orders_of(position.symbol):
        left = msgspec.structs.replace(order.terms, quantity=order.remaining)
        if left == whole and order.may_be_cancelled:
            return order
    return None


def _not_held(symbol: str) -> UnknownPosition:
    return UnknownPosition(f"the account holds no {symbol}")


def order_view(state: AccountState, order: OrderTerms, *, now_ns: int) -> MarketView:
    """Return what this installation's market says for an order: see `market_view`. Raises UnknownSymbol, too."""
    here = market()
    if not here.is_known(order.symbol):
        raise UnknownSymbol(order.symbol)
    return market_view(here, state, order, now_ns=now_ns)


def order_judge(state: AccountState, order: OrderTerms, view: MarketView, *, now_ns: int) -> RiskVerdict:
    """Check an order in the account's state. Marks that the view lacks are read."""
    missing = market().marks(state, now_ns=now_ns, known=view.marks)
    return judge(state, order, replace(view, marks={**view.marks, **missing}), now_ns=now_ns)


def raise_if_refused(found: RiskVerdict) -> None:
    """Raise TradingStopped, TradingHalted or RiskRefused if a check failed."""
    failed = {check.name: check for check in found.failed}
    if not failed:
        return
    extra: dict[str, Any] = {"checks": [OrderCheckDocument.of(check).as_json() for check in found.checks]}
    if "trading" in failed:
        raise TradingStopped(f"{failed['trading'].message}; start it to open positions", **extra)
    if "zone" in failed:
        raise TradingHalted(**extra)
    message = "; ".join(check.message for check in failed.values())
    raise RiskRefused(message, tuple(failed), **extra)
