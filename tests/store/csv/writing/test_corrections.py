"""Corrections in files: lines, commits, faults, and other processes."""

import json
import multiprocessing
from pathlib import Path

import pytest

from store.csv import CsvStore
from store.csv.files import file_names
from store.datasets import TRADES
from store.exceptions import CorrectionTargetMissing, DataDamaged, IdConflict
from store.protocol import Amendment, Append, Window
from tests.store.builders import DAY, NOON, SYMBOL, Row, amendment, batch, cancel, correct, stored, trade
from tests.store.csv.disks import WatchedDisk
from tests.store.csv.writing import correction_process
from tests.store.csv.writing.correction_process import POOL, pool_row
from tests.store.csv.writing.test_group_commit import written_together

NEAR_NOON = Window(NOON, NOON + 9)
WRITERS = 4
PATIENCE = 60.0
ROWS = [trade(1, trade_id="a"), trade(2, 5.0), trade(DAY, trade_id="c")]
FIXES = amendment(
    cancel(1, trade_id="a"), correct(2, price=5.0, volume=1.0, new={"price": 6.0}), cancel(DAY, trade_id="c")
)
FIXED = [trade(2, 6.0)]


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


def test_only_parts_of_corrections_name_their_kind(store: CsvStore, tmp_path: Path):
    store.correct(FIXES)
    records = [json.loads(line) for line in (folder_of(tmp_path) / "commits.jsonl").read_text().splitlines()]
    kinds = [[part.get("kind") for part in record["parts"]] for record in records]
    assert kinds == [[None, None], ["corrections", "corrections"]]
    assert (records[1]["received"], [part["rows"] for part in records[1]["parts"]]) == (3, [2, 1])


def test_another_process_and_a_restart_see_corrections_and_recognise_what_was_sent(
    store: CsvStore, tmp_path: Path
):
    other = CsvStore(tmp_path)
    assert len(stored(other)) == 3
    store.correct(FIXES)
    for seen in (other, CsvStore(tmp_path)):
        assert stored(seen) == FIXED
        assert stored(seen, commit=1) == ROWS
        assert seen.correct(FIXES).stored == 0
        assert seen.append(batch(*ROWS)).stored == 0


def test_rows_of_each_file_keep_their_numbers_over_dates_and_commits(store: CsvStore, tmp_path: Path):
    later = [trade(DAY, 1.0, trade_id="d"), trade(3, 1.5, trade_id="e"), trade(DAY, 2.0, trade_id="f")]
    store.append(batch(*later))
    store.correct(
        amendment(*(correct(row["timestamp"], trade_id=row["trade_id"], new={"price": 9.0}) for row in later))
    )
    lines = (folder_of(tmp_path) / "2025-01-03.corrections.csv").read_text().splitlines()[1:]
    assert [line.split(",")[-2] for line in lines] == ["4", "5"]
    assert [row["price"] for row in stored(CsvStore(tmp_path))] == [100.0, 5.0, 9.0, 100.0, 9.0, 9.0]


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


def corrected(row: Row, number: int) -> list[Row]:
    return [] if number % 3 == 0 else [row | ({"price": 0.5} if number % 3 == 1 else {})]


@pytest.mark.system
def test_four_processes_apply_every_correction_once(tmp_path: Path):
    CsvStore(tmp_path).append(batch(*map(pool_row, range(POOL))))
    context = multiprocessing.get_context("spawn")
    begin = context.Barrier(WRITERS)
    pipes = [context.Pipe(duplex=False) for _ in range(WRITERS)]
    writers = [
        context.Process(target=correction_process.write, args=(tmp_path, writer, begin, pipes[writer][1]))
        for writer in range(WRITERS)
    ]
    try:
        for process in writers:
            process.start()
        sent = [inbox.recv() for inbox, _ in pipes if inbox.poll(PATIENCE)]
    finally:
        for process in writers:
            process.join(PATIENCE)
            process.kill()
            process.join()
        for inbox, outbox in pipes:
            inbox.close()
            outbox.close()
    assert len(sent) == WRITERS
    assert sum(applied for applied, _ in sent) == POOL * 2 // 3
    assert sum(added for _, added in sent) == 0
    expected = [each for number in range(POOL) for each in corrected(pool_row(number), number)]
    seen = CsvStore(tmp_path)
    assert stored(seen) == sorted(expected, key=lambda row: row["timestamp"])
    assert seen.log(TRADES, SYMBOL).head.number == 1 + POOL * 2 // 3
