"""The store of accounts in memory, which the store in the database inherits. Accounts change only by `act`."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from trading.core.account import AccountState, Effects, apply
from trading.core.events import Event
from trading.core.matching import Record

Decision = Callable[[AccountState, Record], object]
"""Decides in the state of an account which events follow, and records them. It changes the state in no other way."""
AccountDecision = tuple[str, Decision]
"""The name of an account, and a decision for it."""


class RecordedEvent(NamedTuple):
    """An event of an account, what it changed, and the state after it. number: the event's number in the account.

    The state and the orders of `effects` change with later events: do not keep them.
    """

    at_ns: int
    account: str
    number: int
    event: Event
    effects: Effects
    state: AccountState


@dataclass(slots=True)
class AccountStore:
    """Accounts in memory. keep: is given each event. states: by account; only `act` changes them.

    version: grows with each change. changed: the accounts that changed since somebody cleared it.
    """

    keep: Callable[[RecordedEvent], object] = lambda _: None
    states: dict[str, AccountState] = field(default_factory=dict)
    version: int = 0
    changed: set[str] = field(default_factory=set)
    _symbols_of: dict[str, set[str]] = field(default_factory=dict)
    _accounts_of: dict[str, set[str]] = field(default_factory=dict)

    @property
    def symbols(self) -> Collection[str]:
        """The symbols that accounts hold or order."""
        return self._accounts_of.keys()

    def of_symbol(self, symbol: str) -> list[str]:
        """Return the accounts that hold or order a symbol, sorted."""
        return sorted(self._accounts_of.get(symbol, ()))

    def act(self, name: str, decide: Decision, *, at_ns: int) -> list[RecordedEvent]:
        """Let a decision record events of an account, and return them. A new account begins with its first event."""
        return self._decide(name, decide, self.keep, at_ns)

    def act_each(self, decisions: Iterable[AccountDecision], *, at_ns: int) -> bool:
        """Do as `act` for several decisions in turn, each after those before it. Return whether any recorded something."""
        recorded = [self.act(name, decide, at_ns=at_ns) for name, decide in decisions]
        return any(recorded)

    def put(self, state: AccountState) -> None:
        """Store an account's new state."""
        name = state.id
        before, after = self._symbols_of.get(name, set()), state.symbols()
        for symbol in before - after:
            self._accounts_of[symbol].discard(name)
            if not self._accounts_of[symbol]:
                del self._accounts_of[symbol]
        for symbol in after - before:
            self._accounts_of.setdefault(symbol, set()).add(name)
        self.states[name], self._symbols_of[name] = state, after
        self.changed.add(name)
        self.version += 1

    def _decide(
        self, name: str, decide: Decision, take: Callable[[RecordedEvent], object], at_ns: int
    ) -> list[RecordedEvent]:
        """Run a decision on the state itself. take: is given each event at once.

        If the decision raises, the state may be half changed, and is thrown away.
        """
        state, recorded = self.states.get(name) or AccountState(id=name), list[RecordedEvent]()

        def record(event: Event) -> None:
            effects = apply(state, event, at_ns=at_ns)
            recorded.append(RecordedEvent(at_ns, name, state.number, event, effects, state))
            take(recorded[-1])

        try:
            decide(state, record)
        except BaseException:
            self.states.pop(name, None)
            raise
        if recorded:
            self.put(state)
        return recorded
