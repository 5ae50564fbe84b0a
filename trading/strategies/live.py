"""Strategies at work in the engine: each account that is assigned one has a host, and its checkpoint is stored with the logs' places."""

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TypeAlias

import msgspec

from store.protocol import ALL_TIME
from store.reading import Reader
from store.timestamps import DAY_NS, EARLIEST_NS, SECOND_NS
from trading.core.account import AccountState, Assignment
from trading.core.acts import Act
from trading.core.due import request_stop
from trading.core.events import STRATEGY_ALERT, Alert, StrategyAssigned
from trading.core.matching import Record
from trading.core.rows import MarketRow
from trading.engine.clock import EngineClock
from trading.engine.desk import is_passing
from trading.engine.floor import AccountAct, AccountsDesk, RecordedEvent
from trading.market.followed import FollowedMarket
from trading.models import Account
from trading.strategies.catalogue import parameters_of, strategy_named
from trading.strategies.host import HostCheckpoint, StrategyHost
from trading.strategies.models import StrategyCheckpoint
from trading.strategies.own_files import own_failure
from trading.strategies.past_bars import PastBars, interval_start_ns
from trading.strategies.revisions import Lateness, LateRows, lateness_of
from trading.strategies.stored import first_day_ns, store_place, stored_rows
from trading.strategies.strategy import Bar

# When a bar is shown, and the bar.
ShownBar: TypeAlias = tuple[int, Bar]

logger = logging.getLogger(__name__)

# On the wall clock a bar that is shown later than this is history; so are fills and timers.
_HISTORY_NS = 10 * SECOND_NS
# So long history is shown before other accounts have their turn.
_HISTORY_SECONDS = 0.01


class LiveCheckpoint(msgspec.Struct, kw_only=True):
    """What a live strategy must know to go on. shown_ns: bars were shown up to this instant. late: to be looked at."""

    host: HostCheckpoint
    shown_ns: int
    late: list[Lateness] = []


class LiveStrategy:
    """The strategy of an account, and the bars that it is shown.

    A bar is read when it is shown, so it is as it was known then. shown_ns: bars up to this instant were read.
    is_unsaved: something was told since its checkpoint was stored. The bars before its assignment are shown in parts; until
    they are over, rows are not shown, and its checkpoint is not stored.
    """

    def __init__(
        self,
        name: str,
        assignment: Assignment,
        *,
        desk: AccountsDesk,
        market: FollowedMarket,
        clock: EngineClock,
        reader: Callable[[], Reader],
    ) -> None:
        """Create it as of its assignment. Raises StrategyError, and the errors of the store."""
        self.assignment = assignment
        chosen, self._clock, self._reader = assignment.strategy, clock, reader
        strategy_class = strategy_named(chosen.name)
        self._parameters = parameters_of(strategy_class, chosen.parameters)
        self.host = StrategyHost(
            account=name,
            desk=desk,
            market=market,
            symbols=chosen.symbols,
            strategy_class=strategy_class,
            parameters=self._parameters,
            now_ns=assignment.at_ns,
        )
        instrument = market.instrument
        self._settle_ns = {symbol: instrument(symbol).settle_ns for symbol in chosen.symbols}
        self.shown_ns = assignment.at_ns - 1
        # Bars that were due after this instant were shown.
        self._since_ns = self.shown_ns - self._parameters.looked_back_ns
        self._late = LateRows(self._parameters.interval_ns, self._settle_ns)
        self._read: deque[ShownBar] = deque()
        self._market = market
        self._history: Iterator[ShownBar] | None = None
        self._history_ns = assignment.at_ns - 1
        self.is_unsaved = True

    def begin(self, checkpoint: LiveCheckpoint | None) -> None:
        """Begin with the bars before the assignment as history, or go on with a checkpoint."""
        if checkpoint is not None:
            self._restore(checkpoint)
        elif self._since_ns < self.shown_ns:
            self._history = self._bars_before()

    @property
    def is_beginning(self) -> bool:
        """Whether bars from before the assignment are still to be shown."""
        return self._history is not None

    def _bars_before(self) -> Iterator[ShownBar]:
        first_ns = first_day_ns(self._market, self.host.symbols)
        if first_ns is not None:
            self._await_late(self._since_ns, self.shown_ns)
            yield from self._bars(max(self._since_ns, first_ns), self.shown_ns)

    def _show_history(self, history: Iterator[ShownBar], now_ns: int) -> None:
        """Show bars from before the assignment, while others wait for some milliseconds at most."""
        until, turn_ns = time.monotonic() + _HISTORY_SECONDS, self._clock.turn_ns
        self.host.is_history = True
        try:
            for shown_ns, bar in history:
                self._revise_until(shown_ns)
                self.host.show(shown_ns, bar)
                if turn_ns and time.monotonic() > until:
                    self._history_ns = now_ns + turn_ns
                    return
            self._revise_until(self.shown_ns)
            self._history = None
        finally:
            self.host.is_history = False

    def _restore(self, checkpoint: LiveCheckpoint) -> None:
        """Go on with a checkpoint, and with the bars that the strategy could look back at."""
        self.shown_ns, self._late.rows = checkpoint.shown_ns, checkpoint.late
        known_at_ns = checkpoint.host.now_ns if self.host.watches_revisions else None
        if past := self._past(self._since_ns, self.shown_ns, known_at_ns):
            for symbol in past.symbols:
                for shown_ns, bar in past.last(symbol, self.host.strategy.bars_kept, self.shown_ns):
                    if shown_ns > self._since_ns:
                        self.host.add_past_bar(bar)
        self.host.restore(checkpoint.host)

    def checkpoint(self) -> bytes:
        """Return what it must know to go on, as JSON."""
        checkpoint = LiveCheckpoint(host=self.host.checkpoint(), shown_ns=self.shown_ns, late=self._late.rows)
        return msgspec.json.encode(checkpoint)

    def taken(self, row: MarketRow) -> Sequence[AccountAct]:
        """Show it a row, and return what it wants. The bar of the row is looked at next if it was read without the row."""
        host = self.host
        if not (host.watches_rows or host.watches_revisions) or row.ref.symbol not in host.symbols:
            return ()
        self.is_unsaved = True
        if host.watches_revisions:
            at_ns = max(row.known_ns, self._clock.now_ns)
            self._late.note(row, at_ns, after_ns=self._since_ns, until_ns=self.shown_ns)
        if self.is_beginning:
            return ()
        with self.telling(row.known_ns):
            return host.taken(row)

    def next_ns(self) -> int:
        """Return when it is told something next: of a fill, a timer, a revision, or perhaps a bar."""
        if self.is_beginning:
            return self._history_ns
        interval_ns = self._parameters.interval_ns
        if self._read:
            bar_ns = self._read[0][0]
        else:
            bar_ns = min(
                interval_start_ns(self.shown_ns - settle_ns, interval_ns) + interval_ns + settle_ns
                for settle_ns in self._settle_ns.values()
            )
        own_ns = self.host.next_ns()
        return min(each for each in (bar_ns, own_ns, self._late.next_ns) if each is not None)

    def due(self, now_ns: int, until_ns: int) -> Sequence[AccountAct]:
        """Tell it of fills and timers, else of revisions, else of a bar. until_ns: bars up to there can be read at once."""
        self.is_unsaved = True
        if self._history is not None:
            self._show_history(self._history, max(now_ns, until_ns))
            return ()
        own_ns = self.host.next_ns()
        if own_ns is not None and own_ns <= now_ns:
            with self.telling(own_ns):
                return self.host.due(now_ns)
        late_ns = self._late.next_ns
        if late_ns is not None and late_ns <= now_ns:
            with self.telling(late_ns):
                self._revise_until(now_ns)
            return self.host.take_wanted()
        if not self._read:
            before_ns, self.shown_ns = self.shown_ns, max(now_ns, until_ns)
            self._await_late(before_ns, self.shown_ns)
            self._read.extend(self._bars(before_ns, self.shown_ns))
        if not self._read or self._read[0][0] > now_ns:
            return ()
        shown_ns, bar = self._read.popleft()
        with self.telling(shown_ns):
            self.host.show(shown_ns, bar)
        return self.host.take_wanted()

    @contextmanager
    def telling(self, at_ns: int) -> Iterator[None]:
        """What the strategy is told late is history."""
        self.host.is_history = self._clock.late_ns(at_ns) > _HISTORY_NS
        try:
            yield
        finally:
            self.host.is_history = False

    def _revise_until(self, now_ns: int) -> None:
        for known_ns, revision in self._late.revisions(self._reader(), now_ns):
            self.host.revise(known_ns, revision)

    def _await_late(self, after_ns: int, until_ns: int) -> None:
        """Note when rows that are stored already change bars that are due in (after_ns, until_ns]."""
        bars = self._past(after_ns, until_ns) if self.host.watches_revisions else None
        if bars is not None:
            self._late.add(lateness_of(bars, ALL_TIME.end_ns - 1), after_ns=after_ns, until_ns=until_ns)

    def _bars(self, after_ns: int, until_ns: int) -> Iterator[ShownBar]:
        """Yield the bars that are due in (after_ns, until_ns]."""
        bars = self._past(after_ns, until_ns) or ()
        return (each for each in bars if after_ns < each[0] <= until_ns)

    def _past(self, after_ns: int, until_ns: int, known_at_ns: int | None = None) -> PastBars | None:
        """Return the bars of a window that has all those that are due in (after_ns, until_ns]; None if it has none."""
        interval_ns, settles_ns = self._parameters.interval_ns, self._settle_ns.values()
        start_ns = interval_start_ns(after_ns - max(settles_ns), interval_ns) - interval_ns
        start_ns = max(start_ns, EARLIEST_NS)
        end_ns = interval_start_ns(until_ns - min(settles_ns), interval_ns)
        if end_ns <= start_ns:
            return None
        return PastBars(
            self._reader(),
            self._settle_ns,
            start_ns,
            end_ns,
            interval_ns,
            known_at_ns=known_at_ns,
            at_once_ns=DAY_NS,
        )


class LiveStrategies:
    """The strategies of all accounts: a follower of the engine. See `trading.engine.followers.EngineFollower`."""

    def __init__(self, desk: AccountsDesk, market: FollowedMarket, clock: EngineClock) -> None:
        self.until_ns = 0
        self._desk, self._market, self._clock = desk, market, clock
        self._lives: dict[str, LiveStrategy] = {}
        # What the engine does for strategies by itself, and since when it is to be done.
        self._own_acts: list[AccountAct] = []
        self._own_ns = 0
        self._opened: tuple[Path | str, Reader] | None = None

    def refresh(self) -> None:
        """Make the strategies that were assigned since, and forget those that were taken away."""
        for name, state in self._desk.states.items():
            live, assignment = self._lives.get(name), state.assignment
            if live is None or assignment is None or live.assignment.number != assignment.number:
                self._lives.pop(name, None)
                if assignment is not None:
                    self._guarded(name, partial(self._begin, name, assignment))
        for name in self._lives.keys() - self._desk.states.keys():
            del self._lives[name]

    def next_ns(self) -> int | None:
        """Return when a strategy is told something next."""
        if self._own_acts:
            return self._own_ns
        return min((live.next_ns() for live in self._lives.values()), default=None)

    def due(self, now_ns: int) -> Sequence[AccountAct]:
        """Tell the strategies what is due, and return what they want."""
        acts, self._own_acts = self._own_acts, []
        for name, live in list(self._lives.items()):
            if live.next_ns() <= now_ns:
                acts += self._guarded(name, partial(live.due, now_ns, self.until_ns - 1))
        return acts

    def taken(self, row: MarketRow) -> Sequence[AccountAct]:
        """Show a row to the strategies of its symbol, and return what they want."""
        acts: list[AccountAct] = []
        for name, live in list(self._lives.items()):
            acts += self._guarded(name, partial(live.taken, row))
        return acts

    def recorded(self, recorded: RecordedEvent) -> None:
        """Note the fills of a strategy, and its end."""
        live = self._lives.get(recorded.account)
        if live is not None:
            live.is_unsaved = True
            live.host.recorded(recorded)
            if isinstance(recorded.event, StrategyAssigned):
                del self._lives[recorded.account]

    def save(self) -> None:
        """Store what the strategies remember."""
        for name, live in list(self._lives.items()):
            if live.is_unsaved and not live.is_beginning:
                self._guarded(name, partial(_save, name, live))

    def _begin(self, name: str, assignment: Assignment) -> Sequence[AccountAct]:
        found = LiveStrategy(
            name, assignment, desk=self._desk, market=self._market, clock=self._clock, reader=self._reader
        )
        row = StrategyCheckpoint.objects.filter(account__name=name, assignment=assignment.number).first()
        found.begin(None if row is None else msgspec.json.decode(row.body, type=LiveCheckpoint))
        self._lives[name] = found
        if found.host.strategy.sha256 != assignment.strategy.sha256:
            self._will(name, partial(_tell_changed, found.host.strategy.sha256))
        return ()

    def _reader(self) -> Reader:
        place = store_place()  # another one once the store has moved
        if self._opened is None or self._opened[0] != place:
            self._opened = place, stored_rows()
        return self._opened[1]

    def _guarded(self, name: str, call: Callable[[], Sequence[AccountAct]]) -> Sequence[AccountAct]:
        """Return what a strategy wants. One that fails ends, and its account is stopped; the others go on."""
        try:
            return call()
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            if is_passing(error):
                raise
            logger.exception("the strategy of the account %s failed", name)
            self._lives.pop(name, None)
            words = own_failure(error) or f"{type(error).__name__}: {error}"
            self._will(name, partial(_end, words[:500]))
            return ()

    def _will(self, name: str, act: Act) -> None:
        if not self._own_acts:
            self._own_ns = self._clock.now_ns
        self._own_acts.append((name, act))


def _save(name: str, live: LiveStrategy) -> Sequence[AccountAct]:
    values = {"assignment": live.assignment.number, "body": live.checkpoint().decode()}
    account = Account.objects.only("pk").get(name=name)
    StrategyCheckpoint.objects.update_or_create(account=account, defaults=values)
    live.is_unsaved = False
    return ()


def _tell_changed(sha256: str | None, state: AccountState, record: Record) -> None:
    if state.assignment is not None:
        chosen = state.assignment.strategy
        message = f"The file of the strategy {chosen.name} has changed since it was assigned"
        record(Alert(kind=STRATEGY_ALERT, message=f"{message}: {sha256} runs, {chosen.sha256} was assigned."))


def _end(words: str, state: AccountState, record: Record) -> None:
    """End the assignment of a strategy that failed, and stop its account."""
    if state.assignment is not None:
        name = state.assignment.strategy.name
        reason = f"the strategy {name} failed: {words}"
        record(Alert(kind=STRATEGY_ALERT, message=f"{reason}. The account is stopped."))
        record(StrategyAssigned(strategy=None, reason=reason, by="engine"))
        request_stop(state, record, by="engine", reason=reason)
