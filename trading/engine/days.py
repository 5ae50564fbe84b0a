"""The UTC days of accounts: shorts pay for each night, and each day's loss is counted from its beginning."""

import datetime as dt
from collections.abc import Iterator
from functools import lru_cache

from store.timestamps import DAY_NS, format_timestamp
from trading.core import due
from trading.core.account import AccountState
from trading.core.matching import Record
from trading.market.followed import FollowedMarket


def date_at(now_ns: int) -> str:
    """Return the UTC date of an instant. Each row asks for it."""
    return _date_of(now_ns // DAY_NS)


@lru_cache(maxsize=16)
def _date_of(day: int) -> str:
    return format_timestamp(day * DAY_NS)[:10]


def day_at(market: FollowedMarket, state: AccountState, now_ns: int, *, has_rows: bool = False) -> str:
    """Return the UTC date that an instant is of for an account.

    At midnight it is still the date before if the account holds or orders a symbol whose price is of stored bars,
    because bars that end at midnight may still come. has_rows: whether all rows that are known at this instant were
    taken.
    """
    may_have_bars = (
        now_ns % DAY_NS == 0
        and not has_rows
        and any(market.last_bar(symbol, now_ns) is not None for symbol in state.symbols())
    )
    return max(date_at(now_ns - 1 if may_have_bars else now_ns), state.day)


def begin_day(market: FollowedMarket, now_ns: int, day: str, state: AccountState, record: Record) -> None:
    """Begin a UTC date: charge for shorts, and mark the account."""
    if day == state.day:
        return
    marks = market.marks(state, now_ns=now_ns)
    if not due.can_be_valued(state, marks):
        return
    for passed in _days_from(state.day, day):
        due.charge_borrowing(state, marks, passed, record)
    due.revalue(state, marks, now_ns, day, record)


def _days_from(first: str, end: str) -> Iterator[str]:
    """Yield the UTC dates from one until another; none if the first is not known."""
    if first:
        begin = dt.date.fromisoformat(first)
        for number in range((dt.date.fromisoformat(end) - begin).days):
            yield (begin + dt.timedelta(number)).isoformat()
