"""An account's inputs over the stored rows of its symbols, under other limits."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from store.datasets import CORPORATE_ACTIONS, DATASETS
from store.protocol import ALL_TIME
from store.queries import QueryableStore
from store.walk import BEGINNING
from trading.core.account import AccountState, decoded_state, encoded_state
from trading.core.configuration import RiskConfig
from trading.core.events import FOLLOWING, Executed
from trading.engine.clock import EngineClock
from trading.engine.floor import Floor, RecordedEvent
from trading.engine.logs import Arrival, FollowedLog, ReadPosition
from trading.engine.marks import MarkBook
from trading.engine.memory_desk import MemoryDesk
from trading.engine.replaying import ReplayedLogs, run
from trading.market.market import Market
from trading.what_if.inputs import RecordedInputs, StoredEvent

_ROWS_AT_ONCE = 4_096


class _CountedLogs(ReplayedLogs):
    """Logs that tell how many rows were taken."""

    def __init__(self, logs: Iterable[FollowedLog], count: Callable[[int], object]) -> None:
        super().__init__(logs)
        self._count = count

    def arrivals(self) -> Iterator[Arrival]:
        for number, arrival in enumerate(super().arrivals(), 1):
            if number % _ROWS_AT_ONCE == 0:
                self._count(number)
            yield arrival


@dataclass(slots=True)
class AccountReplay:
    """What is replayed: an account's events after a state, in their order, until an instant.

    heads: the commits after which logs are read, by names such as `trades:AAPL`, beside those that the events name.
    change: see `RecordedInputs`. It also changes the limits of the state. count: is told how many rows were taken.
    """

    store: QueryableStore
    clock: EngineClock
    state: AccountState
    stored: list[StoredEvent]
    until_ns: int
    change: Callable[[RiskConfig], RiskConfig]
    since_ns: int | None = None
    heads: Mapping[str, str] = field(default_factory=dict)
    count: Callable[[int], object] = lambda _: None

    def was(self, keep: Callable[[RecordedEvent], object]) -> MemoryDesk:
        """Apply the account's own events."""
        desk = MemoryDesk(keep, {self.state.id: _copy(self.state)})
        for each in self.stored:
            desk.record(self.state.id, each.event, at_ns=each.at_ns)
        return desk

    def would_be(self, keep: Callable[[RecordedEvent], object]) -> tuple[MemoryDesk, RecordedInputs]:
        """Do the account's inputs again. Raises `LogRestored`, `LogUnreadable`."""
        logs = _CountedLogs(self._logs(), self.count)
        market = Market(self.store, place_of=logs.place_of)
        inputs = RecordedInputs(self.state.id, market, self.change)
        inputs.add(self.stored)

        def kept(recorded: RecordedEvent) -> None:
            if isinstance(recorded.event, Executed):
                inputs.executed[recorded.event.execution_id] = recorded.event
            keep(recorded)

        state = _copy(self.state)
        state.config = self.change(state.config)
        desk = MemoryDesk(kept, {state.id: state})
        floor = Floor(desk, self.clock, MarkBook(market), [inputs])
        begin_ns = inputs.next_ns() if self.since_ns is None else self.since_ns
        if begin_ns is not None:
            if not state.number:
                # Time does nothing to an account before it is opened.
                desk.act(inputs.due(begin_ns), at_ns=begin_ns)
            floor.pass_time(begin_ns)
        after_ns = ALL_TIME.start_ns if self.since_ns is None else self.since_ns
        run(floor, logs, until_ns=self.until_ns, after_ns=after_ns)
        return desk, inputs

    def _logs(self) -> Iterator[FollowedLog]:
        """Yield the logs that the events name, each after the first commit that is named."""
        tokens: dict[str, str] = dict(self.heads)
        for each in self.stored:
            if isinstance(each.event, FOLLOWING):
                tokens = {**each.event.commits, **tokens}
        for name, token in tokens.items():
            dataset_name, _, symbol = name.partition(":")
            dataset = DATASETS[dataset_name]
            if dataset is CORPORATE_ACTIONS:
                start = ReadPosition(BEGINNING, ALL_TIME.start_ns)
                yield FollowedLog(self.store, self.clock, dataset, symbol, start)
            else:
                yield FollowedLog.after(self.store, self.clock, dataset, symbol, token)


def _copy(state: AccountState) -> AccountState:
    return decoded_state(encoded_state(state))
