"""A snapshot of a log that is replaced by another history."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from store.bar_policies import EVERY_PRINT, US_EQUITIES
from store.bars.spans import Spans
from store.csv import CsvStore
from store.datasets import TRADES
from store.log import Snapshot
from store.protocol import ALL_TIME, Window
from store.walk import Resync
from store.window_list import WindowList
from tests.store.builders import DAY, MINUTE, NOON, SYMBOL, batch, trade

NOW = Window(NOON, NOON + MINUTE)
SPANS = Spans(np.array([NOON]), np.array([NOON + 90]), np.array([NOON]))
READS: dict[str, Callable[[Snapshot], object]] = {
    "rows": lambda log: log.rows(ALL_TIME),
    "versions": lambda log: log.versions(ALL_TIME),
    "row_origin": lambda log: log.row_origin(timestamp_ns=NOON, arrival=0),
    "version": lambda log: log.version(ALL_TIME),
    "completeness": lambda log: log.completeness(),
    "fills": lambda log: log.fills(ALL_TIME),
    "take_window": lambda log: log.take_window(ALL_TIME, 1),
    "row_bound": lambda log: log.row_bound(ALL_TIME),
    "touched_dates": lambda log: log.touched_dates(ALL_TIME),
    "aggregates": lambda log: log.aggregates(WindowList.of(NOW), MINUTE, EVERY_PRINT),
    "first_commit_from": lambda log: log.first_commit_from(NOON),
    "bars": lambda log: log.bars(NOW, MINUTE),
    "session_bars": lambda log: log.session_bars(Window(NOON, NOON + DAY), policy=US_EQUITIES),
    "span_aggregates": lambda log: log.span_aggregates(SPANS, policy=EVERY_PRINT),
    "dependency_window": lambda log: log.dependency_window(NOW, MINUTE, policy=US_EQUITIES),
    "change_bound": lambda log: log.change_bound(NOW, MINUTE, after=0),
}


def made(folder: Path, *prices: float, derived: bool) -> CsvStore:
    """A store with one commit for each price."""
    store = CsvStore(folder)
    for number, price in enumerate(prices):
        store.append(batch(trade(number, price)))
    if derived:
        store.derive(TRADES, SYMBOL)
    return store


@pytest.mark.parametrize("derived", [False, True], ids=["rows", "derived files"])
@pytest.mark.parametrize("longer", [0, 1], ids=["as many commits", "more commits"])
def test_no_read_gives_another_history(tmp_path: Path, derived: bool, longer: int):
    store = made(tmp_path / "store", 1.0, 2.0, derived=derived)
    made(tmp_path / "other", *[7.0, 8.0, 9.0][: 2 + longer], derived=derived)
    snapshots = [store.log(TRADES, SYMBOL).at(number) for number in (None, 1)]
    assert snapshots[0].rows(ALL_TIME).column("price").to_pylist() == [1.0, 2.0]
    shutil.rmtree(tmp_path / "store" / "trades")
    shutil.copytree(tmp_path / "other" / "trades", tmp_path / "store" / "trades")
    for snapshot in snapshots:
        for read in READS.values():
            with pytest.raises(Resync) as caught:
                read(snapshot)
            assert caught.value.head == store.log(TRADES, SYMBOL).head
        with pytest.raises(Resync):
            store.log(TRADES, SYMBOL).at(snapshot.commit)


def test_a_snapshot_is_read_after_later_commits_and_after_its_log_was_closed(tmp_path: Path):
    store = made(tmp_path, 1.0, 2.0, derived=True)
    snapshot = store.log(TRADES, SYMBOL).at()
    store.append(batch(trade(3, 3.0)))
    store._logs._logs.clear()
    assert snapshot.rows(ALL_TIME).column("price").to_pylist() == [1.0, 2.0]
    assert snapshot == store.log(TRADES, SYMBOL).at(2)
    assert snapshot != store.log(TRADES, SYMBOL).at()


def test_every_read_is_tried():
    """A read that is added to `Snapshot` must be tried here."""
    reads = {name for name, member in vars(Snapshot).items() if callable(member) and not name.startswith("_")}
    assert reads - {"extent", "times_of_minutes", "check_readable"} == set(READS)
