"""Why an execution is as it is: everything that was used, and the same execution computed again."""

from functools import partial
from typing import Any

import msgspec

from store.datasets import DATASETS, TRADES
from store.exceptions import StorageError
from store.walk import CommittedRows, LogPosition, Resync
from trades.stores import market_store
from trading.core.account import AccountState, apply
from trading.core.amounts import ONE, price_of
from trading.core.events import (
    BarPrint,
    Event,
    Executed,
    OrderAccepted,
    Print,
    RowRef,
    decoded,
    encoded,
)
from trading.core.matching import match_bar, match_print
from trading.core.orders import Order
from trading.journal import replayed
from trading.market.market import Market, split_bar
from trading.models import Account, EventRow, ExecutionRow

_EVENTS_AT_ONCE = 100


def execution_explain(row: ExecutionRow) -> dict[str, Any]:
    """Return what an execution was decided by: its order as accepted, the print, the checks, the limits.

    Amounts are texts, as in the account's events. `reproduced` says whether the print is in the store as it was, and
    the account's events before it give the same execution to the last digit. The document depends on nothing that
    comes later.
    """
    account = row.account
    stored = EventRow.objects.get(account=account, number=row.number)
    executed = decoded(stored.body)
    assert isinstance(executed, Executed)  # noqa: S101 the row names the number of its event
    state = replayed(account, _step_start(account, row.number, executed))
    order = state.orders[executed.order_id]
    accepted = decoded(EventRow.objects.get(account=account, number=order.first_event).body)
    assert isinstance(accepted, OrderAccepted)  # noqa: S101 as its number says
    document = {
        "account": account.name,
        "number": row.number,
        "execution": msgspec.to_builtins(executed),
        "order": _order_document(accepted, order),
        "risk": {"version": state.risk_version, "config": msgspec.to_builtins(state.config)},
        "print_in_store": _print_in_store(executed.print),
    }
    document["reproduced"] = bool(document["print_in_store"]) and stored.body in _again(state, executed)
    return document


def _order_document(accepted: OrderAccepted, order: Order) -> dict[str, Any]:
    document: dict[str, Any] = msgspec.to_builtins(accepted)
    return {**document, "filled_before": str(order.filled), "is_triggered": order.is_triggered}


def _step_start(account: Account, number: int, executed: Executed) -> int:
    """Return the number of the last event before those of the same print."""
    before = EventRow.objects.filter(account=account, number__lt=number).order_by("-number")
    for start, body in before.values_list("number", "body").iterator(chunk_size=_EVENTS_AT_ONCE):
        event = decoded(body)
        if getattr(event, "print", None) != executed.print and not _is_of_step(event):
            return start
    return 0


def _is_of_step(event: Event) -> bool:
    """Return whether an event may be recorded between two executions by one print."""
    return type(event).__name__ in {"OrderEnded", "OrderWorking"}


def _again(state: AccountState, executed: Executed) -> list[str]:
    """Match the print again, and return the events that follow."""
    events: list[str] = []

    def record(event: Event) -> None:
        apply(state, event, at_ns=executed.print.known_ns)
        events.append(encoded(event))

    rate = executed.rate, executed.rate_ref
    if isinstance(executed.print, Print):
        ref = executed.print.ref
        commit = market_store().log(TRADES, ref.symbol).at(int(ref.commit.partition("-")[0])).commit
        market = Market(market_store(), place_of=lambda *_: LogPosition(commit, ref.ordinal))
        is_first = partial(market.is_first_of_session, ref)
        match_print(state, executed.print, rate, record, is_first_of_session=is_first)
    else:
        match_bar(state, executed.print, rate, record, began_ns=executed.began_ns)
    return events


def _print_in_store(print_: Print | BarPrint) -> dict[str, Any] | None:
    """Return the print as its commit stored it; None if the log was restored or differs."""
    row = _row_at(print_.ref)
    if row is None:
        return None
    names = ("price", "volume") if isinstance(print_, Print) else ("open", "high", "low", "close", "volume")
    stored = {name: price_of(row[name]) for name in names}
    if isinstance(print_, BarPrint):
        bar = msgspec.structs.replace(print_, **stored, split=ONE)
        is_same = split_bar(bar, print_.split) == print_
    else:
        is_same = msgspec.structs.replace(print_, **stored) == print_
    return {name: str(value) for name, value in stored.items()} if is_same else None


def _row_at(ref: RowRef) -> dict[str, Any] | None:
    dataset, store = DATASETS[ref.dataset], market_store()
    try:
        number = int(ref.commit.partition("-")[0])
        if number > store.log(dataset, ref.symbol).head.number:
            return None
        commit = store.log(dataset, ref.symbol).at(number).commit
        if commit.token != ref.commit:
            return None
        for piece in store.log(dataset, ref.symbol).commits(LogPosition(commit, ref.ordinal)):
            if isinstance(piece, CommittedRows):
                row: dict[str, Any] = piece.rows.slice(0, 1).to_pylist()[0]
                return row
    except (StorageError, Resync):
        return None
    return None
