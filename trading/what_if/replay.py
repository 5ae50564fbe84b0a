"""An account's inputs over the stored rows of its symbols, under other limits."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from store.datasets import CORPORATE_ACTIONS, DATASETS
from store.market_store import MarketStore
from store.protocol import ALL_TIME
from store.walk import BEGINNING, LogPosition
from trading.core.account import AccountState, decoded_state, encoded_state
from trading.core.configuration import RiskConfig
from trading.core.events import FOLLOWING
from trading.engine.clock import EngineClock
from trading.engine.floor import Floor, RecordedEvent
from trading.engine.logs import Arrival, FollowedLog, ReadPosition, merged
from trading.engine.marks import MarkBook
from trading.engine.memory_desk import MemoryDesk
from trading.market.market import Market
from trading.what_if.inputs import RecordedInputs, StoredEvent

_ROWS_AT_ONCE = 4_096


class TakenLogs:
    """Logs that are taken row by row. Give `place_of` to the `Market` of the marks: it then knows no later row.

    count: is told how many rows were taken, now and then.
    """

    def __init__(self, logs: Iterable[FollowedLog], count: Callable[[int], object] = lambda _: None) -> None:
        self._logs = {(log.dataset.name, log.symbol): log for log in logs}
        self._count = count

    def place_of(self, dataset: str, symbol: str) -> LogPosition | None:
        """Return how far a log was taken; None if it is not among these."""
        log = self._logs.get((dataset, symbol))
        return None if log is None else log.place.position

    def arrivals(self) -> Iterator[Arrival]:
        """Yield what the logs have left. Raises `LogRestored`, `LogUnreadable`."""
        for number, arrival in enumerate(merged(self._logs.values()), 1):
            if number % _ROWS_AT_ONCE == 0:
                self._count(number)
            yield arrival

    def move(self, arrival: Arrival) -> None:
        """Note that a row is taken."""
        self._logs[arrival.dataset, arrival.symbol].place = arrival.place


def run(floor: Floor, logs: TakenLogs, *, until_ns: int, after_ns: int = ALL_TIME.start_ns) -> None:
    """Let a floor take what is known until an instant, and its followers act until then.

    after_ns: rows that were known until then are passed over, but for corporate actions, which take effect later.
    """
    for arrival in logs.arrivals():
        if arrival.known_ns > until_ns:
            break
        row, is_new = arrival.row, arrival.known_ns > after_ns
        if is_new:
            floor.pass_time(arrival.known_ns)
        logs.move(arrival)
        if row is not None and is_new:
            floor.take(row)
        elif row is not None:
            floor.know(row)
        if is_new:
            floor.pass_time(arrival.known_ns)
    floor.followers_act(until_ns + 1)


@dataclass(slots=True)
class AccountReplay:
    """What is replayed: an account's events after a state, in their order, until an instant.

    heads: the commits after which logs are read, by names such as `trades:AAPL`, beside those that the events name.
    change: see `RecordedInputs`. It also changes the limits of the state. count: is told how many rows were taken.
    """

    store: MarketStore
    clock: EngineClock
    state: AccountState
    stored: list[StoredEvent]
    until_ns: int
    change: Callable[[RiskConfig], RiskConfig]
    since_ns: int | None = None
    heads: Mapping[str, str] = field(default_factory=dict)
    count: Callable[[int], object] = lambda _: None

    def apply_recorded(self, keep: Callable[[RecordedEvent], object]) -> None:
        """Apply the account's own events; each goes to `keep`."""
        desk = MemoryDesk(keep, {self.state.id: _copy(self.state)})
        for each in self.stored:
            desk.record(self.state.id, each.event, at_ns=each.at_ns)

    def run_changed(self, keep: Callable[[RecordedEvent], object]) -> RecordedInputs:
        """Do the account's inputs again under the changed limits, and return them with those that are refused now.

        Each event of now goes to `keep`. Raises `LogRestored`, `LogUnreadable`.
        """
        logs = TakenLogs(self._logs(), self.count)
        market = Market(self.store, place_of=logs.place_of)
        inputs = RecordedInputs(self.state.id, market, self.change)
        inputs.add(self.stored)

        def kept(recorded: RecordedEvent) -> None:
            inputs.note(recorded.event)
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
        return inputs

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
