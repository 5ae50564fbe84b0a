"""Generated days of prints, and bars of them made row by row, as plainly as can be."""

import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

from store.bar_policies import BarPolicy, PrintRole
from store.bars.prints import NO_SEQUENCE, STANDS
from store.datasets import TRADES
from tests.store.builders import DAY, MINUTE, NOON

Row = dict[str, Any]
# The trading date of an instant, or of a column of them; None if no volume is credited.
DateOf = Callable[[Any], Any] | None


def utc_date(time_ns: Any) -> Any:
    return time_ns // DAY


def short_date(time_ns: Any) -> Any:
    """Dates of seven minutes, which begin three minutes before a multiple of seven."""
    return (time_ns + 3 * MINUTE) // (7 * MINUTE)


DATES: list[DateOf] = [None, utc_date, short_date]

WORDS = [
    "regular",
    "intermarket_sweep",
    "opening_print",
    "closing_print",
    "extended_hours",
    "average_price",
    "cross",
    "official_close",
    "odd_lot",
    "suspicious",
    "never_heard_of",
]

SCHEMA = pa.schema(
    [
        *TRADES.schema,
        pa.field("arrival", pa.int64()),
        pa.field("commit", pa.int32()),
        pa.field("until", pa.int32()),
    ]
)

conditions = st.lists(st.sampled_from(WORDS), max_size=3).map(lambda words: ";".join(words) or None)

printed: st.SearchStrategy[Row] = st.fixed_dictionaries(
    {
        "timestamp": st.one_of(st.integers(-40, 40), st.integers(0, 1)).map(
            lambda quarter: NOON + quarter * 15 * 10**9
        ),
        "price": st.sampled_from([1.0, 1.25, 99.5, 1e-4, 0.0, -37.63]),
        "volume": st.sampled_from([0.0, 0.1, 0.2, 100.0, 1e-8, 2.0**52]),
        "sequence": st.sampled_from([None, None, 1, 2]),
        "conditions": conditions,
        "commit": st.integers(1, 4),
        "lasts": st.sampled_from([None, None, None, 1, 2]),
    }
)

several_days = printed.flatmap(
    lambda row: st.integers(-2, 2).map(lambda day: row | {"timestamp": row["timestamp"] + day * DAY})
)


def in_order(drawn: list[Row]) -> list[Row]:
    """Rows with the system columns, numbered as they arrived, in order."""
    rows = []
    for arrival, row in enumerate(drawn):
        until = STANDS if row["lasts"] is None else row["commit"] + row["lasts"]
        system = {"arrival": arrival, "until": until}
        rows.append({key: value for key, value in row.items() if key != "lasts"} | system)
    return sorted(rows, key=key_of)


def key_of(row: Row) -> tuple[int, int, int]:
    return row["timestamp"], NO_SEQUENCE if row["sequence"] is None else row["sequence"], row["arrival"]


def table(rows: list[Row]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def role_of(row: Row, policy: BarPolicy, at: int) -> PrintRole:
    if not row["commit"] <= at < row["until"]:
        return PrintRole(sets_open_close=False, sets_high_low=False, counts_volume=False)
    return policy.role((row["conditions"] or "").split(";"))


@dataclass
class SlowBar:
    """A bar, filled print by print."""

    time: int
    prices: list[float]
    extremes: list[float]
    sizes: list[float]
    amounts: list[float]

    def fields(self) -> tuple[int, float, float, float, float, float, int, float]:
        extremes = self.extremes or [self.prices[0], self.prices[-1]]
        return (
            self.time,
            self.prices[0],
            max(extremes),
            min(extremes),
            self.prices[-1],
            math.fsum(self.sizes),
            len(self.sizes),
            math.fsum(self.amounts),
        )


def slow_bars(
    rows: list[Row], policy: BarPolicy, interval: int, at: int = STANDS - 1, date_of: DateOf = None
) -> list[tuple[float, ...]]:
    """Bars of ordered rows; an interval without open and close gives its volume to the date's bar before."""
    by_interval: dict[int, list[Row]] = defaultdict(list)
    for row in rows:
        by_interval[row["timestamp"] // interval * interval].append(row)
    bars: list[SlowBar] = []
    for time, inside in sorted(by_interval.items()):
        roles = [(row, role_of(row, policy, at)) for row in inside]
        prices = [row["price"] for row, role in roles if role.sets_open_close]
        if prices:
            bars.append(
                SlowBar(time, prices, [row["price"] for row, role in roles if role.sets_high_low], [], [])
            )
        is_owned = bool(prices) or (
            bool(bars) and date_of is not None and date_of(bars[-1].time) == date_of(time)
        )
        for row, role in roles:
            if role.counts_volume and is_owned:
                bars[-1].sizes.append(row["volume"])
                bars[-1].amounts.append(row["price"] * row["volume"])
    return [bar.fields() for bar in bars]
