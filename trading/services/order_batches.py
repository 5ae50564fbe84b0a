"""A batch of orders: decided one after another, each with those before it, and recorded in one transaction."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal
from uuid import UUID

from msgspec.structs import asdict

from store.exceptions import UnknownSymbol
from trading.core.acceptance import MarketView, accept
from trading.core.account import AccountState, apply, copied
from trading.core.due import request_cancels
from trading.core.events import Event
from trading.core.orders import Order, OrderTerms
from trading.core.risk import RiskVerdict
from trading.exceptions import ClientOrderIdReused, OrderNotOpen, TradingError, UnknownOrder
from trading.journal import open_journal, state_of
from trading.lease import engine_status, require_engine
from trading.models import Account
from trading.services.acceptance import order_judge, order_view, raise_if_refused
from trading.services.orders import open_order, order_repeated

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

    state: the account's, after the accepted orders. number: of the account's event before them. events: what accepts
    them.
    """

    account: Account
    state: AccountState
    number: int
    now_ns: int
    by: str
    events: list[Event] = field(default_factory=list)
    items: list[BatchItem] = field(default_factory=list)
    _names: set[str] = field(default_factory=set)

    @property
    def refused(self) -> int:
        """How many orders are refused."""
        return sum(item.status == "refused" for item in self.items)

    def decide(self, order: MaybeOrder, view: MarketView | Exception) -> None:
        """Decide the next order. view: what the market says for it, or why it says nothing."""
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


def orders_submit(
    *,
    account: Account,
    orders: Sequence[MaybeOrder],
    by: str,
    together: bool = False,
    is_preview: bool = False,
) -> OrderBatch:
    """Check orders one after another, each with those before it, and accept those that pass, in one transaction.

    together: if one is refused, none is accepted. is_preview: only say what would be done. Raises EngineUnavailable if
    an order may open a position and the engine is away.
    """
    opens = any(isinstance(order, OrderTerms) and not order.reduce_only for order in orders)
    now_ns = (require_engine() if opens else engine_status()).now_ns
    before = state_of(account)
    views = [_view(before, order, now_ns) for order in orders]

    def decided(state: AccountState) -> OrderBatch:
        batch = OrderBatch(account, copied(state), state.number, now_ns, by)
        for order, view in zip(orders, views, strict=True):
            batch.decide(order, view)
        return batch

    # Hundreds of checks take a second. Meanwhile nobody waits for the account, nor for the database.
    batch = decided(before)
    if is_preview:
        return batch
    with open_journal(account.name) as journal:
        if journal.state.number != batch.number:
            batch = decided(journal.state)
        if not (together and batch.refused):
            for event in batch.events:
                journal.record(event, at_ns=now_ns)
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
        for order_id in order_ids:
            try:
                order = open_order(journal, account, order_id)
            except (UnknownOrder, OrderNotOpen) as error:
                items.append(BatchItem("refused", error=error))
                continue
            status: ItemStatus = "accepted" if order.may_be_cancelled else "repeated"
            items.append(BatchItem(status, order, client_order_id=order.terms.client_order_id))
            asked[order.id] = order
        request_cancels(asked.values(), journal.at(now_ns), reason="client", by=by)
        return items, journal.state.number
