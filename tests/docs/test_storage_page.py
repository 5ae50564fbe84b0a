"""The page about the store's files: its files are those that there are, and what it shows to do gives what stands."""

import re
from pathlib import Path

import pandas as pd
import pytest
from django.conf import settings

from store.csv import CsvStore
from store.datasets import DATASETS, TRADES
from store.declarations import Partition
from store.instruments import Instrument
from store.protocol import ALL_TIME
from tests.store.builders import SECOND, SYMBOL, amendment, batch, cancel, correct, trade

PAGE = (settings.BASE_DIR / "docs" / "storage.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def store(tmp_path: Path) -> CsvStore:
    """A log of several commits and dates, with rows corrected twice, cancelled, and left alone."""
    store = CsvStore(tmp_path / "data")
    first = [trade(place * SECOND, price=100.0 + place) for place in range(5)]
    store.append(batch(*first, trade(-86_400 * SECOND, price=9.0)))
    store.append(batch(trade(86_400 * SECOND), trade(SECOND // 2, price=50.5, conditions="odd_lot")))
    store.correct(
        amendment(
            cancel(SECOND, price=101.0, volume=1.0), correct(0, price=100.0, volume=1.0, new={"volume": 7.0})
        )
    )
    store.correct(amendment(correct(0, price=100.0, volume=7.0, new={"price": 99.5})))
    store.correct(amendment(cancel(SECOND // 2, price=50.5, volume=1.0)))
    return store


def test_reading_by_hand_gives_what_stands(store: CsvStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in BLOCKS:
        exec(compile(block, "docs/storage.md", "exec"), names)
    stands, trades = names["stands"], names["trades"]
    assert isinstance(stands, pd.DataFrame)
    assert isinstance(trades, pd.DataFrame)
    assert len(trades) == 6
    day = store.log(TRADES, SYMBOL).at().rows(ALL_TIME).to_pandas()
    day = day[pd.to_datetime(day["timestamp"], utc=True).dt.date.astype(str) == "2025-01-02"]
    found = stands.sort_values("timestamp")
    assert found["price"].tolist() == day["price"].tolist() == [99.5, 102.0, 103.0, 104.0]
    assert found["volume"].tolist() == day["volume"].tolist()
    assert found["timestamp"].astype("int64").tolist() == day["timestamp"].tolist()


def test_every_file_of_a_store_is_on_the_page(store: CsvStore, tmp_path: Path):
    store.set_instrument(Instrument(SYMBOL, bar_policy="us_equities"))
    store.derive(TRADES, SYMBOL, rebuild=True)
    for path in (tmp_path / "data").rglob("*"):
        if path.is_file():
            assert pattern(path.name) in PAGE, path.name


def pattern(name: str) -> str:
    """A file's name as the page has it."""
    name = re.sub(r"^\d{4}-\d\d-\d\d", "2025-01-02", name)
    name = re.sub(r"^[0-9a-f]{16}\.rows", "NAME.rows", name)
    return re.sub(r"^[0-9a-f]{16}\..*\.rollups", r"NAME.POLICY.rollups", name)


def test_every_dataset_is_in_the_layout_with_its_partition():
    for dataset in DATASETS.values():
        line = next(
            (line for line in PAGE.splitlines() if re.search(rf"^    .*\b{dataset.name}/", line)), None
        )
        assert line is not None, f"the layout lacks {dataset.name}/"
        assert ("year" in line) is (dataset.partition is Partition.YEAR), dataset.name


def test_the_header_on_the_page_is_the_files(store: CsvStore, tmp_path: Path):
    file = next((tmp_path / "data" / "trades" / SYMBOL).glob("2025-01-02.csv"))
    assert f"`{file.read_text().splitlines()[0]}`" in PAGE
