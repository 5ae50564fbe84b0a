"""A calendar's trading dates as columns."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import StrEnum

import numpy as np

from store.arrays import Integers, Mask


class Hours(StrEnum):
    """Which part of time counts.

    all: everything. regular: the sessions, without their breaks. extended: the sessions with what the
    calendar has before and after them.
    """

    ALL = "all"
    REGULAR = "regular"
    EXTENDED = "extended"


class SessionMode(StrEnum):
    """What days, weeks and months are cut by: UTC midnights, or the exchange's trading dates."""

    UTC = "utc"
    EXCHANGE = "exchange"


@dataclass(frozen=True, slots=True)
class OpenSegments:
    """What is open, ascending and disjoint: nanoseconds UTC, and the place of the trading date in its schedule."""

    start_ns: Integers
    end_ns: Integers
    place: Integers


@dataclass(frozen=True, slots=True)
class Schedule:
    """Trading dates, ascending; equally long columns, instants in nanoseconds UTC on whole minutes.

    date: days since 1970. start_ns, end_ns: the period whose prints are the date's; each period begins where
    the one before it ends. label_ns: what the date's bar is called. pre_ns, post_ns: the first and last
    instant of trading; they are the session's own where the calendar knows nothing before and after it. A
    session without a break has both of its ends at post_ns. early: the session closes earlier than usual.
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

    def __len__(self) -> int:
        return len(self.date)

    def __getitem__(self, places: slice) -> "Schedule":
        return Schedule(*(getattr(self, column.name)[places] for column in fields(self)))

    def between(self, first_day: int, last_day: int) -> "Schedule":
        """The trading dates in `[first_day, last_day]`, days since 1970."""
        first, behind = np.searchsorted(self.date, [first_day, last_day + 1])
        return self[int(first) : int(behind)]

    def has_break(self, place: int) -> bool:
        """Whether the session is interrupted, for lunch or otherwise."""
        return bool(self.break_start_ns[place] < self.break_end_ns[place])

    def opens_ns(self, hours: Hours) -> Integers:
        """When each date's trading begins. Outside of the extended hours nothing is open, whatever counts."""
        return self.open_ns if hours is Hours.REGULAR else self.pre_ns

    def closes_ns(self, hours: Hours) -> Integers:
        """When each date's trading ends."""
        return self.close_ns if hours is Hours.REGULAR else self.post_ns

    def segments(self, hours: Hours) -> OpenSegments:
        """What is open: two pieces of a date with a break, one of another."""
        opens, closes = self.opens_ns(hours), self.closes_ns(hours)
        starts = np.column_stack([opens, np.maximum(self.break_end_ns, opens)]).ravel()
        ends = np.column_stack([np.minimum(self.break_start_ns, closes), closes]).ravel()
        is_open = starts < ends
        place = np.repeat(np.arange(len(self), dtype=np.int64), 2)
        return OpenSegments(starts[is_open], ends[is_open], place[is_open])


def joined(parts: Sequence[Schedule]) -> Schedule:
    """Schedules one after the other."""
    if len(parts) == 1:
        return parts[0]
    return Schedule(
        *(np.concatenate([getattr(part, column.name) for part in parts]) for column in fields(Schedule))
    )
