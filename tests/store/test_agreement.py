"""Two stores are asked to do the same: whatever the batches, they give the same answers."""

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.arrays import Integers
from store.bar_policies import BAR_POLICIES, US_EQUITIES
from store.bars.bars import Bars
from store.bars.credit import utc_dates
from store.csv import CsvStore
from store.datasets import TRADES
from store.exceptions import StorageError
from store.market_store import MarketStore
from store.protocol import ALL_TIME, Amendment, Append, Correction, Dedupe, Window
from tests.chance import SOAK
from tests.memory_store import MemoryStore
from tests.store.builders import (
    DAY,
    MINUTE,
    NOON,
    SYMBOL,
    Clock,
    Row,
    amendment,
    batch,
    cancel,
    correct,
    fill_of,
    trade,
)

pytestmark = pytest.mark.system

EXAMPLES = 300 if SOAK else 5
TIMES = (0, 1, MINUTE, DAY - 1, DAY, 3 * DAY)
SYMBOLS = (SYMBOL, "MSFT")


@dataclass(frozen=True)
class Step:
    """A batch of rows or corrections, through which of the two objects it goes, and what happens then."""

    batch: Append | Amendment
    through: int
    reopened: bool
    clock: int


rows = st.builds(
    trade,
    st.sampled_from(TIMES),
    st.sampled_from([1.0, 2.5]),
    st.sampled_from([1.0, 0.1]),
    trade_id=st.sampled_from([None, None, "a", "b"]),
    sequence=st.sampled_from([None, None, 1, 2]),
    exchange=st.sampled_from([None, "N"]),
    conditions=st.sampled_from([None, None, "x", "odd_lot", "odd_lot;extended_hours", "closing_print"]),
    received_at=st.sampled_from([None, None, NOON]),
    buyer_is_maker=st.sampled_from([None, None, True, False]),
)
FILLED = [(0, 2), (0, DAY), (MINUTE, 4 * DAY)]


def sent(rows: list[Row], filled: tuple[int, int] | None, **others: Any) -> Append:
    """A batch of a feed, or of a fill with those of the rows that are in its window."""
    fill = None if filled is None else fill_of(*filled)
    inside = rows if fill is None else [row for row in rows if _is_in(row, fill.window)]
    return batch(*inside, fill=fill, **others)


def _is_in(row: Row, window: Window) -> bool:
    return bool(window.start_ns <= row["timestamp"] < window.end_ns)


batches = st.builds(
    sent,
    st.lists(rows, min_size=1, max_size=6),
    filled=st.sampled_from([None, None, *FILLED]),
    symbol=st.sampled_from([*SYMBOLS, SYMBOL]),
    caller=st.sampled_from(["key:1", "key:2"]),
    dedupe=st.sampled_from([Dedupe.ROWS, Dedupe.ROWS, Dedupe.NONE]),
    request_key=st.sampled_from([None, None, None, "k", "l"]),
)
new_values = st.fixed_dictionaries(
    {"price": st.sampled_from([1.0, 2.5, 4.0])},
    optional={
        "volume": st.sampled_from([0.1, 7.0]),
        "sequence": st.sampled_from([None, 1, 3]),
        "buyer_is_maker": st.sampled_from([None, True, False]),
    },
)


@st.composite
def amendments(draw: Any, sent: list[Append | Amendment]) -> Amendment:
    """Corrections of rows that were sent, by their ids or by their values, some of which may not fit."""
    appended = [each for each in sent if isinstance(each, Append) and each.rows.num_rows]
    if not appended:
        return amendment(cancel(0, price=1.0, volume=1.0))
    of = draw(st.sampled_from(appended))
    made: list[Correction] = []
    for row in draw(st.lists(st.sampled_from(of.rows.to_pylist()), min_size=1, max_size=3)):
        price = draw(st.sampled_from([row["price"], row["price"], row["price"], 4.0]))
        named = {"price": price, "volume": row["volume"]}
        if row["trade_id"] is not None and draw(st.booleans()):
            named = {"trade_id": row["trade_id"]}
        named |= {"exchange": row["exchange"]} if draw(st.booleans()) else {}
        fix = correct(row["timestamp"], **named, new=draw(new_values))
        made.append(cancel(row["timestamp"], **named) if draw(st.booleans()) else fix)
    request_key = draw(st.sampled_from([None, None, None, "k", "l"]))
    return amendment(*made, symbol=of.symbol, request_key=request_key)


@st.composite
def steps(draw: Any) -> list[Step]:
    """Batches, some of them sent again, in parts in another mode or under another key."""
    sent: list[Append | Amendment] = [draw(batches)]
    for fresh in draw(st.lists(batches, max_size=12)):
        what = draw(st.sampled_from(["fresh", "again", "amendment", "amendment"]))
        if what == "fresh":
            sent.append(fresh)
        elif what == "amendment":
            sent.append(draw(amendments(sent)))
        else:
            again = draw(st.sampled_from(sent))
            change = draw(st.sampled_from([{}, {"dedupe": fresh.dedupe}, {"request_key": fresh.request_key}]))
            known = {name: value for name, value in change.items() if hasattr(again, name)}
            sent.append(replace(again, **known))
    return [
        Step(each, draw(st.integers(0, 1)), draw(st.booleans()), draw(st.integers(-5, 5))) for each in sent
    ]


def outcome(store: MarketStore, each: Append | Amendment) -> tuple[Any, ...]:
    try:
        receipt = store.correct(each) if isinstance(each, Amendment) else store.append(each)
    except StorageError as error:
        return type(error), getattr(error, "rows", None)
    number = receipt.commit.number
    counts = (receipt.received, receipt.stored, receipt.superseded)
    return *counts, receipt.duplicate_rows, number, receipt.replayed


def picture(store: MarketStore, symbol: str) -> dict[str, Any]:
    """All that a store answers about a symbol, commit hashes apart."""
    if symbol not in store.symbols(TRADES):
        return {}
    log, midnight = store.log(TRADES, symbol), NOON - DAY // 2
    days = [Window(midnight + n * DAY, midnight + (n + 1) * DAY) for n in range(5)]
    windows = [ALL_TIME, Window(NOON, NOON + DAY), *days]
    minute = Window(NOON, NOON + MINUTE)
    commits = [log.at(number) for number in (None, *range(log.head.number + 1))]
    barred = [(ALL_TIME, MINUTE), (windows[1], MINUTE), (ALL_TIME, DAY), (windows[2], DAY)]
    asked: list[dict[str, Any]] = [
        {"policy": US_EQUITIES, "dates_of": dates_of} for dates_of in (utc_dates, long_dates)
    ]
    return {
        "head": log.head.number,
        "as of": [log.as_of(NOON + late).commit.number for late in range(-30, 60, 3)],
        "windows": [
            (at.fills(window), at.rows(window).to_pylist(), at.version(window).number, at.extent(window))
            for window in windows
            for at in commits
        ],
        "bars": [
            columns(at.bars(window, interval_ns, policy=policy))
            for window, interval_ns in barred
            for policy in BAR_POLICIES.values()
            for at in (commits[0], commits[1 + log.head.number // 2])
        ],
        "session": [columns(at.session_bars(ALL_TIME, policy=US_EQUITIES)) for at in commits],
        "dependency_window": [
            at.dependency_window(window, MINUTE, **each)
            for window in (minute, windows[1])
            for each in asked
            for at in commits
        ],
        "long dates": [columns(commits[0].bars(window, MINUTE, **asked[1])) for window in (ALL_TIME, minute)],
    }


def long_dates(time_ns: Integers) -> Integers:
    """Trading dates of two UTC days, such as one before which the exchange was closed."""
    return (time_ns - NOON) // (2 * DAY)


def columns(bars: Bars) -> list[list[float]]:
    return [getattr(bars, name).tolist() for name in Bars.__slots__]


@settings(max_examples=EXAMPLES, deadline=None)
@given(steps())
def test_memory_and_csv_stores_agree(plan: list[Step]):
    clock = Clock()
    memory = MemoryStore(clock=clock)
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        objects = [CsvStore(folder, clock=clock), CsvStore(folder, clock=clock)]
        for step in plan:
            clock.now += step.clock
            if step.reopened:
                objects[step.through] = CsvStore(folder, clock=clock)
            assert outcome(objects[step.through], step.batch) == outcome(memory, step.batch)
        for store in (*objects, CsvStore(folder)):
            assert store.symbols(TRADES) == memory.symbols(TRADES)
            for symbol in SYMBOLS:
                assert picture(store, symbol) == picture(memory, symbol)
        hashes = {tuple(store.log(TRADES, s).head for s in store.symbols(TRADES)) for store in objects}
        assert len(hashes) == 1
