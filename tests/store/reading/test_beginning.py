"""A store that no worker looks after: its first reader makes the derived files."""

from pathlib import Path

import pytest

from store import open_store
from store.csv import CsvStore
from store.reading import rows
from tests.store.builders import SYMBOL, batch, trade

MANIFEST = Path("trades") / SYMBOL / ".derived" / "manifest.json"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    CsvStore(tmp_path).append(batch(*(trade(at, 1.0 + at) for at in range(30))))
    return tmp_path


def test_log_far_behind_is_derived_at_first_use(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(rows, "ROWS_BEHIND", 30)
    bars = open_store(folder).bars(SYMBOL)
    assert (folder / MANIFEST).exists()
    assert bars.trade_count.tolist() == [30]


def test_log_little_behind_is_not_derived(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(rows, "ROWS_BEHIND", 31)
    assert open_store(folder).bars(SYMBOL).trade_count.tolist() == [30]
    assert not (folder / MANIFEST).exists()


def test_rows_are_read_if_derived_files_cannot_be_written(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(rows, "ROWS_BEHIND", 1)
    (folder / "trades" / SYMBOL / ".derived").write_text("not a folder")
    assert len(open_store(folder).trades(SYMBOL)) == 30
