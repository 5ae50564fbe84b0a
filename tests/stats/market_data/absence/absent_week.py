"""An oracle of typed absence: a week of an exchange with few trades, and why each interval of it has no bar."""

import random
from dataclasses import dataclass
from itertools import groupby

from store.cached_property import cached_property
from store.timestamps import format_timestamp
from tests.calendars.published import Published, Week, day, ns
from tests.stats.market_data.builders import without_proofs

Run = dict[str, str]


@dataclass(frozen=True, slots=True)
class Interval:
    """One that is expected or not; has_bar: by the raw trades."""

    start_ns: int
    end_ns: int
    has_bar: bool
    reason: str


class Traded:
    """A week of an exchange with some trades, and the oracle of what is absent from it.

    Nothing is stored of the first date and of all but two of the others: with them it is a week of few
    trades, a gap and what was before the listing.
    """

    def __init__(self, week: Week, chance: random.Random) -> None:
        self.week = week
        dates = [date for date in week.dates[1:] if chance.random() < 0.7] or [week.dates[-1]]
        times = [chance.randrange(ns(date.start), ns(date.end)) for date in dates for _ in range(12)]
        self.times = without_proofs(times, week.exchange)

    def hours(self, date: Published, hours: str) -> tuple[int, int]:
        texts = {"regular": (date.opens, date.closes), "extended": (date.pre, date.post)}
        start, end = texts.get(hours, (date.start, date.end))
        return ns(start), ns(end)

    def begins(self, date: Published, hours: str) -> int:
        return ns(date.label) if hours == "all" else self.hours(date, hours)[0]

    def date_of(self, time_ns: int) -> Published:
        return next(date for date in self.week.dates if ns(date.start) <= time_ns < ns(date.end))

    @cached_property
    def listed_ns(self) -> int:
        """When the first date with a trade begins."""
        return ns(self.date_of(self.times[0]).start)

    def counts(self, hours: str) -> list[int]:
        """The trades that lie in the hours."""
        found = []
        for time_ns in self.times:
            start, end = self.hours(self.date_of(time_ns), hours)
            if start <= time_ns < end:
                found.append(time_ns)
        return found

    def traded_dates(self, hours: str) -> set[str]:
        """The dates with a trade in the hours."""
        return {self.date_of(time).date for time in self.counts(hours)}

    def reason(self, end: int, date: Published, traded: set[str], *, is_open: bool) -> str:
        if not is_open:
            return "closed"
        if end <= self.listed_ns:
            return "unlisted"
        return "no_trades" if date.date in traded else "gap"

    def intraday(self, length: int, hours: str) -> list[Interval]:
        """Every interval of the week; in all hours those are expected in which there is trading at all."""
        first = -(-ns(self.week.dates[0].start) // length) * length
        traded, counts = self.traded_dates(hours), self.counts(hours)
        open_ = [self.hours(each, "extended" if hours == "all" else hours) for each in self.week.dates]
        found = []
        for start in range(first, ns(self.week.dates[-1].end) // length * length, length):
            end, date = start + length, self.date_of(start)
            is_open = any(opens < end and start < closes for opens, closes in open_)
            has_bar = any(start <= time < end for time in counts)
            found.append(Interval(start, end, has_bar, self.reason(end, date, traded, is_open=is_open)))
        return found

    def daily(self, hours: str) -> list[Interval]:
        """Every trading date, and the days between them."""
        found = []
        traded = self.traded_dates(hours)
        by_date = {day(date.date): date for date in self.week.dates}
        for number in range(min(by_date), max(by_date) + 1):
            if number not in by_date:
                # Closed dates last from the end of the date before them to the beginning of the next one.
                before = by_date[max(one for one in by_date if one < number)]
                behind = by_date[min(one for one in by_date if one > number)]
                edges = self.hours(before, hours)[1], self.begins(behind, hours)
                found.append(Interval(*edges, False, "closed"))
                continue
            date = by_date[number]
            start, end = self.begins(date, hours), self.hours(date, hours)[1]
            reason = self.reason(end, date, traded, is_open=True)
            found.append(Interval(start, end, date.date in traded, reason))
        return found


def runs(intervals: list[Interval]) -> list[Run]:
    return [
        {
            "start": format_timestamp((of_run := list(group))[0].start_ns),
            "end": format_timestamp(of_run[-1].end_ns),
            "reason": of_run[0].reason,
        }
        for is_absent, group in groupby(intervals, key=lambda each: not each.has_bar and each.reason)
        if is_absent
    ]
