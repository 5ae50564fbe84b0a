"""A batch of orders: decided one after another, each with those before it, and recorded in one transaction."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from msgspec.structs import asdict

from store.exceptions import UnknownSymbol
from trading.core.acceptance import MarketView, accept
from trading.core.account import AccountState, apply, copied
from trading.core.events import CancelRequested, Event
from trading.core.orders import Order, OrderState, OrderTerms
from trading.core.risk import RiskVerdict
from trading.exceptions import ClientOrderIdReused, OrderNotOpen, TradingError, UnknownOrder
from trading.journal import open_journal, state_of
from trading.lease import engine_status, require_engine
from trading.models import Account, OrderRow
from trading.services.acceptance import order_judge, order_view, raise_if_refused
from trading.services.orders import open_order, order_repeated

# What refuses one order of a batch. All other errors end the batch.
_REFUSALS = (TradingError, UnknownSymbol)


@dataclass(frozen=True, slots=True)
class BatchItem:
    """What became of one order of a batch: the order, or the error that refused it.

    client_order_id: of a refused order. found: the checks of an order that was accepted. is_repeated: an earlier call
    accepted it.
    """

    order: Order | None = None
    error: Exception | None = None
    client_order_id: str | None = None
    found: RiskVerdict | None = None
    is_repeated: bool = False


@dataclass(frozen=True, slots=True)
class OrderBatch:
    """A decided batch. number: of the account's event before it. events: what accepts its orders. state: the account after them."""

    number: int
    state: AccountState
    events: list[Event] = field(default_factory=list)
    items: list[BatchItem] = field(default_factory=list)

    @property
    def refused(self) -> int:
        """How many orders are refused."""
        return sum(item.error is not None for item in self.items)


def orders_preview(*, account: Account, orders: Sequence[OrderTerms | Exception]) -> OrderBatch:
    """Say what `orders_submit` would do now. Nothing is stored. Raises EngineUnavailable."""
    now_ns = require_engine().now_ns
    state = state_of(account)
    return _decided(account, state, orders, _views(state, orders, now_ns), now_ns=now_ns, by="")


def orders_submit(
    *, account: Account, orders: Sequence[OrderTerms | Exception], by: str, together: bool = False
) -> OrderBatch:
    """Check orders one after another, each with those before it, and accept those that pass, in one transaction.

    orders: an exception is an order that could not be read. together: if one is refused, none is accepted. Raises
    EngineUnavailable if an order may open a position and the engine is away.
    """
    opens = any(isinstance(order, OrderTerms) and not order.reduce_only for order in orders)
    now_ns = (require_engine() if opens else engine_status()).now_ns
    state = state_of(account)
    views = _views(state, orders, now_ns)
    # Hundreds of checks take a second. Meanwhile nobody waits for the account, nor for the database.
    batch = _decided(account, state, orders, views, now_ns=now_ns, by=by)
    with open_journal(account.name) as journal:
        if journal.state.number != batch.number:
            batch = _decided(account, journal.state, orders, views, now_ns=now_ns, by=by)
        if not (together and batch.refused):
            for event in batch.events:
                journal.record(event, at_ns=now_ns)
    return batch


def _views(
    state: AccountState, orders: Sequence[OrderTerms | Exception], now_ns: int
) -> list[MarketView | Exception]:
    """Return what the market says for each order, or why it says nothing."""
    views: list[MarketView | Exception] = []
    for order in orders:
        try:
            views.append(order if isinstance(order, Exception) else order_view(state, order, now_ns=now_ns))
        except _REFUSALS as error:
            views.append(error)
    return views


def _decided(
    account: Account,
    state: AccountState,
    orders: Sequence[OrderTerms | Exception],
    views: Sequence[MarketView | Exception],
    *,
    now_ns: int,
    by: str,
) -> OrderBatch:
    """Return what becomes of orders in a state of the account, which stays as it is."""
    deciding = _Deciding(
        account, OrderBatch(state.number, copied(state)), _known(account, orders), now_ns, by
    )
    deciding.batch.items.extend(map(deciding.item, orders, views))
    return deciding.batch


@dataclass(slots=True)
class _Deciding:
    """Decides the orders of a batch. known: the client_order_ids that the account has. taken: those of the batch so far."""

    account: Account
    batch: OrderBatch
    known: set[str]
    now_ns: int
    by: str
    taken: set[str] = field(default_factory=set)

    def item(self, order: OrderTerms | Exception, view: MarketView | Exception) -> BatchItem:
        """Return what becomes of the next order."""
        if isinstance(order, Exception):
            return BatchItem(error=order)
        try:
            return self._repeated(order) or self._accepted(order, view)
        except _REFUSALS as error:
            return BatchItem(error=error, client_order_id=order.client_order_id)

    def _repeated(self, order: OrderTerms) -> BatchItem | None:
        name = order.client_order_id
        if name is None:
            return None
        if name in self.taken:
            raise ClientOrderIdReused("another order of the batch has this client_order_id")
        self.taken.add(name)
        repeated = order_repeated(account=self.account, fields=asdict(order)) if name in self.known else None
        return None if repeated is None else BatchItem(order=repeated.order, is_repeated=True)

    def _accepted(self, order: OrderTerms, view: MarketView | Exception) -> BatchItem:
        if isinstance(view, Exception):
            raise view
        state, now_ns = self.batch.state, self.now_ns
        found = order_judge(state, order, view, now_ns=now_ns)
        raise_if_refused(found)
        order_id = accept(state, self._record, found, view, now_ns=now_ns, by=self.by)
        return BatchItem(order=state.orders[order_id], found=found)

    def _record(self, event: Event) -> None:
        self.batch.events.append(event)
        apply(self.batch.state, event, at_ns=self.now_ns)


def _known(account: Account, orders: Sequence[OrderTerms | Exception]) -> set[str]:
    """Return the client_order_ids of a batch that orders of the account have."""
    ids = {order.client_order_id for order in orders if isinstance(order, OrderTerms)} - {None}
    rows = OrderRow.objects.filter(account=account, client_order_id__in=ids)
    return set(rows.values_list("client_order_id", flat=True))


def orders_cancel_each(*, account: Account, order_ids: Sequence[UUID], by: str) -> OrderBatch:
    """Ask for the cancel of orders in one transaction. An order that has ended, or is unknown, is refused alone."""
    now_ns = engine_status().now_ns
    with open_journal(account.name) as journal:
        batch, asked = OrderBatch(journal.state.number, journal.state), list[str]()
        for order_id in order_ids:
            try:
                order = open_order(journal, account, order_id)
            except (UnknownOrder, OrderNotOpen) as error:
                batch.items.append(BatchItem(error=error))
                continue
            batch.items.append(BatchItem(order=order, is_repeated=order.state is OrderState.PENDING_CANCEL))
            if order.state is not OrderState.PENDING_CANCEL:
                asked.append(order.id)
        if asked:
            event = CancelRequested(order_ids=tuple(dict.fromkeys(asked)), reason="client", by=by)
            journal.record(event, at_ns=now_ns)
    return batch
