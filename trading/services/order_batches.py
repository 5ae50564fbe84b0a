"""A batch of orders: decided one after another, each with those before it, and recorded in one transaction."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Self
from uuid import UUID

from msgspec.structs import asdict

from store.exceptions import UnknownSymbol
from trading.core.acceptance import MarketView, accept
from trading.core.account import AccountState, apply, copied
from trading.core.due import request_cancels
from trading.core.events import Event
from trading.core.orders import Order, OrderTerms
from trading.core.risk import RiskVerdict
from trading.exceptions import ClientOrderIdReused, TradingError
from trading.journal import open_journal, state_of
from trading.lease import engine_status, require_engine
from trading.models import Account, OrderRow
from trading.services.acceptance import order_judge, order_view, raise_if_refused
from trading.services.orders import order_refusal, order_repeated

# What refuses one order of a batch. All other errors end the batch.
_REFUSALS = (TradingError, UnknownSymbol)
# An exception is an order that could not be read.
MaybeOrder = OrderTerms | Exception
ItemStatus = Literal["accepted", "repeated", "refused"]


@dataclass(frozen=True, slots=True)
class BatchItem:
    """What became of one order of a batch: the order, or the error that refused it.

    found: the checks of an order that was accepted.
    """

    status: ItemStatus
    order: Order | None = None
    error: Exception | None = None
    client_order_id: str | None = None
    found: RiskVerdict | None = None


@dataclass(slots=True)
class OrderBatch:
    """Orders that are decided one after another.

    orders: with what the market says for each, or why it says nothing. state: the account's, after the accepted orders.
    number: of the account's event before them. events: what accepts them.
    """

    account: Account
    orders: Sequence[tuple[MaybeOrder, MarketView | Exception]]
    state: AccountState
    number: int
    now_ns: int
    by: str
    events: list[Event] = field(default_factory=list)
    items: list[BatchItem] = field(default_factory=list)
    _names: set[str] = field(default_factory=set)
    _known_names: set[str | None] = field(default_factory=set)

    @property
    def refused(self) -> int:
        """How many orders are refused."""
        return sum(item.status == "refused" for item in self.items)

    def decide_all(self) -> Self:
        """Decide the orders, and return the batch."""
        names = [order.client_order_id for order, _ in self.orders if isinstance(order, OrderTerms)]
        rows = OrderRow.objects.filter(account=self.account, client_order_id__in=names)
        self._known_names.update(rows.values_list("client_order_id", flat=True))
        for order, view in self.orders:
            self.decide(order, view)
        return self

    def decide(self, order: MaybeOrder, view: MarketView | Exception) -> None:
        """Decide the next order."""
        if isinstance(order, Exception):
            self.items.append(BatchItem("refused", error=order))
            return
        try:
            item = self._repeated(order) or self._accepted(order, view)
        except _REFUSALS as error:
            item = BatchItem("refused", error=error, client_order_id=order.client_order_id)
        self.items.append(item)

    def _repeated(self, order: OrderTerms) -> BatchItem | None:
        name = order.client_order_id
        if name in self._names:
            raise ClientOrderIdReused("another order of the batch has this client_order_id")
        if name is not None:
            self._names.add(name)
        if name not in self._known_names:
            return None
        found = order_repeated(account=self.account, fields=asdict(order))
        return None if found is None else BatchItem("repeated", found.order, client_order_id=name)

    def _accepted(self, order: OrderTerms, view: MarketView | Exception) -> BatchItem:
        if isinstance(view, Exception):
            raise view
        found = order_judge(self.state, order, view, now_ns=self.now_ns)
        raise_if_refused(found)
        order_id = accept(self.state, self._record, found, view, now_ns=self.now_ns, by=self.by)
        return BatchItem(
            "accepted", self.state.orders[order_id], client_order_id=order.client_order_id, found=found
        )

    def _record(self, event: Event) -> None:
        self.events.append(event)
        apply(self.state, event, at_ns=self.now_ns)


def orders_decide(*, account: Account, orders: Sequence[MaybeOrder], by: str) -> OrderBatch:
    """Check orders one after another, each with those before it. Nothing is written, and nobody waits meanwhile.

    Raises EngineUnavailable if an order may open a position and the engine is away.
    """
    opens = any(isinstance(order, OrderTerms) and not order.reduce_only for order in orders)
    now_ns = (require_engine() if opens else engine_status()).now_ns
    state = state_of(account)
    seen = [(order, _view(state, order, now_ns)) for order in orders]
    return OrderBatch(account, seen, copied(state), state.number, now_ns, by).decide_all()


def orders_accept(batch: OrderBatch, *, together: bool = False) -> OrderBatch:
    """Accept the orders of a batch that pass, in one transaction. An account that has changed decides again.

    together: if one is refused, none is accepted.
    """
    with open_journal(batch.account.name) as journal:
        state = journal.state
        if state.number != batch.number:
            changed = OrderBatch(
                batch.account, batch.orders, copied(state), state.number, batch.now_ns, batch.by
            )
            batch = changed.decide_all()
        if not (together and batch.refused):
            for event in batch.events:
                journal.record(event, at_ns=batch.now_ns)
    return batch


def _view(state: AccountState, order: MaybeOrder, now_ns: int) -> MarketView | Exception:
    """Return what the market says for an order, or why it says nothing."""
    if isinstance(order, Exception):
        return order
    try:
        return order_view(state, order, now_ns=now_ns)
    except _REFUSALS as error:
        return error


def orders_cancel_each(
    *, account: Account, order_ids: Sequence[UUID], by: str
) -> tuple[list[BatchItem], int]:
    """Ask for the cancel of orders in one transaction. An order that has ended, or is unknown, is refused alone.

    Return what became of each, and the number of the account's last event.
    """
    now_ns = engine_status().now_ns
    items: list[BatchItem] = []
    asked: dict[str, Order] = {}
    with open_journal(account.name) as journal:
        ended = [each for each in order_ids if str(each) not in journal.state.orders]
        rows = OrderRow.objects.filter(account=account, uuid__in=ended)
        states = dict(rows.values_list("uuid", "state"))
        for order_id in order_ids:
            order = journal.state.orders.get(str(order_id))
            if order is None:
                items.append(BatchItem("refused", error=order_refusal(order_id, states.get(order_id))))
                continue
            status: ItemStatus = "accepted" if order.may_be_cancelled else "repeated"
            items.append(BatchItem(status, order, client_order_id=order.terms.client_order_id))
            asked[order.id] = order
        request_cancels(asked.values(), journal.at(now_ns), reason="client", by=by)
        return items, journal.state.number
