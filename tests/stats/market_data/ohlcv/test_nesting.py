"""A stored bar counts in the interval that wholly contains it, and in no other.

All pairs of resolutions are held against an oracle.
"""

import datetime as dt
import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from calendars.trading_calendar import NOT_CLOSED, exchange_calendar
from tests.api_client import Api, answer, problem
from tests.chance import SOAK, each_of
from tests.stats.market_data.builders import HOUR_NS, ingest, tell, timestamp, without_proofs
from tests.stats.market_data.oracle import (
    INTRADAY,
    PERIODS,
    SECOND_NS,
    UNITS_NS,
    Cut,
    Row,
    beginning,
    midnight,
)
from tests.stats.market_data.published_hours import XCME, XNYS, Exchange

pytestmark = pytest.mark.system

# The day with which a year ends, and a holiday.
LAST_DAY = dt.date(2024, 12, 31)
FIRST_NS = midnight(LAST_DAY)
MONTHS = {"start": "2024-12-02", "end": "2025-01-31"}


@dataclass(frozen=True)
class ListedInstrument:
    """An instrument, and at which hour after its midnight in UTC the last day of its year ends."""

    name: str
    market_class: str
    exchange: Exchange | None
    facts: dict[str, str]
    last_hour: int

    @property
    def path(self) -> str:
        return f"/api/v1/market-data/{self.market_class}/NEST/ohlcv"

    @property
    def end_ns(self) -> int:
        return FIRST_NS + self.last_hour * HOUR_NS

    def cut(self, resolution: str) -> Cut:
        return Cut(resolution, self.exchange, by_date=True)


LISTED = (
    ListedInstrument("no exchange", "equities", None, {"class": "equity"}, 24),
    ListedInstrument("New York", "equities", XNYS, {"class": "equity", "exchange": "XNYS"}, 29),
    ListedInstrument("Chicago", "futures", XCME, {"class": "future", "exchange": "XCME"}, 23),
)


def length_of(resolution: str) -> int:
    return int(resolution[:-1]) * UNITS_NS[resolution[-1]]


def is_made_of(asked: str, stored: str) -> bool:
    if asked == stored:
        return True
    if stored in PERIODS:
        counts = [int(each[:-1]) for each in (asked, stored)]
        is_same = asked[-1] == stored[-1] and counts[0] % counts[1] == 0
        return asked in PERIODS and (stored == "1d" or is_same)
    return asked in PERIODS or length_of(asked) % length_of(stored) == 0


def times_of(resolution: str, listed: ListedInstrument) -> list[int]:
    """When bars of two days begin; of seconds those of an hour around the end of the year; the year's last periods."""
    if resolution in PERIODS:
        days = {beginning(LAST_DAY - dt.timedelta(days), resolution) for days in (0, 1)}
        return sorted(map(midnight, days))
    if resolution == "1s":
        return list(range(listed.end_ns - HOUR_NS // 2, listed.end_ns + HOUR_NS // 2, SECOND_NS))
    length = length_of(resolution)
    return list(range(-(-FIRST_NS // length) * length, FIRST_NS + 48 * HOUR_NS, length))


def stored_bars(resolution: str, times: Iterable[int], listed: ListedInstrument) -> list[Row]:
    """Bars with volume, but on a closed date in half an hour only: over an hour they prove a session."""
    prices = {"open": 2.0, "high": 3.0, "low": 1.0, "close": 2.0, "resolution": resolution}
    kept = set(times) if resolution in PERIODS else set(kept_of(times, length_of(resolution), listed))
    return [
        {"time_ns": at, **prices, "volume": 1 + place % 7 if at in kept else 0}
        for place, at in enumerate(times)
    ]


def kept_of(times: Iterable[int], length: int, listed: ListedInstrument) -> list[int]:
    """Leave out the times that would prove a session of a closed date. length: of the bars, nanoseconds."""
    if "exchange" not in listed.facts:
        return list(times)
    kept = without_proofs(times, listed.facts["exchange"])
    if length <= HOUR_NS // 2:
        return kept
    closed = exchange_calendar(listed.facts["exchange"]).closed_dates_of(np.array(kept, np.int64))
    return [at for at, date in zip(kept, closed.tolist(), strict=True) if date == NOT_CLOSED]


def interval_of(at: int, stored: str, cut: Cut) -> int | None:
    """The label of the interval that contains a stored bar; None where none does."""
    if stored in PERIODS:
        day = dt.datetime.fromtimestamp(at // SECOND_NS, dt.UTC).date()
        return cut.label(beginning(day, cut.resolution))
    first, last = cut.key(at), cut.key(at + length_of(stored) - 1)
    return first[0] if first == last else None


def volumes(bars: Iterable[Row], stored: str, cut: Cut) -> dict[int, int]:
    """Volume by time of each bar that stored ones make."""
    found: dict[int, int] = {}
    for bar in bars:
        label = interval_of(bar["time_ns"], stored, cut)
        if label is not None:
            found[label] = found.get(label, 0) + bar["volume"]
    return found


def asked_of(api: Api, listed: ListedInstrument, asked: str, times: list[int]) -> Any:
    hours = {} if listed.exchange is None else {"hours": "all"}
    ends = MONTHS
    if asked not in PERIODS:
        ends = {"start": timestamp(times[0]), "end": timestamp(times[-1] + 12 * HOUR_NS)}
        if asked == "1s":
            ends["end"] = timestamp(times[-1] + SECOND_NS)
    return api.get(listed.path, {**ends, "resolution": asked, "limit": "10000", **hours})


def spelled(bars: dict[int, int]) -> list[tuple[str, int]]:
    """As `answered` has them."""
    return [(timestamp(label).replace(".000000000", ""), volume) for label, volume in sorted(bars.items())]


def answered(response: Any) -> list[tuple[str, int]]:
    """Time and volume of each bar of a page."""
    return [(bar["timestamp"], bar["volume"]) for bar in answer(response)["bars"]]


@pytest.mark.parametrize(("listed", "stored"), each_of(LISTED, [*INTRADAY, *PERIODS]))
def test_stored_bars_make_the_intervals_that_contain_them(api: Api, listed: ListedInstrument, stored: str):
    tell(api, "NEST", **listed.facts)
    times, resolutions = times_of(stored, listed), [*INTRADAY, *PERIODS]
    rows = stored_bars(stored, times, listed)
    ingest(api, "bars", "NEST", rows)
    for asked in resolutions if SOAK else resolutions[resolutions.index(stored) % 2 :: 2]:
        response = asked_of(api, listed, asked, times)
        if is_made_of(asked, stored):
            assert answered(response) == spelled(volumes(rows, stored, listed.cut(asked))), asked
        else:
            assert problem(response) == (404, "resolution_unavailable"), asked


def prints(chance: random.Random, listed: ListedInstrument) -> list[Row]:
    """Trades of two days, some of them around the end of the first."""
    times = [FIRST_NS + chance.randrange(48 * HOUR_NS) for _ in range(4)]
    times += [listed.end_ns + chance.randrange(-HOUR_NS, HOUR_NS) for _ in range(chance.randrange(3))]
    return [
        {"time_ns": at, "price": float(chance.randrange(1, 9)), "volume": chance.randrange(100, 900)}
        for at in kept_of(sorted(times), 0, listed)
    ]


@pytest.mark.parametrize("seed", range(3 if SOAK else 1))
@pytest.mark.parametrize(("listed", "stored"), each_of(LISTED, ["1m", "7m", "10m", "90m", "2h", "5h", "12h"]))
def test_trades_count_where_they_were_made_and_stored_bars_where_none_were(
    api: Api, listed: ListedInstrument, stored: str, seed: int
):
    """An interval with trades has no stored part; a bar that two intervals share adds nothing."""
    chance = random.Random(f"{listed.name} {stored} {seed}")
    tell(api, "NEST", **listed.facts)
    times = times_of(stored, listed)
    rows = stored_bars(stored, sorted(chance.sample(times, len(times) // 2)), listed)
    traded = prints(chance, listed)
    ingest(api, "bars", "NEST", rows)
    ingest(api, "trades", "NEST", traded)
    for asked in (*(each for each in INTRADAY if is_made_of(each, stored)), *PERIODS):
        cut = listed.cut(asked)
        of_trades: dict[int, int] = {}
        for row in traded:
            label = cut.key(row["time_ns"])[0]
            of_trades[label] = of_trades.get(label, 0) + row["volume"]
        wanted = volumes(rows, stored, cut) | of_trades
        response = asked_of(api, listed, asked, [FIRST_NS, FIRST_NS + 36 * HOUR_NS])
        assert answered(response) == spelled(wanted), asked


@pytest.mark.parametrize(("hours", "volume"), [("regular", 1), ("extended", 3), ("all", 7)])
@pytest.mark.parametrize("resolution", ["4h", "1d", "1w"])
def test_a_bar_that_lies_in_the_hours_in_part_is_left_out(api: Api, resolution: str, hours: str, volume: int):
    """The session of New York ends at 21:00, what is traded behind it at 01:00 of the next UTC day."""
    tell(api, "NEST", **LISTED[1].facts)
    starts = [FIRST_NS + hour * HOUR_NS for hour in (16, 20, 24)]
    rows = stored_bars("2h", starts, LISTED[1])
    ingest(api, "bars", "NEST", [{**row, "volume": 2**place} for place, row in enumerate(rows)])
    ends = {"start": "2024-12-31T16:00:00Z", "end": "2025-01-01T04:00:00Z"}
    response = api.get(LISTED[1].path, {**ends, "resolution": resolution, "hours": hours})
    assert sum(found for _, found in answered(response)) == volume
