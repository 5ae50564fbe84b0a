"""Whether the stored state of an account is what follows from its events."""

from collections.abc import Iterator
from typing import Any

import msgspec
from django.db import transaction

from trading.core.account import AccountState, apply, decoded_state, encoded_state
from trading.core.events import decoded
from trading.models import Account

_EVENTS_AT_ONCE = 1_000


def account_verify(*, account: Account) -> str | None:
    """Replay all events, and return the first difference to the stored state, as a sentence; None if there is none."""
    state = AccountState(id=account.name)
    difference = next(_differences(account, state), None)
    if difference is not None:
        return difference
    # Only what was recorded meanwhile is replayed under the lock, for which all others wait.
    with transaction.atomic():
        locked = Account.objects.select_for_update().get(pk=account.pk)
        return next(_differences(locked, state, is_locked=True), None)


def _differences(account: Account, state: AccountState, *, is_locked: bool = False) -> Iterator[str]:
    """Apply the events after the state's, and yield how the stored state differs from what follows."""
    snapshot = account.snapshots.order_by("-number").first()
    later = account.events.filter(number__gt=state.number).order_by("number")
    for row in later.iterator(chunk_size=_EVENTS_AT_ONCE):
        if row.number != state.number + 1:
            yield f"event {state.number + 1} is missing"
        apply(state, decoded(row.body), at_ns=row.at_ns)
        if snapshot is not None and snapshot.number == row.number:
            yield from _changed(state, decoded_state(snapshot.state.encode()))
    if is_locked:
        if state.number != account.number:
            yield f"the last event is {state.number}, the account says {account.number}"
        yield from _unbalanced(state)


def _changed(state: AccountState, stored: AccountState) -> Iterator[str]:
    """Yield what differs in the state that others begin from."""
    expected, found = (msgspec.json.decode(encoded_state(each)) for each in (state, stored))
    for name, value in expected.items():
        if found[name] != value:
            yield f"the state's {name} is {found[name]}, by the events it is {value}"


def _unbalanced(state: AccountState) -> Iterator[str]:
    totals: dict[str, Any] = {}
    for key, amount in state.balances.items():
        currency = key.split()[1]
        totals[currency] = totals.get(currency, 0) + amount
    for currency, total in totals.items():
        if total:
            yield f"the ledger's entries in {currency} add up to {total}, not to 0"
