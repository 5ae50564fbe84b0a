"""Events are recorded in one transaction with the account's state and all rows that follow from them."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import msgspec
from cachetools import LRUCache
from django.db import connection, transaction
from django.db.models import Model, Q

from stats.live.commit_notifier import account_changed
from store.walk import ALL_ROWS
from trading.core.account import AccountState, Effects, apply, copied, decoded_state, encoded_state
from trading.core.events import (
    FOLLOWING,
    Event,
    Executed,
    ExecutionQuestioned,
    OrderAccepted,
    decoded,
    encoded,
    name_of,
)
from trading.core.ledger import CASH
from trading.core.orders import Order
from trading.core.report import FillResult, fill_of, is_of_curve
from trading.exceptions import NoSuchAccount
from trading.models import (
    QUESTIONED,
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
from trading.webhook_events import AccountNews, news_of, news_write
from web.correlation import correlation_id

# The newest state of each account that a process used. It is brought up to date by the events after its number.
STATES_BYTES = 32 * 2**20
_STATE_BYTES, _ORDER_BYTES, _POSITION_BYTES, _LOT_BYTES = 4_096, 2_560, 2_048, 512
# So often a state is stored, so that a process that does not have it reads few events.
SNAPSHOT_EVENTS = 50
# Of so many events the last snapshot stays, for states of the past.
_KEPT_SNAPSHOT_EVENTS = 1_000
# The tables whose rows are of one event each.
ROWS_OF_EVENTS: tuple[type[Model], ...] = (ExecutionRow, TransactionRow, TradeRow, EquityRow)
_EQUITY = ("equity", "high_water", "start_equity", "exposure")
_TRADE = ("symbol", "strategy", "direction", "opened_ns", "closed_ns")


@dataclass(slots=True)
class Journal:
    """An account that is locked until the transaction ends. state, effects: after the last recorded event, and of it.

    questioned: the ids of the executions that the events questioned. correlation_id: of the call that accepts orders; ""
    for events that have theirs.
    """

    account: Account
    state: AccountState
    effects: Effects = field(default_factory=Effects)
    questioned: set[str] = field(default_factory=set)
    correlation_id: str = ""
    _events: list[EventRow] = field(default_factory=list)
    _orders: dict[str, Order] = field(default_factory=dict)
    _rows: dict[type[Model], list[Any]] = field(default_factory=dict)
    _followed: dict[str, str] = field(default_factory=dict)
    _news: list[tuple[int, AccountNews]] = field(default_factory=list)

    def record(self, event: Event, *, at_ns: int) -> int:
        """Apply an event, and return its number. It is written with the others when the journal is closed."""
        if self.correlation_id and isinstance(event, OrderAccepted):
            event = msgspec.structs.replace(event, correlation_id=self.correlation_id)
        effects = self.effects = apply(self.state, event, at_ns=at_ns)
        number = self.state.number
        self._events.append(
            EventRow(
                account=self.account,
                number=number,
                at_ns=at_ns,
                name=name_of(event),
                body=encoded(event),
                orders=msgspec.json.encode(effects.orders).decode() if effects.orders else "",
            )
        )
        self._orders |= {order.id: order for order in effects.orders}
        self._take(event, effects, number, at_ns)
        self._news += [(number, each) for each in news_of(event, effects, at_ns)]
        return number

    @property
    def recorded(self) -> dict[int, str]:
        """The names of the recorded events, by their numbers."""
        return {row.number: row.name for row in self._events}

    @property
    def correlation_ids(self) -> list[str]:
        """Those of the changed orders, sorted."""
        return sorted({order.correlation_id for order in self._orders.values() if order.correlation_id})

    def at(self, now_ns: int) -> Callable[[Event], object]:
        """Return a function that records events at an instant."""
        return lambda event: self.record(event, at_ns=now_ns)

    def _take(self, event: Event, effects: Effects, number: int, at_ns: int) -> None:
        of_event = {"account": self.account, "number": number}
        if isinstance(event, Executed):
            fill = fill_of(self.state, event, effects, at_ns)
            self._add(_execution_row(event, fill, of_event))
        elif isinstance(event, ExecutionQuestioned):
            self.questioned.add(event.execution_id)
        elif isinstance(event, FOLLOWING):
            self._followed = event.commits | self._followed
        if is_of_curve(event):
            self._add(EquityRow(**of_event, at_ns=at_ns, **_texts(self.state, _EQUITY)))
        if effects.entries:
            symbols = [entry.symbol for entry in effects.entries if entry.symbol]
            self._add(
                TransactionRow(
                    **of_event,
                    at_ns=at_ns,
                    kind=name_of(event),
                    symbol=next(iter(symbols), ""),
                    currency=self.state.currency,
                    amount=str(sum(entry.amount for entry in effects.entries if entry.account == CASH)),
                    balance=str(self.state.cash),
                    entries=msgspec.to_builtins(effects.entries),
                )
            )
        for trade in effects.closed:
            columns = {name: getattr(trade, name) for name in _TRADE}
            self._add(TradeRow(**of_event, **columns, document=msgspec.json.encode(trade).decode()))

    def _add(self, row: Model) -> None:
        self._rows.setdefault(type(row), []).append(row)

    def rows(self) -> dict[type[Model], list[Any]]:
        """Return the rows that follow from what was recorded."""
        orders = [_order_row(self.account, order) for order in self._orders.values()]
        return {OrderRow: orders, **{kind: self._rows.get(kind, []) for kind in ROWS_OF_EVENTS}}

    def take_rows(self) -> dict[type[Model], list[Any]]:
        """Return the rows of `rows`, and forget what was recorded: nothing is written."""
        rows = self.rows()
        self._events, self._orders, self._rows = [], {}, {}
        return rows

    def close(self) -> None:
        """Write all that was recorded."""
        if not self._events:
            return
        account, before = self.account, self.account.number
        account.number = self.state.number
        account.save(update_fields=["number"])
        EventRow.objects.bulk_create(self._events)
        if account.number // SNAPSHOT_EVENTS > before // SNAPSHOT_EVENTS:
            _snapshot(account, self.state)
        rows = self.rows()
        OrderRow.objects.bulk_create(
            rows.pop(OrderRow),
            update_conflicts=True,
            unique_fields=["uuid"],
            update_fields=["state", "is_open", "document"],
        )
        for kind, new in rows.items():
            kind.objects.bulk_create(new)  # type: ignore[attr-defined]  # each has it
        if self.questioned:
            ExecutionRow.objects.filter(uuid__in=self.questioned).update(state=QUESTIONED)
        follow(self._followed)
        if self._news:
            news_write(account.name, self._news)
        account_changed(account.name)
        _keep_committed(account.pk, self.state)


def _snapshot(account: Account, state: AccountState) -> None:
    """Store a state in the place of the last one, unless that is of an earlier thousand events."""
    first = state.number // _KEPT_SNAPSHOT_EVENTS * _KEPT_SNAPSHOT_EVENTS
    account.snapshots.filter(number__gte=first).delete()
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
    ref = event.print.ref
    return ExecutionRow(
        **of_event,
        uuid=event.execution_id,
        order_id=event.order_id,
        at_ns=fill.at_ns,
        dataset=ref.dataset,
        symbol=ref.symbol,
        commit=int(ref.commit.partition("-")[0]),
        ordinal=ref.ordinal,
        **_texts(fill, ("value", "fee", "exposure")),
    )


def _texts(source: object, names: tuple[str, ...]) -> dict[str, str]:
    """Return amounts by name, as they are stored."""
    return {name: str(getattr(source, name)) for name in names}


@contextmanager
def open_journal(name: str, known: AccountState | None = None) -> Iterator[Journal]:
    """Lock an account for the rest of the transaction, and write what is recorded. Raises NoSuchAccount.

    known: see `state_of`. The journal changes a copy: a call that raises leaves no trace.
    """
    with transaction.atomic():
        try:
            account = Account.objects.select_for_update().get(name=name)
        except Account.DoesNotExist:
            raise NoSuchAccount(f"there is no account {name}") from None
        journal = Journal(account, copied(state_of(account, known)), correlation_id=correlation_id())
        yield journal
        journal.close()


def state_of(account: Account, known: AccountState | None = None) -> AccountState:
    """Return the state of an account after its last event. It is shared: do not change it.

    known: an earlier state that the caller has; None for that of the process.
    """
    with _states_lock:
        state = known or _states.get(account.pk)
        if state is not None and state.number > account.number:
            # The row is older, or of a database that was restored.
            _states.pop(account.pk, None)
            state = None
    if state is not None and state.number == account.number:
        return state
    state = replayed(account, account.number, known=state)
    _keep_committed(account.pk, state)
    return state


def _keep_committed(account_id: int, state: AccountState) -> None:
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


def states_forget() -> None:
    """Forget the states that the process keeps. For tests, whose databases are emptied."""
    with _states_lock:
        _states.clear()


def replayed(
    account: Account, number: int, *, known: AccountState | None = None, uses_snapshots: bool = True
) -> AccountState:
    """Return the state that follows from the events of an account up to a number. known: an earlier state."""
    state = AccountState(id=account.name) if known is None else copied(known)
    if known is None and uses_snapshots:
        snapshot = account.snapshots.filter(number__lte=number).order_by("-number").first()
        state = state if snapshot is None else decoded_state(snapshot.state.encode())
    later = account.events.filter(number__gt=state.number, number__lte=number).order_by("number")
    for body, at_ns in later.values_list("body", "at_ns").iterator():
        apply(state, decoded(body), at_ns=at_ns)
    return state
