"""Whether what is stored of an account is what follows from its events."""

from collections.abc import Iterator
from itertools import zip_longest
from typing import Any

import msgspec
from django.db import transaction
from django.db.models import Model

from trading.core.account import AccountState, encoded_state
from trading.core.events import decoded
from trading.journal import Journal
from trading.models import Account, ExecutionRow, OrderRow

_Row = dict[str, Any]
# A protective leg's instant moves with its parent's first fill, which rewrites no row of the leg.
_NOT_KEPT = "matches_after_ns"


def account_verify(*, account: Account) -> str | None:
    """Replay all events, and return the first difference to what is stored, as a sentence; None if there is none."""
    journal = Journal(account, AccountState(id=account.name))
    missing = _replay(journal)
    if missing is not None:
        return missing
    # Only what was recorded meanwhile is replayed under the lock, for which all others wait.
    with transaction.atomic():
        journal.account = Account.objects.select_for_update().get(pk=account.pk)
        return _replay(journal) or next(_differences(journal), None)


def _replay(journal: Journal) -> str | None:
    """Record the events of an account after the last one that was, and return what is missing."""
    later = journal.account.events.filter(number__gt=journal.state.number).order_by("number")
    for row in later.iterator():
        if row.number != journal.state.number + 1:
            return f"event {journal.state.number + 1} is missing"
        journal.record(decoded(row.body), at_ns=row.at_ns)
    return None


def _differences(journal: Journal) -> Iterator[str]:
    account, state = journal.account, journal.state
    if state.number != account.number:
        yield f"the last event is {state.number}, the account says {account.number}"
    expected, found = (msgspec.json.decode(text) for text in (encoded_state(state), account.state))
    for name, value in expected.items():
        if found.get(name) != value:
            yield f"the state's {name} is {found.get(name)}, by the events it is {value}"
    yield from _unbalanced(state)
    for kind, rows in journal.rows().items():
        yield from _of_table(account, kind, rows)


def _of_table(account: Account, kind: type[Any], expected: list[Any]) -> Iterator[str]:
    """Rows are compared in the order in which they were made; those that are found by their UUID, in its order."""
    stored = kind.objects.filter(account=account).order_by("pk")
    if kind in {OrderRow, ExecutionRow}:
        stored = stored.order_by("uuid")
        expected = sorted(expected, key=lambda row: str(row.uuid))
    for found, wanted in zip_longest(map(_values, stored.iterator()), map(_values, expected)):
        if found != wanted:
            yield f"a row of {kind._meta.db_table} is {found}, by the events it is {wanted}"  # noqa: SLF001 Django's documented name


def _unbalanced(state: AccountState) -> Iterator[str]:
    totals: dict[str, Any] = {}
    for key, amount in state.balances.items():
        currency = key.split()[1]
        totals[currency] = totals.get(currency, 0) + amount
    for currency, total in totals.items():
        if total:
            yield f"the ledger's entries in {currency} add up to {total}, not to 0"


def _values(row: Model) -> _Row:
    """Return a row's columns as they are stored, but for its id."""
    fields = [each for each in row._meta.concrete_fields if not each.primary_key]  # noqa: SLF001 Django's documented name
    values = {each.attname: each.to_python(getattr(row, each.attname)) for each in fields}
    if isinstance(row, OrderRow):
        document = msgspec.json.decode(row.document)
        values["document"] = {name: value for name, value in document.items() if name != _NOT_KEPT}
    return values
