"""Events are recorded in one transaction with the account's state and all rows that follow from them."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any, NamedTuple

import msgspec
from cachetools import LRUCache
from django.db import connection, transaction
from django.db.models import Model, Q

from stats.live.commit_notifier import account_changed
from store.timestamps import format_timestamp
from store.walk import ALL_ROWS
from trading.core.account import AccountState, Effects, apply, copied, decoded_state, encoded_state
from trading.core.account_store import RecordedEvent
from trading.core.events import (
    Alert,
    Event,
    Executed,
    OrderAccepted,
    decoded,
    encoded,
    name_of,
)
from trading.core.ledger import CASH
from trading.core.orders import Order, OrderState
from trading.core.valuation import FillResult, fill_of, is_of_curve
from trading.models import (
    Account,
    EquityRow,
    EventRow,
    ExecutionRow,
    LogProgress,
    OrderRow,
    StateSnapshot,
    TradeRow,
    TransactionRow,
)
from webhooks.events import events_write
from webhooks.models import WebhookEvent

# A state that an order comes into once; its partial fills are told one by one.
_ONCE = frozenset(
    {
        *(OrderState.ACCEPTED, OrderState.REJECTED, OrderState.FILLED),
        *(OrderState.CANCELLED, OrderState.REPLACED, OrderState.EXPIRED),
    }
)


class AccountNews(NamedTuple):
    """A kind of webhooks' events, the symbol that it is about, what it tells, and the order's correlation id."""

    kind: str
    symbol: str
    data: dict[str, Any]
    correlation_id: str = ""


def news_of(event: Event, effects: Effects, at_ns: int) -> Iterator[AccountNews]:
    """Yield what webhooks may be told of an account's event. effects: of the event."""
    if isinstance(event, Alert):
        data = {"kind": event.kind, "message": event.message, "symbol": event.symbol}
        yield AccountNews("account.alert", event.symbol or "", data)
    filled = event.order_id if isinstance(event, Executed) else None
    for order in effects.orders:
        is_new = order.state in _ONCE and order.states[order.state] == max(at_ns, order.submitted_ns)
        if is_new or (order.id == filled and order.state is OrderState.PARTIALLY_FILLED):
            yield AccountNews(f"order.{order.state}", order.terms.symbol, _order(order), order.correlation_id)
        if isinstance(event, Executed) and order.id == filled:
            data = _execution(event, order, at_ns)
            yield AccountNews("execution", order.terms.symbol, data, order.correlation_id)


def news_write(account: str, news: Sequence[tuple[int, AccountNews]]) -> None:
    """Write the webhooks' events of an account, each with the number of the account's event."""
    now = datetime.now(UTC)
    events_write(
        WebhookEvent(
            kind=each.kind,
            subject=f"account:{account}",
            account=account,
            symbol=each.symbol,
            correlation_id=each.correlation_id,
            data={"account": account, "number": number, **each.data},
            created_at=now,
        )
        for number, each in news
    )


def _order(order: Order) -> dict[str, Any]:
    return {
        "id": order.id,
        "client_order_id": order.terms.client_order_id,
        "symbol": order.terms.symbol,
        "side": order.terms.side,
        "status": order.state,
        "quantity": float(order.terms.quantity),
        "filled_quantity": float(order.filled),
        "reason": order.reason,
        "links": {"self": f"/api/v1/orders/{order.id}"},
    }


def _execution(event: Executed, order: Order, at_ns: int) -> dict[str, Any]:
    return {
        "id": event.execution_id,
        "order": order.id,
        "symbol": order.terms.symbol,
        "side": order.terms.side,
        "quantity": float(event.quantity),
        "price": float(event.price),
        "fee": float(event.fee),
        "timestamp": format_timestamp(at_ns),
    }


# The newest state of each account that a process used. It is brought up to date by the events after its number.
STATES_BYTES = 32 * 2**20
_STATE_BYTES, _ORDER_BYTES, _POSITION_BYTES, _LOT_BYTES = 4_096, 2_560, 2_048, 512
# So often a state is stored, so that a process that does not have it reads few events.
SNAPSHOT_EVENTS = 50
# The tables whose rows are of one event each.
_EQUITY = ("equity", "high_water", "start_equity", "exposure")
_TRADE = ("symbol", "strategy", "direction", "opened_ns", "closed_ns")


@dataclass(slots=True)
class Journal:
    """The events that a decision recorded for an account, and the rows that follow from them. account: as it was read."""

    account: Account
    _events: list[EventRow] = field(default_factory=list)
    _orders: dict[str, Order] = field(default_factory=dict)
    _rows: dict[type[Model], list[Any]] = field(default_factory=dict)
    _followed: dict[str, str] = field(default_factory=dict)
    _news: list[tuple[int, AccountNews]] = field(default_factory=list)

    def take(self, recorded: RecordedEvent) -> None:
        """Note an event, at once after it was applied: its rows have the state of then."""
        number, event, effects = recorded.number, recorded.event, recorded.effects
        self._events.append(
            EventRow(
                account=self.account,
                number=number,
                at_ns=recorded.at_ns,
                name=name_of(event),
                body=encoded(event),
                orders=msgspec.json.encode(effects.orders).decode() if effects.orders else "",
            )
        )
        self._orders |= {order.id: order for order in effects.orders}
        self._take(recorded)
        self._news += [(number, each) for each in news_of(event, effects, recorded.at_ns)]

    def _take(self, recorded: RecordedEvent) -> None:
        at_ns, _, number, event, effects, state = recorded
        of_event = {"account": self.account, "number": number}
        if isinstance(event, Executed):
            fill = fill_of(state, event, effects, at_ns)
            self._add(_execution_row(event, fill, of_event))
        elif isinstance(event, OrderAccepted):
            self._followed = event.commits | self._followed
        if is_of_curve(event):
            self._add(EquityRow(**of_event, at_ns=at_ns, **_texts(state, _EQUITY)))
        if effects.entries:
            symbols = [getattr(event, "symbol", ""), *(entry.symbol for entry in effects.entries)]
            self._add(
                TransactionRow(
                    **of_event,
                    at_ns=at_ns,
                    kind=name_of(event),
                    symbol=next(filter(None, symbols), ""),
                    currency=state.currency,
                    amount=str(sum(entry.amount for entry in effects.entries if entry.account == CASH)),
                    balance=str(state.cash),
                    entries=msgspec.to_builtins(effects.entries),
                )
            )
        for trade in effects.closed:
            columns = {name: getattr(trade, name) for name in _TRADE}
            self._add(TradeRow(**of_event, **columns, document=msgspec.json.encode(trade).decode()))

    def _add(self, row: Model) -> None:
        self._rows.setdefault(type(row), []).append(row)

    def append(self, state: AccountState) -> bool:
        """Write the events and their rows, unless the account has others by now. Return whether they were written.

        state: after the last of them. Call it in a transaction.
        """
        account, before = self.account, self._events[0].number - 1
        if not Account.objects.filter(pk=account.pk, number=before).update(number=state.number):
            return False
        account.number = state.number
        EventRow.objects.bulk_create(self._events)
        if account.number // SNAPSHOT_EVENTS > before // SNAPSHOT_EVENTS:
            _snapshot(account, state)
        OrderRow.objects.bulk_create(
            [_order_row(account, order) for order in self._orders.values()],
            update_conflicts=True,
            unique_fields=["uuid"],
            update_fields=["state", "is_open", "document"],
        )
        for kind, new in self._rows.items():
            kind.objects.bulk_create(new)  # type: ignore[attr-defined]  # each has it
        follow(self._followed)
        if self._news:
            news_write(account.name, self._news)
        account_changed(account.name)
        return True


def _snapshot(account: Account, state: AccountState) -> None:
    """Store a state in the place of the last one."""
    account.snapshots.all().delete()
    StateSnapshot.objects.create(account=account, number=state.number, state=encoded_state(state).decode())


def follow(heads: Mapping[str, str]) -> None:
    """Have the engine follow logs from these commits on, unless it follows them already."""
    if heads and connection.features.has_select_for_update:
        # The engine may be about to let one go: then it is followed anew.
        followed = Q()
        for log in heads:
            dataset, _, symbol = log.partition(":")
            followed |= Q(dataset=dataset, symbol=symbol)
        len(LogProgress.objects.select_for_update().filter(followed).order_by("pk"))
    rows = []
    for log, token in heads.items():
        dataset, _, symbol = log.partition(":")
        number, _, hash_ = token.partition("-")
        rows.append(
            LogProgress(dataset=dataset, symbol=symbol, commit=int(number), hash=hash_, ordinal=ALL_ROWS)
        )
    LogProgress.objects.bulk_create(rows, ignore_conflicts=True)


def _order_row(account: Account, order: Order) -> OrderRow:
    return OrderRow(
        account=account,
        uuid=order.id,
        client_order_id=order.terms.client_order_id or "",
        symbol=order.terms.symbol,
        side=order.terms.side,
        strategy=order.terms.strategy,
        state=order.state,
        submitted_ns=order.submitted_ns,
        is_open=not order.state.is_final,
        is_signal=bool(order.terms.strategy) and not order.terms.reduce_only,
        document=msgspec.json.encode(order).decode(),
    )


def _execution_row(event: Executed, fill: FillResult, of_event: dict[str, Any]) -> ExecutionRow:
    return ExecutionRow(
        **of_event,
        uuid=event.execution_id,
        order_id=event.order_id,
        at_ns=fill.at_ns,
        symbol=event.print.ref.symbol,
        **_texts(fill, ("value", "fee", "exposure")),
    )


def _texts(source: object, names: tuple[str, ...]) -> dict[str, str]:
    """Return amounts by name, as they are stored."""
    return {name: str(getattr(source, name)) for name in names}


def state_of(account: Account) -> AccountState:
    """Return the state of an account after its last event. All threads share it: do not change it."""
    with _states_lock:
        state = _states.get(account.pk)
        if state is not None and state.number > account.number:
            # The row is older, or of a database that was restored.
            _states.pop(account.pk, None)
            state = None
    if state is not None and state.number == account.number:
        return state
    state = replayed(account, account.number, known=None if state is None else copied(state))
    keep_committed(account.pk, state)
    return state


def keep_committed(account_id: int, state: AccountState) -> None:
    """Keep a state for the process once its events are committed: a transaction may take them back."""
    transaction.on_commit(partial(_keep, account_id, state))


def _keep(account_id: int, state: AccountState) -> None:
    with _states_lock:
        kept = _states.get(account_id)
        if kept is None or kept.number < state.number:
            _states[account_id] = state


def _size_of(state: AccountState) -> int:
    lots = sum(len(position.lots) for position in state.positions.values())
    held = _POSITION_BYTES * len(state.positions) + _LOT_BYTES * lots
    return min(_STATE_BYTES + _ORDER_BYTES * len(state.orders) + held, STATES_BYTES)


_states: LRUCache[int, AccountState] = LRUCache(STATES_BYTES, getsizeof=_size_of)
_states_lock = threading.Lock()


def replayed(account: Account, number: int, *, known: AccountState | None = None) -> AccountState:
    """Return the state that follows from the events of an account up to a number.

    known: an earlier state; it becomes the newer one. None for the newest snapshot.
    """
    if known is None:
        snapshot = account.snapshots.filter(number__lte=number).order_by("-number").first()
        known = AccountState(id=account.name) if snapshot is None else decoded_state(snapshot.state.encode())
    state = known
    later = account.events.filter(number__gt=state.number, number__lte=number).order_by("number")
    for body, at_ns in later.values_list("body", "at_ns").iterator():
        apply(state, decoded(body), at_ns=at_ns)
    return state
