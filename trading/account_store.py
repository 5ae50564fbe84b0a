"""Accounts of the database: events are appended if nobody else appended any since the state was read, and are verified by a replay."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec
from django.db import transaction

from trading.core.account import AccountState, apply, copied, decoded_state, encoded_state
from trading.core.account_store import AccountStore, Decision, RecordedEvent
from trading.core.events import Event, OrderAccepted, decoded
from trading.core.matching import Record
from trading.exceptions import NoSuchAccount
from trading.journal import Journal, keep_committed, state_of
from trading.models import Account
from web.correlation import correlation_id

T = TypeVar("T")
_EVENTS_AT_ONCE = 1_000


@dataclass(slots=True)
class DatabaseStore(AccountStore):
    """The accounts that a process or a call works with."""

    accounts: dict[str, Account] = field(default_factory=dict)

    def act(self, name: str, decide: Decision, *, at_ns: int) -> list[RecordedEvent]:
        """Do as the store in memory, and write the events and the rows that follow from them.

        If another process was first, the account is read again, now locked, and the decision is made a second time. Raises
        NoSuchAccount, and what the decision raises.
        """
        for locks in (False, True):
            if locks or name not in self.states:
                self.read(name, locks=locks)
            journal = Journal(self.accounts[name])
            recorded = self._decide(name, decide, journal.take, at_ns)
            if not recorded or self._append(journal, self.states[name]):
                break
            assert not locks  # noqa: S101 nobody else changes a locked account
        return recorded

    def _append(self, journal: Journal, state: AccountState) -> bool:
        return journal.append(state)

    def read(self, name: str, *, locks: bool = False) -> None:
        """Read an account. locks: whether nobody else may change it until the transaction ends. Raises NoSuchAccount."""
        self.states.pop(name, None)
        rows = Account.objects.select_for_update() if locks else Account.objects.all()
        account = rows.filter(name=name).first()
        if account is None:
            raise NoSuchAccount(f"there is no account {name}")
        self._load(account)

    def _load(self, account: Account) -> None:
        self.accounts[account.name] = account
        self.put(copied(state_of(account)))


def account_act(name: str, decide: Callable[[AccountState, Record], T], *, at_ns: int) -> T:
    """Let a decision record events of an account in one transaction, and return what it returns.

    Nobody else changes the account meanwhile. Raises NoSuchAccount, and what the decision raises.
    """
    store, results, call = DatabaseStore(), list[T](), correlation_id()

    def of_call(state: AccountState, record: Record) -> None:
        def record_stamped(event: Event) -> object:
            if call and isinstance(event, OrderAccepted):
                event = msgspec.structs.replace(event, correlation_id=call)
            return record(event)

        results.append(decide(state, record_stamped))

    with transaction.atomic():
        store.read(name, locks=True)
        if store.act(name, of_call, at_ns=at_ns):
            keep_committed(store.accounts[name].pk, store.states[name])
    return results[0]


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
