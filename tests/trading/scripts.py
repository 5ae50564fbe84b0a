"""Accounts in memory that do what a script says, over the rows of a store."""

from collections.abc import Callable, Iterable, Sequence

from store.declarations import Dataset
from store.market_store import MarketStore
from store.protocol import ALL_TIME
from store.timestamps import SECOND_NS
from store.walk import BEGINNING, LogPosition
from trading.core.acceptance import accept, judge
from trading.core.account import AccountState
from trading.core.account_store import AccountDecision, AccountStore, RecordedEvent
from trading.core.events import Event, encoded
from trading.core.matching import Record
from trading.core.orders import OrderTerms
from trading.engine.floor import Floor
from trading.engine.logs import DataClock, FollowedLog, ReadPosition, merged
from trading.market.followed import FollowedMarket
from trading.market.market import Market
from trading.market.views import market_view

Input = Event | OrderTerms | Callable[[AccountState, Record], object]
Step = tuple[int, Sequence[Input]]


class Script:
    """Inputs of an account at their instants: events, orders, acts."""

    def __init__(self, account: str, steps: Iterable[Step], market: Market) -> None:
        self._account, self._steps, self._market = account, list(steps), market

    def next_ns(self) -> int | None:
        return self._steps[0][0] if self._steps else None

    def due(self, now_ns: int) -> list[AccountDecision]:
        at_ns, inputs = self._steps.pop(0)
        assert at_ns == now_ns

        def act(state: AccountState, record: Record) -> None:
            for each in inputs:
                self._do(each, now_ns, state, record)

        return [(self._account, act)]

    def _do(self, given: Input, now_ns: int, state: AccountState, record: Record) -> None:
        if isinstance(given, OrderTerms):
            view = market_view(self._market, state, given, now_ns=now_ns)
            found = judge(state, given, view, now_ns=now_ns)
            if found.is_passed:
                accept(state, record, found, view, now_ns=now_ns, by="test")
        elif callable(given):
            given(state, record)
        else:
            record(given)


def run_script(
    store: MarketStore,
    logs: Iterable[tuple[Dataset, str]],
    steps: Sequence[Step],
    *,
    until_ns: int,
    account: str = "ACC",
) -> list[tuple[int, int, str]]:
    """Return the events of an account that follows a script: number, instant, bytes. It begins with events."""
    clock, kept = DataClock(), list[RecordedEvent]()
    start = ReadPosition(BEGINNING, ALL_TIME.start_ns)
    followed = {
        (dataset.name, symbol): FollowedLog(store, clock, dataset, symbol, start) for dataset, symbol in logs
    }

    def place_of(dataset: str, symbol: str) -> LogPosition | None:
        log = followed.get((dataset, symbol))
        return None if log is None else log.place.position

    accounts, script = AccountStore(kept.append), Script(account, steps, Market(store, place_of=place_of))
    begin_ns = steps[0][0]
    accounts.act_each(script.due(begin_ns), at_ns=begin_ns)
    floor = Floor(accounts, clock, FollowedMarket(store, place_of=place_of))

    def pass_time(now_ns: int) -> None:
        second = clock.now_ns // SECOND_NS
        while (next_ns := script.next_ns()) is not None and next_ns < now_ns:
            floor.pass_time(next_ns, has_rows=True)
            accounts.act_each(script.due(next_ns), at_ns=next_ns)
            floor.pass_time(next_ns, has_rows=True)
        floor.pass_time(now_ns)
        # As `Floor.go_on` does: an order does not move the engine's clock.
        if clock.now_ns // SECOND_NS > second:
            floor.value()
            floor.pass_time(now_ns)

    pass_time(begin_ns)
    for arrival in merged(followed.values()):
        if arrival.known_ns > until_ns:
            break
        pass_time(arrival.known_ns)
        followed[arrival.dataset, arrival.symbol].place = arrival.place
        if arrival.row is not None:
            floor.take(arrival.row)
        pass_time(arrival.known_ns)
    pass_time(until_ns + 1)
    return [(each.number, each.at_ns, encoded(each.event)) for each in kept]
