"""Events are recorded in one transaction with the account's state and all rows that follow from them."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
from cachetools import LRUCache
from django.db import connection, transaction
from django.db.models import Model, Q

from stats.live.commit_notifier import account_changed
from store.walk import ALL_ROWS
from trading.core.account import AccountState, Effects, apply, decoded_state, encoded_state
from trading.core.events import (
    FOLLOWING,
    Event,
    Executed,
    ExecutionBusted,
    ExecutionQuestioned,
    PositionAdjusted,
    decoded,
    encoded,
    name_of,
)
from trading.core.ledger import CASH, LedgerEntry
from trading.core.orders import Order
from trading.core.report import FillResult, fill_of, is_of_curve
from trading.exceptions import NoSuchAccount
from trading.models import (
    BUSTED,
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

# The newest state of each account that a process read. A call that finds its account unchanged decodes nothing.
STATES_BYTES = 32 * 2**20
# Of a byte of a state's text: itself, and 4.4 bytes of objects.
_BYTES_PER_BYTE = 5.4
# So often a state is kept, for replays.
SNAPSHOT_EVENTS = 1_000


@dataclass(slots=True)
class Journal:
    """An account that is locked until the transaction ends. state, effects: after the last recorded event, and of it.

    execution_states: of the executions that the events questioned or busted, by id.
    """

    account: Account
    state: AccountState
    effects: Effects = field(default_factory=Effects)
    execution_states: dict[str, str] = field(default_factory=dict)
    _rows: list[EventRow] = field(default_factory=list)
    _orders: dict[str, Order] = field(default_factory=dict)
    _executions: list[ExecutionRow] = field(default_factory=list)
    _transactions: list[TransactionRow] = field(default_factory=list)
    _trades: list[TradeRow] = field(default_factory=list)
    _equities: list[EquityRow] = field(default_factory=list)
    _followed: dict[str, str] = field(default_factory=dict)

    def record(self, event: Event, *, at_ns: int) -> int:
        """Apply an event, and return its number. It is written with the others when the journal is closed."""
        effects = self.effects = apply(self.state, event, at_ns=at_ns)
        number = self.state.number
        self._rows.append(
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
        return number

    @property
    def recorded(self) -> dict[int, str]:
        """The names of the recorded events, by their numbers."""
        return {row.number: row.name for row in self._rows}

    def at(self, now_ns: int) -> Callable[[Event], object]:
        """Return a function that records events at an instant."""
        return lambda event: self.record(event, at_ns=now_ns)

    def _take(self, event: Event, effects: Effects, number: int, at_ns: int) -> None:
        if isinstance(event, Executed):
            fill = fill_of(self.state, event, effects, at_ns)
            self._executions.append(_execution_row(self.account, event, number, fill))
        elif isinstance(event, ExecutionQuestioned | ExecutionBusted):
            if self.execution_states.get(event.execution_id) != BUSTED:
                state = QUESTIONED if isinstance(event, ExecutionQuestioned) else BUSTED
                self.execution_states[event.execution_id] = state
        elif isinstance(event, FOLLOWING):
            self._followed = event.commits | self._followed
        if is_of_curve(event):
            self._equities.append(_equity_row(self.account, self.state, at_ns))
        # The correction of a future's quantity is told, too, though it has no entries.
        symbol = event.symbol if isinstance(event, PositionAdjusted) else _symbol_in(effects.entries)
        if effects.entries or isinstance(event, PositionAdjusted):
            self._transactions.append(
                TransactionRow(
                    account=self.account,
                    number=number,
                    at_ns=at_ns,
                    kind=name_of(event),
                    symbol=symbol,
                    currency=self.state.currency,
                    amount=str(_cash(effects.entries)),
                    balance=str(self.state.cash),
                    entries=msgspec.to_builtins(effects.entries),
                )
            )
        self._trades += [
            TradeRow(
                account=self.account,
                number=number,
                symbol=trade.symbol,
                strategy=trade.strategy,
                direction=trade.direction,
                opened_ns=trade.opened_ns,
                closed_ns=trade.closed_ns,
                document=msgspec.json.encode(trade).decode(),
            )
            for trade in effects.closed
        ]

    def rows(self) -> dict[type[Model], list[Any]]:
        """Return the rows that follow from what was recorded."""
        return {
            OrderRow: [_order_row(self.account, order) for order in self._orders.values()],
            ExecutionRow: self._executions,
            TransactionRow: self._transactions,
            TradeRow: self._trades,
            EquityRow: self._equities,
        }

    def take_rows(self) -> dict[type[Model], list[Any]]:
        """Return the rows of `rows`, and forget what was recorded: nothing is written."""
        rows = self.rows()
        self._rows, self._orders, self._executions = [], {}, []
        self._transactions, self._trades, self._equities = [], [], []
        return rows

    def close(self) -> None:
        """Write all that was recorded."""
        if not self._rows:
            return
        account, before = self.account, self.account.number
        account.number, account.state = self.state.number, encoded_state(self.state).decode()
        account.save(update_fields=["number", "state"])
        EventRow.objects.bulk_create(self._rows)
        if account.number // SNAPSHOT_EVENTS > before // SNAPSHOT_EVENTS:
            StateSnapshot.objects.create(account=account, number=account.number, state=account.state)
        rows = self.rows()
        OrderRow.objects.bulk_create(
            rows.pop(OrderRow),
            update_conflicts=True,
            unique_fields=["uuid"],
            update_fields=["state", "is_open", "document"],
        )
        for kind, new in rows.items():
            kind.objects.bulk_create(new)  # type: ignore[attr-defined]  # each has it
        for execution_id, state in self.execution_states.items():
            ExecutionRow.objects.filter(uuid=execution_id).exclude(state=BUSTED).update(state=state)
        follow(self._followed)
        account_changed(account.name)


def _symbol_in(entries: list[LedgerEntry]) -> str:
    return next((entry.symbol for entry in entries if entry.symbol), "")


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


def _cash(entries: list[LedgerEntry]) -> object:
    return sum(entry.amount for entry in entries if entry.account == CASH)


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


def _execution_row(account: Account, event: Executed, number: int, fill: FillResult) -> ExecutionRow:
    ref = event.print.ref
    return ExecutionRow(
        account=account,
        uuid=event.execution_id,
        order_id=event.order_id,
        number=number,
        at_ns=fill.at_ns,
        dataset=ref.dataset,
        symbol=ref.symbol,
        commit=int(ref.commit.partition("-")[0]),
        ordinal=ref.ordinal,
        value=str(fill.value),
        fee=str(fill.fee),
        exposure=str(fill.exposure),
    )


def _equity_row(account: Account, state: AccountState, at_ns: int) -> EquityRow:
    return EquityRow(
        account=account,
        number=state.number,
        at_ns=at_ns,
        equity=str(state.equity),
        high_water=str(state.high_water),
        start_equity=str(state.start_equity),
        exposure=str(state.exposure),
    )


@contextmanager
def open_journal(name: str) -> Iterator[Journal]:
    """Lock an account for the rest of the transaction, and write what is recorded. Raises NoSuchAccount."""
    with transaction.atomic():
        try:
            account = Account.objects.select_for_update().get(name=name)
        except Account.DoesNotExist:
            raise NoSuchAccount(f"there is no account {name}") from None
        journal = Journal(account, decoded_state(account.state.encode()))
        yield journal
        journal.close()


def state_of(account: Account) -> AccountState:
    """Return the state of an account. It is shared: do not change it."""
    with _states_lock:
        kept = _states.get(account.pk)
    if kept is not None and kept[0] == account.state:
        return kept[1]
    state = decoded_state(account.state.encode())
    with _states_lock:
        _states[account.pk] = account.state, state
    return state


def _size_of(kept: tuple[str, AccountState]) -> int:
    return min(int(_BYTES_PER_BYTE * len(kept[0])), STATES_BYTES)


_states: LRUCache[int, tuple[str, AccountState]] = LRUCache(STATES_BYTES, getsizeof=_size_of)
_states_lock = threading.Lock()


def replayed(account: Account, number: int | None = None, *, uses_snapshots: bool = True) -> AccountState:
    """Return the state that follows from the events of an account up to a number, or from all of them."""
    state = AccountState(id=account.name)
    snapshots = account.snapshots.order_by("-number") if uses_snapshots else StateSnapshot.objects.none()
    snapshot = (snapshots if number is None else snapshots.filter(number__lte=number)).first()
    if snapshot is not None:
        state = decoded_state(snapshot.state.encode())
    events = account.events.filter(number__gt=state.number).order_by("number")
    for row in (events if number is None else events.filter(number__lte=number)).iterator():
        apply(state, decoded(row.body), at_ns=row.at_ns)
    return state
