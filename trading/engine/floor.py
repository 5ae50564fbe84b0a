"""The floor: applies rows of the market and passing time to accounts. It knows no database, and reads no clock."""

from functools import partial
from heapq import heappop, heappush

from store.timestamps import DAY_NS, SECOND_NS
from trading.core import due
from trading.core.account import STOPPING, AccountState
from trading.core.account_store import AccountDecision, AccountStore, Decision
from trading.core.events import BarPrint, Event, Executed, Print
from trading.core.matching import Record, match_bar, match_print
from trading.core.rows import CorporateAction, MarketRow, Quote, RowCorrection
from trading.engine import actions
from trading.engine.logs import EngineClock
from trading.engine.passing import (
    begin_day,
    close_positions,
    date_at,
    day_at,
    expire_before,
    expire_due,
    has_futures,
    next_expiry_ns,
    next_settlement_ns,
    settle_futures,
)
from trading.market.followed import FollowedMarket
from trading.market.hours import (
    bar_begins_in_session,
    bar_start_ns,
    dates_end_ns,
    first_price_ns,
    last_end_ns,
    session_end_ns,
)
from trading.market.prices import bar_per_unit_now

# One expiry may cause the next step: an order expires, so a position is closed, so an account is stopped.
_MOST_TURNS = 10


class Floor:
    """Call `pass_time`, `take` and `pass_time` for each row, in the order of time.

    Rows fill and trigger orders; `value` values the accounts. due_ns: the next instant at which `pass_time` has work, in
    the states since its last call. equity_ns: how often the equity of an account is recorded while it changes.
    """

    def __init__(
        self,
        accounts: AccountStore,
        clock: EngineClock,
        market: FollowedMarket,
        equity_ns: int = due.EQUITY_NS,
    ) -> None:
        self._accounts, self._clock, self._market, self._equity_ns = accounts, clock, market, equity_ns
        self._actions = actions.KnownActions(market)
        self.due_ns = 0
        self._passed_version = -1
        # The next instant of each account, and these as a heap. It keeps outdated ones, which `_next_due_ns` drops.
        self._dues: dict[str, int] = {}
        self._queue: list[tuple[int, str]] = []
        self.look_again()

    def take(self, row: MarketRow) -> None:
        """Do what follows from a row."""
        self._accounts.act_each(self._decisions_of(row), at_ns=self._clock.now_ns)

    def know(self, row: MarketRow) -> None:
        """Take a corporate action or its correction, of which nothing follows yet; other rows are passed over."""
        of_row = row.before if isinstance(row, RowCorrection) else row
        if isinstance(of_row, CorporateAction) and isinstance(row, CorporateAction | RowCorrection):
            self._actions.take(row)
            self.look_again()

    def paid_next(self, state: AccountState) -> set[str]:
        """Return the symbols of an account whose next price may pay a dividend."""
        return {each for each in state.symbols() if self._actions.pays_next(state, each, self._clock.now_ns)}

    def _decisions_of(self, row: MarketRow) -> list[AccountDecision]:
        if isinstance(row, RowCorrection):
            if isinstance(row.before, CorporateAction):
                self.know(row)
                question_applied = partial(actions.question_applied, row)
                return [(name, question_applied) for name in self._accounts.of_symbol(row.before.ref.symbol)]
            self._market.take(row)
            return []
        if isinstance(row, CorporateAction):
            self.know(row)
            return []
        if not self._market.take(row) or not isinstance(row, Print | BarPrint | Quote):
            return []
        states, names = self._accounts.states, self._accounts.of_symbol(row.ref.symbol)
        return [(name, partial(self._apply, row)) for name in names if self._concerns(row, states.get(name))]

    def _concerns(self, row: Print | BarPrint | Quote, state: AccountState | None) -> bool:
        """Return whether a row may fill orders of an account, or pay it a dividend. state: None if it could not be read."""
        symbol = row.ref.symbol
        if state is None:
            return False
        has_orders = not isinstance(row, Quote) and bool(state.orders_of(symbol))
        return has_orders or self._actions.pays_next(state, symbol, self._clock.now_ns)

    def _apply(self, row: Print | BarPrint | Quote, state: AccountState, record: Record) -> None:
        """Match a row with an account's orders. What it fills is marked by it at once.

        A dividend that left the price is paid in the same act: before the fills, or after those of a bar that it is inside.
        """
        now_ns, begin_ns, is_filled = self._clock.now_ns, row.ref.timestamp_ns, False

        def record_noting(event: Event) -> None:
            nonlocal is_filled
            is_filled |= isinstance(event, Executed)
            record(event)

        self._actions.pay(row, begin_ns, now_ns, state, record)
        if isinstance(row, Print | BarPrint):
            self._match(row, state, record_noting)
        if isinstance(row, BarPrint):
            last_ns = dates_end_ns(begin_ns, row.end_ns) - 1
            self._actions.pay(row, last_ns, now_ns, state, record)
        if is_filled:
            self._value(state, record, is_filled=True)

    def go_on(self, now_ns: int) -> None:
        """Pass time, and value the accounts if a new second has begun."""
        second = self._clock.now_ns // SECOND_NS
        self.pass_time(now_ns)
        if self._clock.now_ns // SECOND_NS > second:
            self.value()
            self.pass_time(self._clock.now_ns)

    def value(self) -> None:
        """Value the accounts that hold something, or whose cash has changed since their last mark."""
        states = self._accounts.states
        names = [name for name in sorted(states) if due.may_have_changed(states[name])]
        self._accounts.act_each([(name, self._value) for name in names], at_ns=self._clock.now_ns)

    def _value(self, state: AccountState, record: Record, *, is_filled: bool = False) -> None:
        now_ns = self._clock.now_ns
        marks, day = self._market.marks(state, now_ns=now_ns), day_at(self._market, state, now_ns)
        due.revalue(state, marks, now_ns, day, record, is_filled=is_filled, every_ns=self._equity_ns)

    def _match(self, row: Print | BarPrint, state: AccountState, record: Record) -> None:
        orders = state.orders_of(row.ref.symbol)
        if not orders or not self._may_fill(row):
            return
        if isinstance(row, BarPrint):
            expire_before(self._market, row, self._clock.now_ns, state, record)
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

    def pass_time(self, now_ns: int, *, has_rows: bool = False) -> None:
        """Do what is due up to an instant, for each account.

        has_rows: whether all rows that are known at this instant were taken.
        """
        now_ns = self._clock.advance(now_ns)
        if self._accounts.version == self._passed_version and now_ns < self.due_ns:
            return
        changed, states = self._accounts.changed, self._accounts.states
        if now_ns >= self.due_ns:
            changed |= self._due_until(now_ns)
        # An account that could not be read has no state.
        names = sorted(changed & states.keys())
        for _ in range(_MOST_TURNS):
            due_now = [(name, each) for name in names for each in self._due(states[name], now_ns, has_rows)]
            if not self._accounts.act_each(due_now, at_ns=now_ns):
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
        self._passed_version = self._accounts.version

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
        due_ns = _earlier(due_ns, next_expiry_ns(self._market, state, now_ns, late_ns))
        return _earlier(due_ns, next_settlement_ns(self._market, state, now_ns))

    def look_again(self) -> None:
        """Look in each account whether something is due, also in those that did not change."""
        self._accounts.changed.update(self._accounts.states)
        self._passed_version = -1

    def forget_actions(self, symbol: str) -> None:
        """Forget the corporate actions of a symbol whose log is no longer followed."""
        self._actions.forget(symbol)

    def _due(self, state: AccountState, now_ns: int, has_rows: bool) -> list[Decision]:
        """Return what time may do to an account in a state. has_rows: see `pass_time`."""
        found: list[Decision] = []
        if state.orders or state.override is not None:
            found.append(lambda state, record: due.time_passed(state, now_ns, record))
        late_ns = self._clock.bars_late_ns
        end_ns = next_expiry_ns(self._market, state, now_ns, late_ns)
        if end_ns is not None and end_ns <= now_ns:
            found.append(partial(expire_due, self._market, now_ns, late_ns))
        if self._actions.are_known:
            found.append(partial(self._actions.take_effect, now_ns))
        if has_futures(state):
            found.append(partial(settle_futures, self._market, now_ns))
        day = day_at(self._market, state, now_ns, has_rows=has_rows)
        if now_ns > 0 and state.day != day:
            found.append(partial(begin_day, self._market, now_ns, day))
        if state.status == STOPPING:
            found.append(partial(close_positions, self._market, now_ns))
        return found


def _earlier(instant_ns: int, other_ns: int | None) -> int:
    return instant_ns if other_ns is None or instant_ns <= other_ns else other_ns
