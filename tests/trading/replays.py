"""Histories of accounts of which the engine is killed on the way, to be compared with those of an undisturbed one."""

import random
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from tests.trading.desks import TradingDesk
from trading.core.account_store import RecordedEvent
from trading.engine.engine import Engine
from trading.engine.engine_store import EngineStore
from trading.engine.logs import DataClock
from trading.models import (
    Account,
    EquityRow,
    EventRow,
    ExecutionRow,
    Lease,
    LogProgress,
    OrderRow,
    StateSnapshot,
    TradeRow,
    TransactionRow,
)

# Ids of orders and executions, and hashes of commits.
NAMED = re.compile('[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|(?<=[0-9]-)[0-9a-f]{6}(?=")')


class Killed(BaseException):
    """The engine's process ended."""


def forget_accounts() -> None:
    """Delete all accounts, and what the engine knows."""
    for model in (
        EquityRow, ExecutionRow, OrderRow, TradeRow, TransactionRow, EventRow, StateSnapshot, Account, LogProgress, Lease,
    ):  # fmt: skip
        model.objects.all().delete()


@contextmanager
def kills(chance: random.Random, *, every: int, at_most: int = 10**9) -> Iterator[None]:
    """Kill the engine now and then, before a transaction or after it."""
    usual, left = EngineStore.act, at_most

    def act(accounts: EngineStore, *arguments: Any, **options: Any) -> list[RecordedEvent]:
        nonlocal left
        fate = chance.randrange(every) if left else None
        if fate == 0:
            left -= 1
            raise Killed
        found = usual(accounts, *arguments, **options)
        if fate == 1 and found:
            left -= 1
            raise Killed
        return found

    with mock.patch.object(EngineStore, "act", act):
        yield


def run_on(desk: TradingDesk) -> int:
    """Let the engine do all that is to do; a new one goes on for each that is killed. Return how many were killed."""
    runs = killed = 0
    while runs < 2:  # In the second one the lease has the clock of the end.
        try:
            desk.run()
            runs += 1
        except Killed:
            killed += 1
            Lease.objects.update(leased_until_ns=0)
            desk.engine = Engine(DataClock())
    return killed


def named_events(*, without: str = "") -> list[Any]:
    """Return all events, without those of a name. Ids and hashes of commits are of one store: in their place is the order of their first use."""
    rows = EventRow.objects.exclude(name=without).order_by("account__name", "number")
    events = rows.values_list("name", "at_ns", "body")
    names: dict[str, str] = {}
    return [
        (name, at_ns, NAMED.sub(lambda found: names.setdefault(found[0], f"#{len(names)}"), body))
        for name, at_ns, body in events
    ]
