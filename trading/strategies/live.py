"""A strategy at work for an account: it is told of bars, rows and fills, its orders are placed, and its `State` is saved."""

import mmap
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from heapq import merge
from itertools import groupby
from operator import itemgetter

import msgspec
from django.db.models import F

from store.datasets import QUOTES, TRADES
from store.timestamps import DAY_NS, EARLIEST_NS, SECOND_NS
from trading.core.account import AccountState, Assignment, apply
from trading.core.account_store import AccountDecision, AccountStore, RecordedEvent
from trading.core.events import STRATEGY_ALERT, Alert, decoded
from trading.core.matching import Record
from trading.engine.logs import FollowedLog, WallClock, merged
from trading.journal import replayed
from trading.market.symbols import market
from trading.models import Account, EventRow, OrderRow, RunningStrategy
from trading.services.assigning import StrategyReplaced, check_runs, strategy_act
from trading.strategies.catalogue import StrategyError, parameters_of, strategy_named
from trading.strategies.host import StrategyHost
from trading.strategies.past_bars import PastBars, interval_start_ns
from trading.strategies.stored import first_day_ns, stored_rows
from trading.strategies.strategy import Bar

_BYTES, _FAILURE_FROM = 4096, 8


class WatchedCalls:
    """Since when the strategy has not answered a call, and why it failed. Each call costs a microsecond.

    The monotonic clock is the same in all processes.
    """

    def __init__(self, descriptor: int | None = None) -> None:
        """descriptor: of the memory that another process made; None makes it."""
        if descriptor is None:
            with tempfile.TemporaryFile() as file:
                file.truncate(_BYTES)
                descriptor = os.dup(file.fileno())
        self.descriptor = descriptor
        self._memory = mmap.mmap(descriptor, _BYTES)
        self._called_ns = memoryview(self._memory)[:_FAILURE_FROM].cast("q")

    @contextmanager
    def call(self) -> Iterator[None]:
        """The strategy is called meanwhile."""
        self._called_ns[0] = time.monotonic_ns()
        try:
            yield
        finally:
            self._called_ns[0] = 0

    def forget(self) -> None:
        """The strategy is not called now: its process has ended."""
        self._called_ns[0] = 0

    @property
    def unanswered_seconds(self) -> float:
        """For how long the strategy has not answered a call; 0 if it is not called now."""
        called_ns = self._called_ns[0]
        return (time.monotonic_ns() - called_ns) / 1e9 if called_ns else 0.0

    @property
    def failure(self) -> str:
        """Why the strategy failed; empty if it did not say."""
        return self._memory[_FAILURE_FROM:].rstrip(b"\0").decode(errors="replace")

    @failure.setter
    def failure(self, words: str) -> None:
        written = words.encode(errors="replace")[: _BYTES - _FAILURE_FROM]
        self._memory[_FAILURE_FROM : _FAILURE_FROM + len(written)] = written

    def close(self) -> None:
        """Give the memory back."""
        self._called_ns.release()
        self._memory.close()
        os.close(self.descriptor)


# What is shown later than this is history; so are fills and timers.
_HISTORY_NS = 10 * SECOND_NS
# So often events of the account are looked for, and rows, if the strategy decides by single ones.
_EVENTS_SECONDS, _ROWS_SECONDS = 1.0, 0.1
MOST_STATE_BYTES = 2**20
# What the strategy is told, and when that happened.
_Told = tuple[int, Callable[[], Sequence[AccountDecision]]]


class LiveStrategy:
    """The strategy of an account. `step` tells it what is new.

    Bars are shown as they were known when they were due. Trades and quotes are those that come from its beginning on.
    clock: nanoseconds UTC.
    """

    def __init__(self, running: RunningStrategy, calls: WatchedCalls, *, clock: Callable[[], int]) -> None:
        """Create it, with the bars that it may look back at. Raises StrategyReplaced, StrategyError, and what it raises."""
        self._running, self._calls, self._clock = running, calls, clock
        self._account: Account = running.account
        self._state = replayed(self._account, running.number)
        check_runs(running, self._state)
        assert self._state.assignment is not None  # noqa: S101 it was checked
        self._market, self._reader = market(), stored_rows()
        self._begin(self._state.assignment)

    def _begin(self, assignment: Assignment) -> None:
        accounts, chosen, running = AccountStore(), assignment.strategy, self._running
        accounts.put(self._state)
        with self._calls.call():
            strategy_class = strategy_named(chosen.name)
            self._parameters = parameters_of(strategy_class, chosen.parameters)
            self._host = StrategyHost(
                account=self._account.name,
                accounts=accounts,
                market=self._market,
                symbols=chosen.symbols,
                strategy_class=strategy_class,
                parameters=self._parameters,
                now_ns=running.shown_ns,
                is_placed=self._is_placed,
            )
            if running.state:
                self._host.strategy.state = msgspec.json.decode(running.state, type=strategy_class.State)
        self._host.timers = running.timers
        self._settle_ns = {symbol: self._market.instrument(symbol).settle_ns for symbol in chosen.symbols}
        self._shown_ns = running.shown_ns
        self._logs = [
            FollowedLog.at_head(self._market.store, WallClock(), dataset, symbol)
            for symbol in chosen.symbols
            for dataset in (TRADES, QUOTES)
            if self._host.watches_rows
        ]
        self._is_unsaved = not running.state
        since_ns = assignment.at_ns - 1 - self._parameters.looked_back_ns
        if running.state:
            self._look_back(since_ns)
        else:
            self._show_history(since_ns)
        if strategy_class.sha256 != chosen.sha256:
            self._act([partial(_tell_changed, strategy_class.sha256)])

    def _show_history(self, since_ns: int) -> None:
        """Show the bars from before the assignment."""
        first_ns = first_day_ns(self._market, self._host.symbols)
        if first_ns is None:
            return
        self._host.is_history = True
        for shown_ns, bar in self._bars(max(since_ns, first_ns), self._shown_ns):
            with self._calls.call():
                self._host.show(shown_ns, bar)
        self._host.is_history = False

    def _look_back(self, since_ns: int) -> None:
        """Have the last bars that were shown before."""
        past = self._past(since_ns, self._shown_ns)
        if past is None:
            return
        for symbol in past.symbols:
            for shown_ns, bar in past.last(symbol, self._host.bars_kept, self._shown_ns):
                if shown_ns > since_ns:
                    self._host.add_past_bar(bar)

    def step(self) -> float:
        """Tell it what is new, and return the seconds until it should be told again.

        Raises StrategyReplaced, what the strategy raises, and the errors of the database and the store.
        """
        now_ns = self._clock()
        for at_ns, told in merge(self._due_bars(now_ns), self._new_rows(), key=itemgetter(0)):
            self._tell_own(at_ns)
            self._tell(at_ns, told)
        self._tell_own(now_ns)
        if self._is_unsaved:
            self._save()
        own_ns, seconds = self._host.next_ns(), _ROWS_SECONDS if self._logs else _EVENTS_SECONDS
        due_ns = self._next_bar_ns() if own_ns is None else min(own_ns, self._next_bar_ns())
        return min(max(due_ns - self._clock(), 0) / SECOND_NS, seconds)

    def _due_bars(self, now_ns: int) -> Iterator[_Told]:
        """Yield the bars that are due, those of an instant together."""
        if now_ns < self._next_bar_ns():
            return
        for shown_ns, bars in groupby(self._bars(self._shown_ns, now_ns), key=itemgetter(0)):
            yield shown_ns, partial(self._show, shown_ns, [bar for _, bar in bars])
        self._shown_ns = now_ns

    def _next_bar_ns(self) -> int:
        interval_ns = self._parameters.interval_ns
        return min(
            interval_start_ns(self._shown_ns - settle_ns, interval_ns) + interval_ns + settle_ns
            for settle_ns in self._settle_ns.values()
        )

    def _show(self, shown_ns: int, bars: Sequence[Bar]) -> Sequence[AccountDecision]:
        self._shown_ns = shown_ns
        for bar in bars:
            self._host.show(shown_ns, bar)
        return self._host.take_wanted()

    def _new_rows(self) -> Iterator[_Told]:
        for arrival in merged(self._logs):
            log = next(each for each in self._logs if (each.dataset.name, each.symbol) == arrival[1:3])
            log.place = arrival.place
            if arrival.row is not None:
                yield arrival.known_ns, partial(self._host.taken, arrival.row)

    def _tell_own(self, until_ns: int) -> None:
        """Tell it of new fills, and of timers up to an instant."""
        self._read_events()
        while (own_ns := self._host.next_ns()) is not None and own_ns <= until_ns:
            self._tell(own_ns, partial(self._host.due, own_ns))
            self._read_events()

    def _read_events(self) -> None:
        state, name = self._state, self._account.name
        rows = EventRow.objects.filter(account=self._account, number__gt=state.number).order_by("number")
        for body, at_ns in rows.values_list("body", "at_ns"):
            event = decoded(body)
            effects = apply(state, event, at_ns=at_ns)
            self._host.recorded(RecordedEvent(at_ns, name, state.number, event, effects, state))
        check_runs(self._running, state)

    def _tell(self, at_ns: int, told: Callable[[], Sequence[AccountDecision]]) -> None:
        """Tell it of something, and place its orders. What comes late is history, on which it places none."""
        self._host.is_history = self._clock() - at_ns > _HISTORY_NS
        with self._calls.call():
            wanted = told()
        self._host.is_history = False
        self._is_unsaved = True
        if wanted:
            self._act([decide for _, decide in wanted])

    def _act(self, decisions: Sequence[Callable[[AccountState, Record], object]]) -> None:
        now_ns = self._host.now_ns = self._clock()
        strategy_act(
            running=self._running, decisions=decisions, save=self._save, by=self._host.by, at_ns=now_ns
        )

    def _save(self) -> None:
        """Save what it must know to go on. Raises StrategyReplaced if another process did."""
        running, state = self._running, msgspec.json.encode(self._host.strategy.state)
        if len(state) > MOST_STATE_BYTES:
            raise StrategyError(f"its State has {len(state):,} bytes, at most {MOST_STATE_BYTES:,}")
        saved = RunningStrategy.objects.filter(
            pk=running.pk, assignment=running.assignment, saves=running.saves
        ).update(
            state=state.decode(),
            shown_ns=self._shown_ns,
            number=self._state.number,
            timers=self._host.timers,
            saves=F("saves") + 1,
        )
        if not saved:
            raise StrategyReplaced(f"another process runs the strategy of the account {self._account.name}")
        running.saves += 1
        self._is_unsaved = False

    def _is_placed(self, client_order_id: str) -> bool:
        return OrderRow.objects.filter(account=self._account, client_order_id=client_order_id).exists()

    def _bars(self, after_ns: int, until_ns: int) -> Iterator[tuple[int, Bar]]:
        """Yield the bars that are due in (after_ns, until_ns]."""
        bars = self._past(after_ns, until_ns) or ()
        return (each for each in bars if after_ns < each[0] <= until_ns)

    def _past(self, after_ns: int, until_ns: int) -> PastBars | None:
        """Return the bars of a window that has all those that are due in (after_ns, until_ns]; None if it has none."""
        interval_ns, settles_ns = self._parameters.interval_ns, self._settle_ns.values()
        start_ns = interval_start_ns(after_ns - max(settles_ns), interval_ns) - interval_ns
        start_ns = max(start_ns, EARLIEST_NS)
        end_ns = interval_start_ns(until_ns - min(settles_ns), interval_ns)
        if end_ns <= start_ns:
            return None
        return PastBars(
            self._reader,
            self._settle_ns,
            start_ns,
            end_ns,
            interval_ns,
            at_once_ns=DAY_NS,
        )


def _tell_changed(sha256: str | None, state: AccountState, record: Record) -> None:
    if state.assignment is not None:
        chosen = state.assignment.strategy
        message = f"The file of the strategy {chosen.name} has changed since it was assigned"
        record(Alert(kind=STRATEGY_ALERT, message=f"{message}: {sha256} runs, {chosen.sha256} was assigned."))
