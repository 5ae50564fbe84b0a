"""Daily bars of the regular session are stored beside the rollups; reads use them."""

from pathlib import Path

import pytest

from store.bar_policies import EVERY_PRINT, US_EQUITIES
from store.csv import CsvStore
from store.csv.derived.manifest import read_manifest
from store.datasets import TRADES
from store.instruments import Instrument
from store.protocol import ALL_TIME
from tests.store.builders import SYMBOL, batch, trade


@pytest.fixture
def store(tmp_path: Path) -> CsvStore:
    store = CsvStore(tmp_path)
    store.set_instrument(Instrument(SYMBOL, bar_policy=US_EQUITIES.name))
    store.append(batch(trade(), trade(10)))
    assert store.derive(TRADES, SYMBOL) is not None
    return store


def test_all_files_that_a_manifest_names_are_there_after_a_fold_and_after_reads(
    store: CsvStore, tmp_path: Path
) -> None:
    derived = tmp_path / "trades" / SYMBOL / ".derived"
    for _ in range(2):
        manifest = read_manifest(derived)
        assert manifest is not None
        assert {path.name for path in derived.glob("*.columns")} == set(manifest.segments[0].files)
        assert sum("sessions" in file for file in manifest.segments[0].files) == 1
        assert len(store.log(TRADES, SYMBOL).at().session_bars(ALL_TIME, policy=US_EQUITIES)) == 1


def test_files_of_a_policy_that_is_not_in_use_any_more_are_deleted(store: CsvStore, tmp_path: Path) -> None:
    store.set_instrument(Instrument(SYMBOL, bar_policy=EVERY_PRINT.name))
    assert store.derive(TRADES, SYMBOL) is not None
    left = {path.name for path in (tmp_path / "trades" / SYMBOL / ".derived").glob("*.columns")}
    assert {name.split(".", 1)[1] for name in left} == {"rows.columns", f"{EVERY_PRINT.key}.rollups.columns"}
