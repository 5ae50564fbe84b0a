"""Generated trades of one symbol at XNYS, and a plain oracle of which runs of empty minutes are gaps."""

import math
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from calendars.schedule import Schedule
from calendars.trading_calendar import exchange_calendar
from store.arrays import Integers
from store.cached_property import cached_property
from store.datasets import TRADES
from store.instruments import Instrument
from store.protocol import Append, Dedupe
from store.timestamps import DAY_NS, MINUTE_NS, SECOND_NS, parse_timestamp
from trades.stores import market_store

FIRST = "2024-01-02"


def schedule_of(dates: int, first: str = FIRST) -> Schedule:
    """The trading dates from the first one on."""
    first_day = parse_timestamp(first) // DAY_NS
    return exchange_calendar("XNYS").on_dates(first_day, first_day + 2 * dates + 10)[:dates]


def minutes_of(schedule: Schedule) -> Integers:
    """The regular minutes, nanoseconds UTC."""
    spans = zip(schedule.open_ns.tolist(), schedule.close_ns.tolist(), strict=True)
    return np.concatenate([np.arange(start, end, MINUTE_NS) for start, end in spans])


def trade_times(chance: np.random.Generator, minutes: Integers, rate: float) -> Integers:
    """Instants of trades: a Poisson process of so many a minute, in these minutes."""
    counts = chance.poisson(rate, len(minutes))
    return np.sort(np.repeat(minutes, counts) + chance.integers(0, MINUTE_NS, int(counts.sum())))


def store_trades(
    times: Integers, *, symbol: str = "GEN", conditions: str | None = None, **declared: object
) -> None:
    """Declare the symbol at XNYS and store a trade at each instant."""
    store, count = market_store(), len(times)
    store.set_instrument(Instrument(symbol, **{"exchange": "XNYS", **declared}))  # type: ignore[arg-type]
    ones = np.ones(count)
    words = pa.nulls(count, pa.string()) if conditions is None else pa.array([conditions] * count)
    values = {"timestamp": times, "price": 10 * ones, "volume": ones, "conditions": words}
    columns = [
        pa.array(values[each.name], each.type) if each.name in values else pa.nulls(count, each.type)
        for each in TRADES.schema
    ]
    rows = pa.record_batch(columns, schema=TRADES.schema)
    store.append(Append(TRADES, symbol, rows, "tests", Dedupe.NONE))


class Run(NamedTuple):
    start_ns: int
    end_ns: int
    date: int


@dataclass(frozen=True, eq=False)
class Oracle:
    """The rule of docs/gaps.md, date by date. Only regular sessions have trades; empty dates are no runs here."""

    schedule: Schedule
    times: tuple[int, ...]

    @cached_property
    def counts(self) -> dict[int, int]:
        """The trades of each minute that has one."""
        minutes, counts = np.unique(np.array(self.times) // MINUTE_NS * MINUTE_NS, return_counts=True)
        return dict(zip(minutes.tolist(), counts.tolist(), strict=True))

    @cached_property
    def runs(self) -> dict[int, list[Run]]:
        """The empty runs of each date."""
        found: dict[int, list[Run]] = {}
        for date in range(len(self.schedule)):
            start = int(self.schedule.open_ns[date])
            found[date] = []
            for minute in range(start, int(self.schedule.close_ns[date]) + 1, MINUTE_NS):
                if minute in self.counts or minute == self.schedule.close_ns[date]:
                    found[date] += [Run(start, minute, date)] if start < minute else []
                    start = minute + MINUTE_NS
        return found

    def part(self, date: int, minute: int) -> int:
        return (minute - int(self.schedule.open_ns[date])) // (30 * MINUTE_NS)

    def parts(self, run: Run) -> set[int]:
        return {self.part(run.date, minute) for minute in range(run.start_ns, run.end_ns, MINUTE_NS)}

    @cache  # noqa: B019 an oracle lives for one test
    def figures(self, date: int, part: int) -> tuple[float, int]:
        """The trades a minute of a half hour, and the longest empty run that touches it."""
        open_ns, close_ns = int(self.schedule.open_ns[date]), int(self.schedule.close_ns[date])
        minutes = [m for m in range(open_ns, close_ns, MINUTE_NS) if self.part(date, m) == part]
        longest = [
            (run.end_ns - run.start_ns) // MINUTE_NS for run in self.runs[date] if part in self.parts(run)
        ]
        rate = sum(self.counts.get(minute, 0) for minute in minutes) / len(minutes) if minutes else math.inf
        return rate, max(longest, default=0)

    @cache  # noqa: B019 as above
    def is_clean(self, date: int, judgements: int) -> bool:
        start, end = self.schedule.start_ns[date], self.schedule.end_ns[date]
        if self.times[0] >= start or not any(start <= time < end for time in self.counts):
            return False
        return judgements == 0 or not any(self.is_gap(run, judgements) for run in self.runs[date])

    def history(self, run: Run, judgements: int) -> list[int]:
        dates = [date for date in range(run.date) if self.is_clean(date, judgements - 1)][-20:]
        return [date for date in dates if date >= run.date - 40]

    def is_gap(self, run: Run, judgements: int = 3) -> bool:
        history, length = self.history(run, judgements), (run.end_ns - run.start_ns) // MINUTE_NS
        if len(history) < 20:
            return False
        longest = max(self.figures(date, part)[1] for date in history for part in self.parts(run))
        return length > longest and math.exp(-self.expected(run, judgements)) < 1e-6

    def expected(self, run: Run, judgements: int = 3) -> float:
        """The trades that a run would have at the second smallest rate of its history."""
        history, expected = self.history(run, judgements), 0.0
        for minute in range(run.start_ns, run.end_ns, MINUTE_NS):
            rates = sorted(self.figures(date, self.part(run.date, minute))[0] for date in history)
            expected += rates[1] if rates[1] < math.inf else 0
        return expected

    @property
    def gaps(self) -> list[tuple[int, int]]:
        """The starts and ends of all runs that are gaps."""
        runs = [run for runs in self.runs.values() for run in runs]
        return [(run.start_ns, run.end_ns) for run in runs if self.is_gap(run)]


def text_of(instant_ns: int) -> str:
    return f"{np.datetime64(instant_ns // SECOND_NS, 's')}Z"
