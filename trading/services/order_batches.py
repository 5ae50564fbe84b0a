"""A batch of orders: decided in turn, each with those before it, in one transaction. And a batch of cancels."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal
from uuid import UUID

from msgspec.structs import asdict

from store.exceptions import UnknownSymbol
from trading.account_store import account_act
from trading.core.acceptance import MarketView, accept
from trading.core.account import AccountState
from trading.core.due import request_cancels
from trading.core.matching import Record
from trading.core.orders import Order, OrderTerms
from trading.exceptions import ClientOrderIdReused, TradingError
from trading.journal import state_of
from trading.lease import engine_status, require_engine
from trading.models import Account, OrderRow
from trading.services.orders import order_judge, order_refusal, order_repeated, order_view, raise_if_refused

# What refuses one order of a batch. All other errors end the batch.
_REFUSALS = (TradingError, UnknownSymbol)
# An exception is an order that could not be read.
MaybeOrder = OrderTerms | Exception
ItemStatus = Literal["accepted", "repeated", "refused"]


@dataclass(frozen=True, slots=True)
class BatchItem:
    """What became of one order of a batch: the order, or the error that refused it."""

    status: ItemStatus
    order: Order | None = None
    error: Exception | None = None
    client_order_id: str | None = None


@dataclass(frozen=True, slots=True)
class OrderBatch:
    """What became of each order of a batch. number: of the account's last event."""

    items: Sequence[BatchItem]
    number: int


def orders_submit(*, account: Account, orders: Sequence[MaybeOrder], by: str) -> OrderBatch:
    """Decide orders in turn, each with those before it, and accept those that pass, in one transaction.

    An order that is refused stops no other. Raises EngineUnavailable if an order may open a position and the engine is
    away.
    """
    opens = any(isinstance(order, OrderTerms) and not order.reduce_only for order in orders)
    now_ns = (require_engine() if opens else engine_status()).now_ns
    state = state_of(account)
    # The market is read before the account is locked.
    views = [_view(state, order, now_ns) for order in orders]

    def submit(state: AccountState, record: Record) -> OrderBatch:
        decider = _Decider(account, state, record, now_ns, by, _known_names(account, orders))
        items = [decider.decide(order, view) for order, view in zip(orders, views, strict=True)]
        return OrderBatch(items, state.number)

    return account_act(account.name, submit, at_ns=now_ns)


def _known_names(account: Account, orders: Sequence[MaybeOrder]) -> set[str]:
    """Return the client_order_ids of the batch that orders of the account have."""
    names = [order.client_order_id for order in orders if isinstance(order, OrderTerms)]
    rows = OrderRow.objects.filter(account=account, client_order_id__in=[each for each in names if each])
    return set(rows.values_list("client_order_id", flat=True))


@dataclass(slots=True)
class _Decider:
    """Decides the orders of a batch. known: client_order_ids of earlier orders. seen: of this batch."""

    account: Account
    state: AccountState
    record: Record
    now_ns: int
    by: str
    known: set[str]
    seen: set[str] = field(default_factory=set)

    def decide(self, order: MaybeOrder, view: MarketView | Exception) -> BatchItem:
        if isinstance(order, Exception):
            return BatchItem("refused", error=order)
        try:
            return self._repeated(order) or self._accepted(order, view)
        except _REFUSALS as error:
            return BatchItem("refused", error=error, client_order_id=order.client_order_id)

    def _repeated(self, order: OrderTerms) -> BatchItem | None:
        name = order.client_order_id
        if name is None:
            return None
        if name in self.seen:
            raise ClientOrderIdReused("another order of the batch has this client_order_id")
        self.seen.add(name)
        if name not in self.known:
            return None
        found = order_repeated(account=self.account, fields=asdict(order))
        return None if found is None else BatchItem("repeated", found.order, client_order_id=name)

    def _accepted(self, order: OrderTerms, view: MarketView | Exception) -> BatchItem:
        if isinstance(view, Exception):
            raise view
        found = order_judge(self.state, order, view, now_ns=self.now_ns)
        raise_if_refused(found)
        order_id = accept(self.state, self.record, found, view, now_ns=self.now_ns, by=self.by)
        return BatchItem("accepted", self.state.orders[order_id], client_order_id=order.client_order_id)


def _view(state: AccountState, order: MaybeOrder, now_ns: int) -> MarketView | Exception:
    """Return what the market says for an order, or why it says nothing."""
    if isinstance(order, Exception):
        return order
    try:
        return order_view(state, order, now_ns=now_ns)
    except _REFUSALS as error:
        return error


def orders_cancel_each(*, account: Account, order_ids: Sequence[UUID], by: str) -> OrderBatch:
    """Ask for the cancel of orders in one transaction. An order that has ended, or is unknown, is refused alone."""

    def cancel(state: AccountState, record: Record) -> OrderBatch:
        items: list[BatchItem] = []
        asked: dict[str, Order] = {}
        ended = [each for each in order_ids if str(each) not in state.orders]
        rows = OrderRow.objects.filter(account=account, uuid__in=ended)
        states = dict(rows.values_list("uuid", "state"))
        for order_id in order_ids:
            order = state.orders.get(str(order_id))
            if order is None:
                items.append(BatchItem("refused", error=order_refusal(order_id, states.get(order_id))))
                continue
            status: ItemStatus = "accepted" if order.may_be_cancelled else "repeated"
            items.append(BatchItem(status, order, client_order_id=order.terms.client_order_id))
            asked[order.id] = order
        request_cancels(asked.values(), record, reason="client", by=by)
        return OrderBatch(items, state.number)

    return account_act(account.name, cancel, at_ns=engine_status().now_ns)
