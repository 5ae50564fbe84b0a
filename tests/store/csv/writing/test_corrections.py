"""Corrections in files: lines, commits, faults, and other processes."""

from pathlib import Path

import pytest

from store.csv import CsvStore
from store.csv.files import file_names
from store.datasets import TRADES
from store.exceptions import CorrectionTargetMissing, DataDamaged, IdConflict
from store.protocol import Amendment, Append, Window
from tests.store.builders import DAY, NOON, SYMBOL, amendment, batch, cancel, correct, stored, trade
from tests.store.csv.disks import WatchedDisk
from tests.store.csv.writing.test_group_commit import written_together

NEAR_NOON = Window(NOON, NOON + 9)
ROWS = [trade(1, trade_id="a"), trade(2, 5.0), trade(DAY, trade_id="c")]
FIXES = amendment(
    cancel(1, trade_id="a"), correct(2, price=5.0, volume=1.0, new={"price": 6.0}), cancel(DAY, trade_id="c")
)


@pytest.fixture
def store(tmp_path: Path) -> CsvStore:
    made = CsvStore(tmp_path)
    made.append(batch(*ROWS))
    return made


def folder_of(path: Path) -> Path:
    return path / TRADES.name / SYMBOL


def test_corrections_are_lines_beside_the_rows_which_stay_as_they_are(store: CsvStore, tmp_path: Path):
    rows = (folder_of(tmp_path) / "2025-01-02.csv").read_bytes()
    store.correct(FIXES)
    assert (folder_of(tmp_path) / "2025-01-02.csv").read_bytes() == rows
    assert (folder_of(tmp_path) / "2025-01-02.corrections.csv").read_text().splitlines() == [
        "timestamp,symbol,price,volume,trade_id,sequence,exchange,conditions,received_at,arrival,action",
        "2025-01-02T12:00:00.000000001Z,AAPL,100,1,a,,,,,0,cancel",
        "2025-01-02T12:00:00.000000002Z,AAPL,6,1,,,,,,1,correct",
    ]


def test_a_file_of_corrections_that_is_full_is_followed_by_another(store, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(file_names, "FILE_LIMIT_BYTES", 200)
    for price in (1.0, 2.0, 3.0):
        store.correct(amendment(correct(1, trade_id="a", new={"price": price})))
    names = sorted(path.name for path in folder_of(tmp_path).glob("*.corrections*"))
    assert names == ["2025-01-02.corrections.1.csv", "2025-01-02.corrections.csv"]
    assert [stored(CsvStore(tmp_path), commit=at)[0]["price"] for at in (1, 2, 3, 4)] == [
        100.0,
        1.0,
        2.0,
        3.0,
    ]


def test_rows_and_corrections_of_one_group_see_each_other_in_order(tmp_path: Path):
    disk = WatchedDisk()
    store = CsvStore(tmp_path, disk=disk)
    store.append(batch(trade(DAY)))
    row, new = trade(1, trade_id="a"), {"price": 7.0}
    group: list[Append | Amendment] = [
        amendment(cancel(1, trade_id="a")),
        batch(row),
        amendment(correct(1, trade_id="a", new=new)),
        batch(row, row | new),
        batch(row | {"price": 8.0}),
        amendment(cancel(1, trade_id="a", price=100.0)),
        amendment(cancel(1, trade_id="a")),
        amendment(cancel(1, trade_id="a")),
    ]
    futures = written_together(store, disk, group)
    errors = {place: type(each.exception()) for place, each in enumerate(futures) if each.exception()}
    assert errors == {0: CorrectionTargetMissing, 4: IdConflict, 5: CorrectionTargetMissing}
    assert [each.result().stored for each in futures if each.exception() is None] == [1, 1, 0, 1, 0]
    assert disk.calls["sync"] <= 4
    for seen in (store, CsvStore(tmp_path)):
        prices = [[each["price"] for each in stored(seen, NEAR_NOON, commit=at)] for at in (3, 4, 5)]
        assert prices == [[100.0], [7.0], []]
        assert seen.append(batch(row, row | new)).stored == 0


def test_a_flipped_bit_in_a_correction_withholds_its_date_and_is_named(store: CsvStore, tmp_path: Path):
    store.correct(FIXES)
    path = folder_of(tmp_path) / "2025-01-02.corrections.csv"
    text = bytearray(path.read_bytes())
    text[-5] ^= 1
    path.write_bytes(text)
    damaged = CsvStore(tmp_path)
    with pytest.raises(DataDamaged, match=r"AAPL/2025-01-02.corrections.csv, commit 2"):
        stored(damaged)
    with pytest.raises(DataDamaged):
        damaged.correct(amendment(cancel(2, price=6.0, volume=1.0)))
    assert stored(damaged, commit=1) == ROWS
    assert damaged.append(batch(trade(5 * DAY))).stored == 1
