"""Accounts in memory: what backtests have in the place of the database."""

from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial

from trading.core.account import AccountState, apply
from trading.core.acts import Act, would_record
from trading.core.events import Event, Executed, RowRef
from trading.engine.floor import RecordedEvent


@dataclass(slots=True)
class MemoryDesk:
    """The accounts' states in memory; the events go to `keep`, such as the `append` of a list.

    It decides as the desk of the database does, so the same inputs give the same events. An act that fails raises.
    executed: the symbols of which orders were filled.
    """

    keep: Callable[[RecordedEvent], object]
    states: dict[str, AccountState] = field(default_factory=dict)
    version: int = 0
    changed: set[str] = field(default_factory=set)
    executed: set[str] = field(default_factory=set)
    _filled_by: dict[tuple[str, str, str, int], list[tuple[str, str]]] = field(
        default_factory=lambda: defaultdict(list)
    )

    def of_symbol(self, symbol: str) -> list[str]:
        """Return the accounts that hold or order a symbol."""
        return [name for name, state in self.states.items() if symbol in state.symbols()]

    def filled_by(self, ref: RowRef) -> list[tuple[str, str]]:
        """Return the executions that a row filled: accounts, and ids."""
        return self._filled_by.get(_place(ref), [])

    def act(self, acts: Iterable[tuple[str, Act]], *, at_ns: int) -> bool:
        """Do what acts record. See `trading.engine.floor.AccountsDesk`."""
        rest, changed = deque(acts), set[str]()
        if not rest:
            return False
        while rest:
            name, act = rest.popleft()
            act(self.states[name], partial(self._record_of_act, name, at_ns, rest, changed))
        self.version += bool(changed)
        return bool(changed)

    def _record_of_act(
        self, name: str, at_ns: int, rest: deque[tuple[str, Act]], changed: set[str], event: Event
    ) -> None:
        if name not in changed:
            # The account's other acts are done only if they would record something before this event.
            changed.add(name)
            if rest:
                state = self.states[name]
                wanted = [each for each in rest if each[0] != name or would_record(each[1], state)]
                rest.clear()
                rest.extend(wanted)
        self.record(name, event, at_ns=at_ns)

    def record(self, name: str, event: Event, *, at_ns: int) -> None:
        """Apply an event to an account, and keep it. A new account begins with its first event."""
        state = self.states.get(name)
        if state is None:
            state = self.states[name] = AccountState(id=name)
        effects = apply(state, event, at_ns=at_ns)
        self.changed.add(name)
        if isinstance(event, Executed):
            self.executed.add(event.print.ref.symbol)
            self._filled_by[_place(event.print.ref)].append((name, event.execution_id))
        self.keep(RecordedEvent(at_ns, name, state.number, event, effects, state))


def _place(ref: RowRef) -> tuple[str, str, str, int]:
    return ref.dataset, ref.symbol, ref.commit, ref.ordinal
