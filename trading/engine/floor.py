"""The floor: what rows of the market and passing time do to accounts. It knows no database, and reads no clock."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from heapq import heappop, heappush
from typing import NamedTuple, Protocol

from store.timestamps import DAY_NS
from trading.core import due
from trading.core.account import STOPPING, AccountState, Effects
from trading.core.acts import Act
from trading.core.events import BarPrint, Event, Print, RowRef
from trading.core.matching import Record, match_bar, match_print
from trading.core.rows import CorporateAction, MarketRow, RowCorrection
from trading.engine import actions, session_ends, settling
from trading.engine.clock import EngineClock
from trading.engine.closing import close_positions
from trading.engine.corrections import question
from trading.engine.days import begin_day, date_at, day_at
from trading.market.followed import FollowedMarket
from trading.market.hours import (
    bar_begins_in_session,
    bar_start_ns,
    first_price_ns,
    last_end_ns,
    session_end_ns,
)
from trading.market.market import bar_per_unit_now

# What time does may cause more: an order expires, so a position is closed, so an account is stopped.
_MOST_TURNS = 10
AccountAct = tuple[str, Act]
"""The name of an account, and an act for it."""


class RecordedEvent(NamedTuple):
    """An event of an account, what it changed, and the state after it. number: as in the database.

    The state, and the orders of `effects`, change with later events: look at them at once.
    """

    at_ns: int
    account: str
    number: int
    event: Event
    effects: Effects
    state: AccountState


class AccountsDesk(Protocol):
    """The accounts' states, and the only way in which they change.

    version: changes with the states. changed: the accounts that did since the floor cleared it.
    """

    @property
    def version(self) -> int: ...

    @property
    def changed(self) -> set[str]: ...

    @property
    def states(self) -> Mapping[str, AccountState]: ...

    def of_symbol(self, symbol: str) -> list[str]:
        """Return the accounts that hold or order a symbol."""

    def filled_by(self, ref: RowRef) -> list[tuple[str, str]]:
        """Return the executions that a row filled: accounts, and ids."""

    def act(self, acts: Iterable[AccountAct], *, at_ns: int) -> bool:
        """Do what acts record, and return whether anything was recorded.

        Only acts that would record something in the states before the call are done.
        """


class FloorFollower(Protocol):
    """Who acts for accounts as rows and instants come: a strategy, or a script of inputs."""

    def next_ns(self) -> int | None:
        """Return when it wants to act next, nanoseconds UTC; None for not by itself.

        It changes only when one of the other methods is called.
        """

    def due(self, now_ns: int) -> Sequence[AccountAct]:
        """Return what it does at that instant. It is asked again while `next_ns` is not later."""

    def taken(self, row: MarketRow) -> Sequence[AccountAct]:
        """Return what it does after a row that the accounts have had."""


class Floor:
    """Give it the rows in their order with `take`, and before and after each its instant with `pass_time`.

    due_ns: when time has something to do next, in the states since the last `pass_time`.

    A follower acts at its own instants, after the rows that are known then.
    """

    def __init__(
        self,
        desk: AccountsDesk,
        clock: EngineClock,
        market: FollowedMarket,
        followers: Sequence[FloorFollower] = (),
    ) -> None:
        self._desk, self._clock, self._market = desk, clock, market
        self._followers = followers
        self._actions = actions.KnownActions(market.known_splits)
        self.due_ns = 0
        self._passed_version = -1
        # When time has something to do next for each account, and these instants as a heap. Those of before are left in it.
        self._dues: dict[str, int] = {}
        self._queue: list[tuple[int, str]] = []
        self.look_again()
        # When the next follower wants to act.
        self._wanted_ns = self._next_ns()

    def take(self, row: MarketRow) -> None:
        """Do what follows from a row."""
        self._desk.act(self._acts_of(row), at_ns=self._clock.now_ns)
        for follower in self._followers:
            self._desk.act(follower.taken(row), at_ns=self._clock.now_ns)
        self._wanted_ns = self._next_ns()

    def know(self, row: MarketRow) -> None:
        """Take a corporate action or its correction, of which nothing follows yet; other rows are passed over."""
        of_row = row.before if isinstance(row, RowCorrection) else row
        if isinstance(of_row, CorporateAction) and isinstance(row, CorporateAction | RowCorrection):
            self._actions.take(row)
            self.look_again()

    def pass_time(self, now_ns: int, *, has_rows: bool = False) -> None:
        """Let followers do what they want to do before an instant, and do what is due up to it, for each account.

        has_rows: whether all rows that are known at this instant were taken.
        """
        if self._followers:
            self.followers_act(now_ns)
        self._pass_time(now_ns, has_rows=has_rows)

    @property
    def waiting(self) -> set[str]:
        """The symbols of which a dividend waits for stored bars: the next bar may decide who is paid."""
        return self._actions.waiting(self._clock.now_ns)

    def followers_look(self) -> None:
        """Ask the followers again when they want to act: accounts were changed by others."""
        self._wanted_ns = self._next_ns()

    def followers_act(self, before_ns: int) -> None:
        """Let followers do what they want to do before an instant."""
        while (next_ns := self._wanted_ns) is not None and next_ns < before_ns:
            self._pass_time(next_ns, has_rows=True)
            for follower in self._followers:
                wanted_ns = follower.next_ns()
                if wanted_ns is not None and wanted_ns <= next_ns:
                    self._desk.act(follower.due(next_ns), at_ns=self._clock.now_ns)
            self._wanted_ns = self._next_ns()
            self._pass_time(next_ns, has_rows=True)

    def _next_ns(self) -> int | None:
        instants = [follower.next_ns() for follower in self._followers]
        return min((each for each in instants if each is not None), default=None) if instants else None

    def _acts_of(self, row: MarketRow) -> list[AccountAct]:
        if isinstance(row, RowCorrection):
            if isinstance(row.before, CorporateAction):
                self.know(row)
                act = partial(actions.question_applied, row)
                return [(name, act) for name in self._desk.of_symbol(row.before.ref.symbol)]
            self._market.take(row)
            return question(row, self._desk.filled_by(row.before.ref))
        if isinstance(row, CorporateAction):
            self.know(row)
            return []
        if not self._market.take(row):
            return []
        return [(name, partial(self._apply, row)) for name in self._desk.of_symbol(row.ref.symbol)]

    def _apply(self, row: MarketRow, state: AccountState, record: Record) -> None:
        """Match a row with an account's orders, and value the account at it: what it fills is marked by it, too."""
        if isinstance(row, Print | BarPrint):
            self._match(row, state, record)
        now_ns = self._clock.now_ns
        if isinstance(row, BarPrint):
            self._actions.take_effect_within(row, self._market, now_ns, state, record)
        marks, day = self._market.marks(state, now_ns=now_ns), day_at(self._market, state, now_ns)
        due.revalue(state, marks, now_ns, day, record)

    def _match(self, row: Print | BarPrint, state: AccountState, record: Record) -> None:
        orders = state.orders_of(row.ref.symbol)
        if not orders or not self._may_fill(row):
            return
        if isinstance(row, BarPrint):
            session_ends.end_before(self._market, row, self._clock.now_ns, state, record)
        currency = orders[0].instrument.currency
        symbol, now_ns = row.ref.symbol, self._clock.now_ns
        rate_now = self._market.rate(currency, state.currency, now_ns=now_ns)
        if rate_now is None:
            return
        splits = self._market.splits(symbol, now_ns)
        session_end_ns = partial(self._session_end_ns, row)
        if isinstance(row, BarPrint):
            place = self._market.instrument(symbol), row.ref.timestamp_ns, row.end_ns
            bar = bar_per_unit_now(row, bar_start_ns(*place), splits, now_ns=now_ns)
            # Not before the bar that decided an order ended.
            opened_ns = max(first_price_ns(*place), row.ref.timestamp_ns)
            match_bar(
                state,
                bar,
                lambda: self._market.past_rate(currency, state.currency, at_ns=opened_ns) or rate_now,
                record,
                began_ns=opened_ns,
                session_end_ns=session_end_ns,
            )
        elif not any(row.ref.timestamp_ns < each.effect_ns <= now_ns for each in splits):
            # A late print from before a split is per old unit: it fills nothing.
            is_first = partial(self._market.is_first_of_session, row.ref)
            match_print(
                state,
                row,
                rate_now,
                record,
                session_end_ns=session_end_ns,
                is_first_of_session=is_first,
            )

    def _may_fill(self, row: Print | BarPrint) -> bool:
        """Return whether a row may fill and trigger orders by its time: not in a halt, and a bar only in sessions."""
        symbol, at_ns = row.ref.symbol, row.ref.timestamp_ns
        halts = self._market.halts(symbol, at_ns)
        if isinstance(row, Print):
            return halts is None or halts.begun_ns(at_ns) is None
        if halts is not None and halts.stops_bar(at_ns, row.end_ns):
            return False
        return bar_begins_in_session(self._market.instrument(symbol), at_ns, row.end_ns)

    def _session_end_ns(self, row: Print | BarPrint) -> int | None:
        """Return the end of a row's session; of a bar's that of the last bar as long as this one that begins in it."""
        begin_ns = row.ref.timestamp_ns
        end_ns = session_end_ns(self._market.instrument(row.ref.symbol), begin_ns)
        if end_ns is None or isinstance(row, Print):
            return end_ns
        return last_end_ns(begin_ns, row.end_ns - begin_ns, end_ns)

    def _pass_time(self, now_ns: int, *, has_rows: bool = False) -> None:
        now_ns = self._clock.advance(now_ns)
        if self._desk.version == self._passed_version and now_ns < self.due_ns:
            return
        changed, states = self._desk.changed, self._desk.states
        if now_ns >= self.due_ns:
            changed |= self._due_until(now_ns)
        names = sorted(changed)
        for _ in range(_MOST_TURNS):
            acts = [(name, act) for name in names for act in self._due(states[name], now_ns, has_rows)]
            if not acts or not self._desk.act(acts, at_ns=now_ns):
                break
        changed.clear()
        midnight_ns = (now_ns // DAY_NS + 1) * DAY_NS
        next_for_all_ns = _earlier(midnight_ns, self._actions.next_ns(now_ns))
        for name in names:
            due_ns = self._due_ns(states[name], now_ns, next_for_all_ns)
            if day_at(self._market, states[name], now_ns, has_rows=has_rows) != date_at(now_ns):
                due_ns = now_ns
            if self._dues.get(name) != due_ns:
                self._dues[name] = due_ns
                heappush(self._queue, (due_ns, name))
        self.due_ns = _earlier(next_for_all_ns, self._next_due_ns())
        self._passed_version = self._desk.version

    def _due_until(self, now_ns: int) -> set[str]:
        """Take the accounts from the queue for which time has something to do up to an instant."""
        names = set()
        while (due_ns := self._next_due_ns()) is not None and due_ns <= now_ns:
            _, name = heappop(self._queue)
            del self._dues[name]
            names.add(name)
        return names

    def _next_due_ns(self) -> int | None:
        queue, dues = self._queue, self._dues
        while queue and dues.get(queue[0][1]) != queue[0][0]:
            heappop(queue)
        return queue[0][0] if queue else None

    def _due_ns(self, state: AccountState, now_ns: int, latest_ns: int) -> int:
        due_ns = _earlier(latest_ns, due.next_due_ns(state))
        late_ns = self._clock.bars_late_ns
        due_ns = _earlier(due_ns, session_ends.next_end_ns(self._market, state, now_ns, late_ns))
        return _earlier(due_ns, settling.next_settlement_ns(self._market, state, now_ns))

    def look_again(self) -> None:
        """Look in each account whether something is due, also in those that did not change."""
        self._desk.changed.update(self._desk.states)
        self._passed_version = -1

    def forget_actions(self, symbol: str) -> None:
        """Forget the corporate actions of a symbol whose log is no longer followed."""
        self._actions.forget(symbol)

    def _due(self, state: AccountState, now_ns: int, has_rows: bool) -> list[Act]:
        """Return what time may do to an account in a state. has_rows: see `pass_time`."""
        acts: list[Act] = []
        if state.orders or state.override is not None:
            acts.append(lambda state, record: due.time_passed(state, now_ns, record))
        late_ns = self._clock.bars_late_ns
        end_ns = session_ends.next_end_ns(self._market, state, now_ns, late_ns)
        if end_ns is not None and end_ns <= now_ns:
            acts.append(partial(session_ends.end_due, self._market, now_ns, late_ns))
        if self._actions.are_known:
            acts.append(partial(self._actions.take_effect, self._market, now_ns))
        if settling.has_futures(state):
            acts.append(partial(settling.settle, self._market, now_ns))
        day = day_at(self._market, state, now_ns, has_rows=has_rows)
        if now_ns > 0 and state.day != day:
            acts.append(partial(begin_day, self._market, now_ns, day))
        if state.status == STOPPING:
            acts.append(partial(close_positions, self._market, now_ns))
        return acts


def _earlier(instant_ns: int, other_ns: int | None) -> int:
    return instant_ns if other_ns is None or instant_ns <= other_ns else other_ns
