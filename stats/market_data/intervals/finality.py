"""Decides which bars are final: those up to whose end a log is known to be complete."""

import threading
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from cachetools import LRUCache, cached

from calendars.schedule import Hours, Schedule
from calendars.trading_calendar import TradingCalendar
from stats.caching.keys import Irrelevant
from stats.market_data.exchange_reach import exchange_reach
from stats.market_data.intervals.windows import over_until_ns_of
from stats.market_data.plan import SymbolQuery
from stats.market_data.query import MarketDataQuery
from store.arrays import Integers, Mask
from store.bar_policies import EVERY_PRINT, BarPolicy
from store.datasets import TRADES
from store.instrument_calendars import calendar_if_known
from store.log import Snapshot
from store.log_views.bar_grid import BarGrid, utc_grid
from store.log_views.log_view import LogView
from store.log_views.trade_bars import is_of_auctions, last_price_ns
from store.protocol import ALL_TIME, Window
from store.resolutions import Resolution
from store.timestamps import DAY_NS, SECOND_NS
from store.window_list import WindowList

# If the exchange's feed has not come as far as the end of a session, it is asked for again after this time.
_ASKED_AGAIN_NS = SECOND_NS
# In so many days before today a print of an auction shows that the feed has such prints.
_AUCTION_DAYS_NS = 7 * DAY_NS
MOST_KEPT = 8_192


@dataclass(frozen=True, slots=True)
class FinalBars:
    """Tells which bars are final.

    Bars that end by `until_ns` are. Bars that begin at `stored_from_ns` or later are made of stored bars alone. They
    are final if they end by `over_until_ns`, because their interval is over. expires_ns: when `until_ns` may grow although
    nothing is written to the log; None if it cannot.
    """

    until_ns: int
    expires_ns: Annotated[int | None, Irrelevant("it says when to ask again, not which bars are final")] = (
        None
    )
    stored_from_ns: int = ALL_TIME.end_ns
    over_until_ns: int = ALL_TIME.end_ns

    def mask(self, starts_ns: Integers, ends_ns: Integers) -> Mask:
        """Return whether each bar is final."""
        is_stored = (starts_ns >= self.stored_from_ns) & (ends_ns <= self.over_until_ns)
        return (ends_ns <= self.until_ns) | is_stored


@dataclass(frozen=True, slots=True)
class _Sessions:
    """The trading hours of a calendar in a class of hours.

    has_auctions: whether prints of auctions may come outside of the hours, which count as prints of the session.
    """

    calendar: TradingCalendar
    hours: Hours
    has_auctions: bool = False

    def closed_until(self, instant_ns: int) -> int:
        """Return the next opening if nothing counts from an instant until then, otherwise the instant."""
        schedule = self.calendar.around(instant_ns, instant_ns)
        if self.has_auctions and instant_ns < self._ends_ns(schedule)[_date_index(schedule, instant_ns)]:
            return instant_ns
        segments = schedule.segments(self.hours)
        index = int(segments.start_ns.searchsorted(instant_ns, side="right"))
        is_open = index > 0 and instant_ns < segments.end_ns[index - 1]
        return instant_ns if is_open or index == len(segments.start_ns) else int(segments.start_ns[index])

    def closes(self, after_ns: int, end_ns: int) -> Integers:
        """Return the ends of sessions after an instant, ascending, to the first one at or after `end_ns`.

        With extended hours they include the ends of the regular sessions, with all hours also those of trading dates,
        and with auctions the time at which these are over.
        """
        schedule = self.calendar.around(after_ns, max(after_ns, end_ns))
        closes = np.unique(
            np.concatenate([schedule.close_ns, schedule.closes_ns(self.hours), self._ends_ns(schedule)])
        )
        first, last = closes.searchsorted(after_ns, side="right"), closes.searchsorted(end_ns)
        found: Integers = closes[first : last + 1]
        return found

    def date_end(self, instant_ns: int) -> int:
        """Return the first end of a date's hours at or after an instant; with all hours, of the date itself."""
        schedule = self.calendar.around(instant_ns, instant_ns)
        ends = self._ends_ns(schedule)
        return int(ends[min(int(ends.searchsorted(instant_ns)), len(ends) - 1)])

    def before_open_date(self, instant_ns: int) -> int:
        """Return the instant, or the start of its trading date if that date's prints, also of auctions, may still come."""
        schedule = self.calendar.around(instant_ns, instant_ns)
        index = _date_index(schedule, instant_ns)
        return instant_ns if instant_ns >= self._ends_ns(schedule)[index] else int(schedule.start_ns[index])

    def _ends_ns(self, schedule: Schedule) -> Integers:
        """Return when each date's prints are over."""
        if self.hours is Hours.ALL:
            return schedule.end_ns
        return schedule.auctions_end_ns if self.has_auctions else schedule.closes_ns(self.hours)


def has_auctions(grid: BarGrid, log: LogView, policy: BarPolicy, now_ns: int) -> bool:
    """Return whether the bars of a grid may get prints of auctions from outside of their hours.

    With a daily table they always may, otherwise if the log had such prints in the last days.
    """
    if log.dataset is not TRADES or grid.hours is Hours.ALL:
        return False
    if is_of_auctions(grid, policy):
        return True
    today = utc_grid(Resolution.DAY).interval(now_ns)
    earlier = Window(max(today.start_ns - _AUCTION_DAYS_NS, ALL_TIME.start_ns), today.start_ns)
    # The days before today seldom change, so that their answer is kept over the commits of today.
    return any(_has_prints(log.snapshot, window, policy.auctions) for window in (earlier, today))


# Kept by the newest commit that touches the window's dates: it decides which prints they have.
@cached(
    LRUCache(MOST_KEPT),
    key=lambda snapshot, window, policy: (snapshot.version(window), window, policy.key),
    lock=threading.Lock(),
)
def _has_prints(snapshot: Snapshot, window: Window, policy: BarPolicy) -> bool:
    """Return whether a window of whole dates has prints that a policy counts."""
    return len(snapshot.aggregates(WindowList.of(window), SECOND_NS, policy)) > 0


def finality_of(
    symbol_query: SymbolQuery,
    grid: BarGrid,
    query_range: Window,
    log: LogView,
    policy: BarPolicy = EVERY_PRINT,
) -> FinalBars:
    """Return which bars of a range are final by one log. All pages of a walk get what its first page got.

    log: at the newest commit that the query may see. It is complete up to its newest event time less the instrument's
    `settle`, and up to what its feed declared. A session that ended `settle` ago or earlier is complete if any log of
    the exchange has come to its end.
    """
    if symbol_query.walk_final_until_ns is not None:
        return FinalBars(symbol_query.walk_final_until_ns)
    calendar, now_ns = calendar_if_known(symbol_query.instrument), symbol_query.now_ns
    # Not `now_ns`: the result is part of cache keys, so it may change only when an interval ends.
    latest_ns = min(grid.constant_window(now_ns).start_ns, query_range.end_ns)
    own_ns = min(log.complete_until(symbol_query.instrument.settle_ns), now_ns)
    if log.is_empty:
        return FinalBars(min(own_ns, latest_ns))
    found, sessions = FinalBars(own_ns), None
    if calendar is not None:
        sessions = _Sessions(calendar, grid.hours, has_auctions(grid, log, policy, now_ns))
    of_auctions = sessions is not None and sessions.has_auctions and grid.resolution.is_period
    if sessions is not None:
        needed_ns = _needed_until(
            grid, sessions, policy, min(query_range.end_ns, now_ns), of_auctions=of_auctions
        )
        if own_ns < min(needed_ns, now_ns):
            found = _by_exchange(symbol_query, sessions, Window(query_range.start_ns, needed_ns), own_ns)
    if sessions is not None and of_auctions:
        # Auction prints belong to the session by their condition and come after its close.
        until_ns = sessions.before_open_date(found.until_ns)
        if own_ns == now_ns and until_ns < now_ns:
            # The log is complete beyond now: its date is final when its hours are over.
            found = FinalBars(found.until_ns, sessions.date_end(now_ns))
    else:
        until_ns = _prints_until(
            grid, sessions, log, policy, complete_ns=found.until_ns, end_ns=query_range.end_ns
        )
    return FinalBars(min(until_ns, latest_ns), found.expires_ns)


def has_final(query: MarketDataQuery) -> bool:
    """Return whether a query's rows say which of them are final."""
    return query.fields is None or "final" in query.fields


def final_bars_of(
    symbol_query: SymbolQuery,
    grid: BarGrid,
    query_range: Window,
    logs: tuple[LogView, LogView],
    by_trades: FinalBars,
) -> FinalBars:
    """Return which bars are final. Bars that begin after the last trade are made of stored bars alone.

    logs: the trades and the stored bars. by_trades: those by the log of trades.
    """
    trades, stored_bars = logs
    if stored_bars.is_empty:
        return replace(by_trades, stored_from_ns=query_range.end_ns, over_until_ns=query_range.end_ns)
    stored_from_ns = min(trades.last_event_ns() + 1, query_range.end_ns)
    over_until_ns = over_until_ns_of(symbol_query, grid, query_range)
    return replace(by_trades, stored_from_ns=stored_from_ns, over_until_ns=over_until_ns)


def _needed_until(
    grid: BarGrid, sessions: _Sessions, policy: BarPolicy, end_ns: int, *, of_auctions: bool
) -> int:
    """Return the instant up to which a log must be complete so that no bar before `end_ns` gets more prints.

    Credited volume and auction prints may come until the date's hours are over. With all hours, an interval in which a
    new date begins belongs to the date before, which then ends with it.
    """
    if not of_auctions and (policy.counts_every_print or grid.resolution.is_period):
        return end_ns
    date_end_ns = sessions.date_end(end_ns)
    if sessions.hours is not Hours.ALL:
        return date_end_ns
    last = grid.interval(date_end_ns)
    return date_end_ns if last.start_ns == date_end_ns else sessions.date_end(last.end_ns)


def _prints_until(
    grid: BarGrid,
    sessions: _Sessions | None,
    log: LogView,
    policy: BarPolicy,
    *,
    complete_ns: int,
    end_ns: int,
) -> int:
    """Return the instant up to which bars before `end_ns` get no more prints, if a log is complete to `complete_ns`.

    Under a policy that credits volume to earlier bars, they may get more before the next price of their trading date,
    or before the end of that date. With regular or extended hours it is the end of its hours.
    """
    if sessions is not None and grid.hours is not Hours.ALL:
        # Prints outside the hours do not count, but for those of auctions, so nothing is missing before the next opening.
        opening_ns = sessions.closed_until(complete_ns)
        if opening_ns != complete_ns:
            return opening_ns
    if policy.counts_every_print or grid.resolution.is_period:
        return complete_ns
    calendar = None if sessions is None else sessions.calendar
    return _credited_until(grid, calendar, log, policy, until_ns=complete_ns, end_ns=end_ns)


def _credited_until(
    grid: BarGrid,
    calendar: TradingCalendar | None,
    log: LogView,
    policy: BarPolicy,
    *,
    until_ns: int,
    end_ns: int,
) -> int:
    """Return the instant up to which bars get no more volume from prints before `until_ns` and later ones.

    That is the start of the last bar with a price, but bars of earlier trading dates get no more volume. An interval
    belongs to the date of its start, also if a new date begins inside it.
    """
    date_ns = date_start_ns(calendar, until_ns)
    first = grid.interval(date_ns)
    if first.start_ns < date_ns:
        date_ns = first.end_ns if first.end_ns <= until_ns else date_start_ns(calendar, first.start_ns)
    if end_ns <= date_ns:
        return until_ns
    price_ns = last_price_ns(log, policy, Window(date_ns, until_ns))
    return date_ns if price_ns is None else max(date_ns, grid.interval(price_ns).start_ns)


def _by_exchange(
    symbol_query: SymbolQuery, sessions: _Sessions, query_range: Window, own_ns: int
) -> FinalBars:
    """Return the end of the last session that the exchange's feed has passed, if that is later than `own_ns`."""
    exchange, now_ns = symbol_query.instrument.exchange, symbol_query.now_ns
    if exchange is None:
        return FinalBars(own_ns)
    first_ns = max(own_ns, query_range.start_ns)
    closes = sessions.closes(first_ns, min(query_range.end_ns, now_ns))
    due_ns = closes + symbol_query.instrument.settle_ns
    settled = closes[due_ns <= now_ns]
    expires_ns = int(due_ns[len(settled)]) if len(settled) < len(closes) else None
    if not len(settled):
        return FinalBars(own_ns, expires_ns)
    reach_ns = exchange_reach(exchange, int(settled[-1]), as_of_ns=symbol_query.query.as_of_ns, now_ns=now_ns)
    passed = settled[settled <= reach_ns]
    if len(passed) < len(settled):
        expires_ns = now_ns + _ASKED_AGAIN_NS
    return FinalBars(max(own_ns, int(passed[-1])) if len(passed) else own_ns, expires_ns)


def date_start_ns(calendar: TradingCalendar | None, instant_ns: int) -> int:
    """Return the start of an instant's trading date, or of its UTC date without a calendar."""
    if calendar is None:
        return instant_ns // DAY_NS * DAY_NS
    schedule = calendar.around(instant_ns, instant_ns)
    return int(schedule.start_ns[_date_index(schedule, instant_ns)])


def _date_index(schedule: Schedule, instant_ns: int) -> int:
    """Return the index of an instant's trading date in a schedule around it."""
    return max(int(schedule.start_ns.searchsorted(instant_ns, side="right")) - 1, 0)
