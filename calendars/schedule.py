"""The schedule of a calendar: its trading dates and their hours, as columns."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime
from enum import StrEnum
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Integers: TypeAlias = npt.NDArray[np.int64]
Mask: TypeAlias = npt.NDArray[np.bool_]


# The prints of an auction come at most so long before the open or after the close, or in the extended hours.
_AUCTION_NS = 3_600 * 10**9


class Hours(StrEnum):
    """The hours whose rows are used.

    all: every instant. regular: the sessions without their breaks. extended: also pre- and post-market.
    """

    ALL = "all"
    REGULAR = "regular"
    EXTENDED = "extended"


class SessionMode(StrEnum):
    """Whether days, weeks and months follow UTC dates or the exchange's trading dates."""

    UTC = "utc"
    EXCHANGE = "exchange"


class Anchor(StrEnum):
    """Where intervals shorter than a day begin: at multiples of their length in UTC, or at the session's open."""

    CLOCK = "clock"
    SESSION = "session"


@dataclass(frozen=True, slots=True, order=True)
class SpecialSession:
    """A session on a date on which the library's calendar is closed.

    open, close: its hours, UTC, whole minutes; None for the calendar's usual hours on that weekday.
    """

    date: date
    open: datetime | None = None
    close: datetime | None = None

    def includes(self, first: datetime, last: datetime) -> bool:
        """Return whether its given hours include the time between two instants; False for usual hours."""
        return self.open is not None is not self.close and self.open <= first <= last < self.close

    def joined(self, other: "SpecialSession") -> "SpecialSession":
        """Return the session with the hours of both; given hours replace usual ones. other: of the same date."""
        if self.open is None or self.close is None:
            return other
        if other.open is None or other.close is None:
            return self
        return SpecialSession(self.date, min(self.open, other.open), max(self.close, other.close))


@dataclass(frozen=True, slots=True)
class OpenSegments:
    """Periods of trading, ascending and disjoint, in nanoseconds UTC.

    date_index: the index of each period's trading date in the schedule.
    """

    start_ns: Integers
    end_ns: Integers
    date_index: Integers


@dataclass(frozen=True, slots=True)
class Schedule:
    """Trading dates, ascending, as columns of equal length. Instants are whole minutes, in nanoseconds UTC.

    date: days since 1970. start_ns, end_ns: the period that belongs to the date; each starts where the previous
    one ends. label_ns: the timestamp of the date's bar. open_ns, close_ns: the session. pre_ns: start of
    pre-market; open_ns if there is none. post_ns: end of post-market; close_ns if there is none.
    break_start_ns, break_end_ns: both are post_ns if there is no break. early: the session closes early. special: the library lacks the date.
    """

    date: Integers
    start_ns: Integers
    end_ns: Integers
    label_ns: Integers
    pre_ns: Integers
    open_ns: Integers
    break_start_ns: Integers
    break_end_ns: Integers
    close_ns: Integers
    post_ns: Integers
    early: Mask
    special: Mask

    def __len__(self) -> int:
        return len(self.date)

    def __getitem__(self, part: slice) -> "Schedule":
        return Schedule(*(getattr(self, column.name)[part] for column in fields(self)))

    def between(self, first_day: int, last_day: int) -> "Schedule":
        """Return the trading dates in `[first_day, last_day]`, days since 1970."""
        start, end = np.searchsorted(self.date, [first_day, last_day + 1])
        return self[int(start) : int(end)]

    def opens_ns(self, hours: Hours) -> Integers:
        """Return the start of each date's trading. `Hours.ALL` is treated as `Hours.EXTENDED`."""
        return self.open_ns if hours is Hours.REGULAR else self.pre_ns

    def closes_ns(self, hours: Hours) -> Integers:
        """Return the end of each date's trading. `Hours.ALL` is treated as `Hours.EXTENDED`."""
        return self.close_ns if hours is Hours.REGULAR else self.post_ns

    @property
    def auctions_start_ns(self) -> Integers:
        """Return the time from which prints of each date's auctions come: of pre-market, or an hour before the open."""
        return np.maximum(np.minimum(self.pre_ns, self.open_ns - _AUCTION_NS), self.start_ns)

    @property
    def auctions_end_ns(self) -> Integers:
        """Return the time until which prints of each date's auctions come: of post-market, or an hour after the close."""
        return np.minimum(np.maximum(self.post_ns, self.close_ns + _AUCTION_NS), self.end_ns)

    def segments(self, hours: Hours) -> OpenSegments:
        """Return the periods of trading: two for a date with a break, one for other dates."""
        opens, closes = self.opens_ns(hours), self.closes_ns(hours)
        starts = np.column_stack([opens, np.maximum(self.break_end_ns, opens)]).ravel()
        ends = np.column_stack([np.minimum(self.break_start_ns, closes), closes]).ravel()
        is_open = starts < ends
        date_index = np.repeat(np.arange(len(self), dtype=np.int64), 2)
        return OpenSegments(starts[is_open], ends[is_open], date_index[is_open])


def joined(parts: Sequence[Schedule]) -> Schedule:
    """Concatenate schedules."""
    if len(parts) == 1:
        return parts[0]
    return Schedule(
        *(np.concatenate([getattr(part, column.name) for part in parts]) for column in fields(Schedule))
    )
