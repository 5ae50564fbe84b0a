"""Whether what is stored of an account is what follows from its events."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any
from uuid import UUID

import msgspec
from django.db import transaction
from django.db.models import Model, QuerySet

from trading.core.account import AccountState, decoded_state, encoded_state
from trading.core.events import OrderAccepted, OrderRejected, decoded
from trading.journal import ROWS_OF_EVENTS, Journal
from trading.models import OPEN, Account, ExecutionRow, OrderRow
from trading.services.orders import order_in

# After so many events the rows that follow from them are compared, and forgotten.
_EVENTS_AT_ONCE = 1_000


def account_verify(*, account: Account) -> str | None:
    """Replay all events, and return the first difference to what is stored, as a sentence; None if there is none."""
    replay = _AccountReplay(Journal(account, AccountState(id=account.name)))
    difference = next(replay.differences(), None)
    if difference is not None:
        return difference
    # Only what was recorded meanwhile is replayed under the lock, for which all others wait.
    with transaction.atomic():
        replay.journal.account = Account.objects.select_for_update().get(pk=account.pk)
        return next(replay.last_differences(), None)


@dataclass(slots=True)
class _AccountReplay:
    """A replay that keeps the rows of a part of the events only. compared: the number of the last event of these.

    orders: those that are compared at the end, because they were open or differed. order_count: of all.
    """

    journal: Journal
    compared: int = 0
    orders: dict[str, OrderRow] = field(default_factory=dict)
    order_count: int = 0

    def differences(self) -> Iterator[str]:
        """Record the events after the last that was recorded. Yield how the stored rows differ from what follows."""
        journal = self.journal
        snapshot = journal.account.snapshots.order_by("-number").first()
        later = journal.account.events.filter(number__gt=journal.state.number).order_by("number")
        for row in later.iterator(chunk_size=_EVENTS_AT_ONCE):
            if row.number != journal.state.number + 1:
                yield f"event {journal.state.number + 1} is missing"
            event = decoded(row.body)
            journal.record(event, at_ns=row.at_ns)
            self.order_count += isinstance(event, OrderAccepted | OrderRejected)
            if snapshot is not None and snapshot.number == row.number:
                yield from _changed(journal.state, decoded_state(snapshot.state.encode()))
            if row.number % _EVENTS_AT_ONCE == 0:
                yield from self._compare()
        yield from self._compare()

    def last_differences(self) -> Iterator[str]:
        """Yield all differences that are left. The account is locked."""
        yield from self.differences()
        account, state = self.journal.account, self.journal.state
        if state.number != account.number:
            yield f"the last event is {state.number}, the account says {account.number}"
        yield from _unbalanced(state)
        yield from _of_table(*self._stored_orders(self.orders.values()))
        yield from self._of_whole_tables()

    def _compare(self) -> Iterator[str]:
        """Compare the rows of the events after the last that were compared."""
        rows, until = self.journal.take_rows(), self.journal.state.number
        orders: list[OrderRow] = rows.pop(OrderRow)
        for kind, expected in rows.items():
            stored = self._rows_of(kind).filter(number__gt=self.compared, number__lte=until)
            yield from _of_table(stored.order_by("number", "pk").iterator(), expected)
        self.compared = until
        self.orders |= {str(row.uuid): row for row in orders}
        ended = [row for row in orders if not row.is_open]
        for found, wanted in zip(*self._stored_orders(ended), strict=True):
            if found is not None and _values(found) == _values(wanted):
                del self.orders[str(wanted.uuid)]

    def _of_whole_tables(self) -> Iterator[str]:
        rows = self._rows_of(ExecutionRow).exclude(state=OPEN).values_list("uuid", flat=True)
        found, wanted = {str(uuid) for uuid in rows.iterator()}, self.journal.questioned
        if found != wanted:
            yield f"the questioned executions are {sorted(found)}, by the events they are {sorted(wanted)}"
        for kind in ROWS_OF_EVENTS:
            if self._rows_of(kind).filter(number__gt=self.compared).exists():
                yield f"a row of {_table(kind)} is of an event after the last"
        count = self._rows_of(OrderRow).count()
        if count != self.order_count:
            yield f"{_table(OrderRow)} has {count} orders, by the events there are {self.order_count}"

    def _rows_of(self, kind: type[Any]) -> QuerySet[Any]:
        rows: QuerySet[Any] = kind.objects.filter(account=self.journal.account)
        return rows

    def _stored_orders(self, wanted: Iterable[OrderRow]) -> tuple[list[OrderRow | None], list[OrderRow]]:
        """Return the stored row of each order, None if there is none, and the orders."""
        orders = list(wanted)
        found = self._rows_of(OrderRow).in_bulk([row.uuid for row in orders], field_name="uuid")
        return [found.get(UUID(str(row.uuid))) for row in orders], orders


def _changed(state: AccountState, stored: AccountState) -> Iterator[str]:
    """Yield what differs in the state that others begin from."""
    expected, found = (msgspec.json.decode(encoded_state(each)) for each in (state, stored))
    for name, value in expected.items():
        if found[name] != value:
            yield f"the state's {name} is {found[name]}, by the events it is {value}"


def _of_table(stored: Iterable[Model | None], expected: Iterable[Model]) -> Iterator[str]:
    for found, wanted in zip_longest(stored, expected):
        values = [None if row is None else _values(row) for row in (found, wanted)]
        if values[0] != values[1]:
            table = _table(type(found or wanted))
            yield f"a row of {table} is {values[0]}, by the events it is {values[1]}"


def _table(kind: type[Any]) -> str:
    name: str = kind._meta.db_table  # noqa: SLF001 Django's documented name
    return name


def _unbalanced(state: AccountState) -> Iterator[str]:
    totals: dict[str, Any] = {}
    for key, amount in state.balances.items():
        currency = key.split()[1]
        totals[currency] = totals.get(currency, 0) + amount
    for currency, total in totals.items():
        if total:
            yield f"the ledger's entries in {currency} add up to {total}, not to 0"


def _values(row: Model) -> dict[str, Any]:
    """Return a row's columns as they are stored, but for its id and what is compared at the end."""
    fields = [each for each in row._meta.concrete_fields if not each.primary_key]  # noqa: SLF001 Django's documented name
    values = {each.attname: each.to_python(getattr(row, each.attname)) for each in fields}
    if isinstance(row, OrderRow):
        values["document"] = order_in(row)
    elif isinstance(row, ExecutionRow):
        del values["state"]
    return values
