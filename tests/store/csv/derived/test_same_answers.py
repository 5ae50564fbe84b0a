"""Random operations on a log and its derived files: rows and bars equal those of a store without them."""

import random
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.bar_policies import EVERY_PRINT, US_EQUITIES, BarPolicy
from store.bars.bars import Bars
from store.bars.credit import DatesOf
from store.csv import CsvStore
from store.datasets import TRADES
from store.exceptions import NotStored
from store.protocol import ALL_TIME, Action, Amendment, Correction, Window
from tests.chance import SOAK
from tests.memory_store import MemoryStore
from tests.store.builders import DAY, MINUTE, NOON, SECOND, SYMBOL, Row, bars_of_rows, batch, trade
from tests.store.printed_days import short_date, utc_date

pytestmark = pytest.mark.system

EXAMPLES = 150 if SOAK else 3
INTERVALS = (SECOND, 7 * SECOND, MINUTE, 5 * MINUTE, 60 * MINUTE, 90 * MINUTE, DAY)
WORDS = (
    None,
    "regular",
    "intermarket_sweep",
    "opening_print",
    "closing_print",
    "odd_lot;extended_hours",
    "extended_hours",
    "suspicious",
)
SIZES = (1.0, 100.0, 0.1, 1e-9, 3e12)
Store = CsvStore | MemoryStore


class House:
    """The store under test, with small segments; a store in memory; random operations on both."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.random = random.Random(seed)
        self.memory = MemoryStore()
        self.store = self._opened()
        self.append(3)

    def append(self, count: int = 40) -> None:
        rows = [self._row() for _ in range(self.random.randint(1, count))]
        for store in (self.memory, self.store):
            store.append(batch(*rows))

    def correct(self) -> None:
        standing = self.memory.log(TRADES, SYMBOL).at().rows(ALL_TIME).to_pylist()
        if not standing:
            return
        chosen = {row["timestamp"]: row for row in self.random.choices(standing, k=self.random.randint(1, 3))}
        amendment = Amendment(TRADES, SYMBOL, tuple(map(self._correction, chosen.values())), "key:1")
        assert outcome(self.memory, amendment) == outcome(self.store, amendment)

    def derive(self) -> None:
        store = self.random.choice([self.store, self._opened()])
        derived = store.derive(
            TRADES, SYMBOL, rebuild=self.random.random() < 0.2, compact=self.random.random() < 0.2
        )
        assert derived is not None
        assert derived.commit == store.log(TRADES, SYMBOL).head.number

    def delete(self) -> None:
        shutil.rmtree(self._derived, ignore_errors=True)

    def spoil(self) -> None:
        for path in self._derived.glob("*"):
            if self.random.random() < 0.5 and path.stat().st_size:
                data = path.read_bytes()
                path.unlink()  # mapped files are never changed in place
                path.write_bytes(data[: self.random.choice([len(data) - 1, len(data) // 2])])

    def reopen(self) -> None:
        self.store = self._opened()

    def set_policy(self) -> None:
        instrument = self.store.instrument(SYMBOL)
        other = "us_equities" if instrument.bar_policy == "all" else "all"
        self.store.set_instrument(type(instrument)(SYMBOL, other))

    @property
    def _derived(self) -> Path:
        return self.folder / "trades" / SYMBOL / ".derived"

    def _opened(self) -> CsvStore:
        return CsvStore(self.folder, segment_rows=50)

    def _row(self) -> Row:
        second = self.random.choice([0, 1, 2, 59, 60, 300, 3600])
        at = NOON + self.random.choice([-1, 0, 0, 1, 9]) * DAY + second * SECOND + self.random.randint(0, 3)
        return trade(
            at,
            float(self.random.randint(-4, 9)),
            self.random.choice(SIZES),
            sequence=self.random.choice([None, 1, 2]),
            conditions=self.random.choice(WORDS),
            trade_id=self.random.choice([None, str(self.random.getrandbits(40))]),
        )

    def _correction(self, row: Row) -> Correction:
        named = {name: row[name] for name in TRADES.named_by}
        action = self.random.choice(list(Action))
        new = (
            {"price": 77.0, "volume": 7.0, "conditions": "closing_print"} if action is Action.CORRECT else {}
        )
        return Correction(action, row["timestamp"], named, new)


def outcome(store: Store, amendment: Amendment) -> object:
    try:
        receipt = store.correct(amendment)
    except NotStored as error:
        return type(error)
    return receipt.stored, receipt.duplicate_rows, receipt.commit.number


HAPPENINGS: dict[str, Callable[[House], None]] = {
    "append": House.append,
    "append again": House.append,
    "correct": House.correct,
    "derive": House.derive,
    "derive again": House.derive,
    "delete": House.delete,
    "spoil": House.spoil,
    "reopen": House.reopen,
    "another policy": House.set_policy,
}


def windows(rows: pa.Table, interval_ns: int, seed: int) -> list[Window]:
    times = rows.column("timestamp").to_numpy() // interval_ns
    chosen = random.Random(seed).choices(range(int(times.min()) - 1, int(times.max()) + 2), k=2)
    first, last = sorted(chosen)
    return [ALL_TIME, Window(first * interval_ns, (last + 1) * interval_ns)]


def check(house: House, at: int, seed: int) -> None:
    rows = house.memory.log(TRADES, SYMBOL).at(at).rows(ALL_TIME)
    assert house.store.log(TRADES, SYMBOL).at(at).rows(ALL_TIME).equals(rows)
    if not len(rows):
        return
    for policy in (EVERY_PRINT, US_EQUITIES):
        for window in windows(rows, DAY, seed):
            expected = house.memory.log(TRADES, SYMBOL).at(at).session_bars(window, policy=policy)
            found = house.store.log(TRADES, SYMBOL).at(at).session_bars(window, policy=policy)
            assert_equal(found, expected, (policy.name, window, at))
    for interval_ns in INTERVALS:
        for policy in (EVERY_PRINT, US_EQUITIES):
            for window in windows(rows, interval_ns, seed):
                dates_of = random.Random(seed).choice([utc_date, short_date])
                asked: dict[str, Any] = {"policy": policy, "dates_of": dates_of}
                check_bars(house.store, rows, window, interval_ns, commit=at, **asked)


def check_bars(
    store: CsvStore,
    rows: pa.Table,
    window: Window,
    interval_ns: int,
    *,
    policy: BarPolicy,
    dates_of: DatesOf,
    commit: int,
) -> None:
    of_all = bars_of_rows(rows, interval_ns, policy, dates_of)
    start, end = of_all.time_ns.searchsorted((window.start_ns, window.end_ns)).tolist()
    found = store.log(TRADES, SYMBOL).at(commit).bars(window, interval_ns, policy=policy, dates_of=dates_of)
    assert_equal(found, of_all[start:end], (interval_ns, policy.name, dates_of, window, commit))


def assert_equal(found: Bars, expected: Bars, of: object) -> None:
    for name in found.__slots__:
        assert np.array_equal(getattr(found, name), getattr(expected, name)), (name, of)


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    happenings=st.lists(st.sampled_from(list(HAPPENINGS)), min_size=1, max_size=14),
    seed=st.integers(0, 2**32),
)
def test_same_rows_and_bars_whatever_happens_to_derived_files(happenings: list[str], seed: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        house = House(Path(folder), seed)
        for name in happenings:
            HAPPENINGS[name](house)
        head = house.memory.log(TRADES, SYMBOL).head.number
        for at in {head, house.random.randint(1, head), house.random.randint(1, head)}:
            check(house, at, seed)
            check(house, at, seed)  # again, with the caches of the first time
