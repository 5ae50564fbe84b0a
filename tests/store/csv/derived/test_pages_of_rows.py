"""Pages of ticks of a long log: found without reading rows; each row once, despite concurrent writes."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from store.csv import CsvStore
from store.datasets import TRADES
from store.protocol import Append, Dedupe, Window
from tests.chance import SOAK
from tests.store.builders import MINUTE, NOON, SYMBOL

pytestmark = pytest.mark.system

ROWS = 1_000_000 if SOAK else 200_000
HOUR = Window(NOON, NOON + 60 * MINUTE)
PAGE = 2_000 if SOAK else 1_000


def crowded(count: int, *, seed: int, price: float) -> Append:
    """Trades at milliseconds of an hour, in any order. Many share a time."""
    rng = np.random.default_rng(seed)
    columns = {
        "timestamp": pa.array(NOON + rng.integers(0, 3_600_000, count) * 10**6),
        "price": pa.array(np.full(count, price)),
        "volume": pa.array(np.arange(count, dtype=np.float64)),
    }
    filled = [columns.get(field.name, pa.nulls(count, field.type)) for field in TRADES.schema]
    return Append(TRADES, SYMBOL, pa.record_batch(filled, schema=TRADES.schema), "key:1", Dedupe.NONE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A derived log with all rows in one hour."""
    folder = tmp_path_factory.mktemp("crowded")
    store = CsvStore(folder, segment_rows=3 * ROWS // 10)
    for seed in range(10):
        store.append(crowded(ROWS // 10, seed=seed, price=1.0))
    store.derive(TRADES, SYMBOL)
    return folder


def pages(store: CsvStore, at: int, *, from_end: bool) -> Iterator[pa.Table]:
    """Return all rows of the hour as of a commit, read in pages."""
    rest = HOUR
    while rest.start_ns < rest.end_ns:
        window = store.log(TRADES, SYMBOL).at(at).take_window(rest, PAGE, from_end=from_end)
        yield store.log(TRADES, SYMBOL).at(at).rows(window)
        rest = Window(rest.start_ns, window.start_ns) if from_end else Window(window.end_ns, rest.end_ns)


@pytest.mark.parametrize("from_end", [False, True], ids=["forwards", "backwards"])
def test_a_walk_gives_each_row_once_while_late_ones_are_written_and_folded_in(folder: Path, from_end: bool):
    store, writer = CsvStore(folder), CsvStore(folder, segment_rows=3 * ROWS // 10)
    at = store.log(TRADES, SYMBOL).head.number
    snapshot = store.log(TRADES, SYMBOL).at(at).rows(HOUR)
    walked = []
    for number, page in enumerate(pages(store, at, from_end=from_end)):
        walked.append(page)
        # There is at most about a third of a row per millisecond, so few share the last row's time.
        assert page.num_rows < PAGE + 50
        if number % 40 == 20:
            writer.append(crowded(200, seed=number, price=2.0))
        if number % 80 == 60:
            writer.derive(TRADES, SYMBOL)
    assert {page.num_rows >= PAGE for page in walked[:-1]} == {True}
    assert pa.concat_tables(reversed(walked) if from_end else walked).equals(snapshot)
