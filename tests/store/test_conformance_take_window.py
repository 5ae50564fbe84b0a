"""Where so many rows are, and at most how many there are: in every store, for every dataset."""

import random
from typing import Any

import pyarrow as pa
import pytest

from store.datasets import BARS, OPEN_INTEREST, QUOTES, TRADES
from store.declarations import Dataset
from store.exceptions import UnknownSymbol
from store.market_store import MarketStore
from store.protocol import ALL_TIME, Window
from tests.chance import SOAK
from tests.store.builders import (
    DAY,
    NOON,
    SYMBOL,
    amendment,
    append_of,
    batch,
    cancel,
    correct,
    stored,
    trade,
)

pytestmark = pytest.mark.system


def expected(times: list[int], window: Window, rows: int, *, from_end: bool) -> Window:
    """The taken window, from the event times of all visible rows in order."""
    inside = [at for at in times if window.start_ns <= at < window.end_ns]
    if len(inside) < rows:
        return window
    if from_end:
        return Window(inside[-rows], window.end_ns)
    return Window(window.start_ns, inside[rows - 1] + 1)


def random_window(rng: random.Random, times: list[int]) -> Window:
    start, end = sorted(rng.choice(times) + rng.randint(-1, 1) for _ in range(2))
    return rng.choice([ALL_TIME, Window(start, end + 1), Window(start, ALL_TIME.end_ns)])


def check(store: MarketStore, dataset: Dataset, at: int | None, rng: random.Random) -> None:
    times = store.log(dataset, SYMBOL).at(at).rows(ALL_TIME).column(0).to_pylist()
    for _ in range(20 if SOAK else 10):
        window, rows, from_end = (
            random_window(rng, times or [NOON]),
            rng.choice([1, 2, 3, 7, 30]),
            rng.random() < 0.5,
        )
        found = store.log(dataset, SYMBOL).at(at).take_window(window, rows, from_end=from_end)
        assert found == expected(times, window, rows, from_end=from_end)
        inside = sum(window.start_ns <= each < window.end_ns for each in times)
        assert store.log(dataset, SYMBOL).at(at).row_bound(window) == inside


def random_trade(rng: random.Random) -> dict[str, Any]:
    at = rng.choice([0, 0, 0, 1, -1, 30]) * DAY + rng.randint(0, 6)
    return trade(
        at, float(rng.randint(1, 9)), sequence=rng.choice([None, 1, 2]), trade_id=str(rng.getrandbits(60))
    )


@pytest.mark.parametrize("seed", range(8 if SOAK else 1))
def test_take_window_has_the_rows_and_those_of_the_same_time(store, seed: int):
    rng = random.Random(seed)
    for _ in range(4):
        store.append(batch(*(random_trade(rng) for _ in range(rng.randint(1, 30)))))
        for row in rng.sample(stored(store), min(6, len(stored(store)))):
            named = {"trade_id": row["trade_id"]}
            new = {"price": row["price"] + 1.0}
            fix = correct(row["timestamp"], **named, new=new)
            store.correct(amendment(cancel(row["timestamp"], **named) if rng.random() < 0.7 else fix))
        check(store, TRADES, None, rng)
        check(store, TRADES, rng.randint(0, store.log(TRADES, SYMBOL).head.number), rng)


ROWS: dict[str, tuple[Dataset, dict[str, Any]]] = {
    "quotes": (QUOTES, {"bid": 1.0, "bid_size": 1.0}),
    "open interest": (OPEN_INTEREST, {"date": NOON // DAY * DAY, "open_interest": 5.0, "status": "final"}),
    "bars": (BARS, {"resolution": "1m", "open": 1.0, "high": 1.0, "low": 1.0, "close": 1.0, "volume": 1.0}),
}


@pytest.mark.parametrize(("dataset", "values"), ROWS.values(), ids=list(ROWS))
def test_rows_of_every_dataset_are_found(store, dataset: Dataset, values: dict[str, Any]):
    rng = random.Random(3)
    row = dict.fromkeys(dataset.schema.names) | values
    for number in range(5):
        rows = []
        for place in range(12):
            varied = {
                "bid": float(place),
                "open_interest": float(place),
                "resolution": ("1m", "5m", "1h")[place % 3],
            }
            at = NOON + rng.choice([0, 400]) * DAY + number * 4 + place // 4
            own = {name: value for name, value in varied.items() if name in row}
            dated = {"date": row["date"] + place * DAY} if "date" in row else {}
            rows.append(row | own | dated | {"timestamp": at})
        store.append(append_of(dataset, *rows))
        check(store, dataset, None, rng)
        check(store, dataset, rng.randint(0, number + 1), rng)


def test_take_window_of_an_unknown_symbol_raises(store):
    with pytest.raises(UnknownSymbol):
        store.log(TRADES, SYMBOL).at().take_window(ALL_TIME, 1)
    with pytest.raises(UnknownSymbol):
        store.log(TRADES, SYMBOL).at().row_bound(ALL_TIME)


@pytest.mark.parametrize("from_end", [False, True], ids=["forwards", "backwards"])
def test_pages_have_each_row_once_while_late_ones_are_written(store, from_end: bool):
    rng, pages, rest = random.Random(1), [], ALL_TIME
    store.append(batch(*(random_trade(rng) for _ in range(150))))
    pinned = store.log(TRADES, SYMBOL).at()
    rows = pinned.rows(ALL_TIME)
    while rest.start_ns < rest.end_ns:
        window = pinned.take_window(rest, 7, from_end=from_end)
        pages.append(pinned.rows(window))
        store.append(batch(random_trade(rng)))
        rest = Window(rest.start_ns, window.start_ns) if from_end else Window(window.end_ns, rest.end_ns)
    assert all(page.num_rows >= 7 for page in pages[:-1])
    assert pa.concat_tables(reversed(pages) if from_end else pages).equals(rows)
