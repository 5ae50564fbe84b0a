"""Files with different headers: each is read by its own; rows with other columns begin another file."""

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from store.csv import CsvStore
from store.csv.derived.manifest import column_names, read_manifest
from store.csv.verify import CsvLogCheck
from store.datasets import TRADES
from store.declarations import Column, ColumnKind, Dataset
from store.exceptions import DataDamaged, IdConflict
from store.maintained import LogFinding
from store.protocol import ALL_TIME, Append
from tests.store.builders import DAY, SYMBOL, Row, amendment, batch, correct, stored, trade
from tests.store.csv.disks import WatchedDisk
from tests.store.csv.writing.test_group_commit import written_together

FIRST_FORM = "timestamp,symbol,price,volume,trade_id,sequence,exchange,conditions,received_at"
FLAG = ",buyer_is_maker"
DATE = "2025-01-02"
# A version that does not know the column, and one that knows one more.
OLDER = TRADES.first_form
NEWER = replace(TRADES, columns=(*TRADES.columns, Column("venue_note", ColumnKind.TEXT, later=True)))


def flagged(flag: bool | None, at: int = 1, **others: str | float) -> Row:
    return trade(at, buyer_is_maker=flag, **others)  # type: ignore[arg-type]


def folder_of(path: Path) -> Path:
    return path / TRADES.name / SYMBOL


def headers(path: Path) -> dict[str, str]:
    """Return the later columns in each file's header."""
    files = sorted(folder_of(path).glob("*.csv"))
    return {file.name: file.read_text().partition("\n")[0].removeprefix(FIRST_FORM) for file in files}


def cells(path: Path, file: str) -> list[str]:
    """Return the last cell of each line of a file."""
    return [line.rpartition(",")[2] for line in (folder_of(path) / file).read_text().splitlines()[1:]]


def findings(path: Path, dataset: Dataset = TRADES) -> list[LogFinding]:
    return list(CsvLogCheck(dataset, SYMBOL, folder_of(path)).findings())


def rows_of(dataset: Dataset, *rows: Row) -> Append:
    """Return a batch of a version with this declaration."""
    filled = [dict.fromkeys(dataset.schema.names) | row for row in rows]
    return Append(dataset, SYMBOL, pa.RecordBatch.from_pylist(filled, schema=dataset.schema), "key:1")


def read_as(dataset: Dataset, path: Path) -> list[Row]:
    found: list[Row] = CsvStore(path).log(dataset, SYMBOL).at().rows(ALL_TIME).to_pylist()
    return found


def test_rows_go_to_the_first_file_whose_header_holds_them(tmp_path: Path):
    sent = [flagged(flag, at) for at, flag in enumerate([None, True, None, False, None])]
    other_date = [flagged(True, DAY), flagged(None, DAY + 1)]
    for row in sent:
        CsvStore(tmp_path).append(batch(row))
    CsvStore(tmp_path).append(batch(*other_date))
    assert headers(tmp_path) == {f"{DATE}.1.csv": FLAG, f"{DATE}.csv": "", "2025-01-03.csv": FLAG}
    assert cells(tmp_path, f"{DATE}.1.csv") == ["true", "false"]
    assert cells(tmp_path, "2025-01-03.csv") == ["true", ""]
    assert stored(CsvStore(tmp_path)) == [*sent, *other_date]
    assert CsvStore(tmp_path).append(batch(*sent)).stored == 0
    assert findings(tmp_path) == []


def test_batches_of_one_group_are_placed_by_the_headers_of_those_before(tmp_path: Path):
    disk = WatchedDisk()
    store = CsvStore(tmp_path, disk=disk)
    group = [batch(flagged(flag, at, trade_id=str(at))) for at, flag in enumerate([True, None, False, None])]
    futures = written_together(store, disk, [*group, batch(flagged(True, 2, trade_id="2"))])
    assert [future.exception() for future in futures[:4]] == [None] * 4
    assert isinstance(futures[4].exception(), IdConflict)
    assert headers(tmp_path) == {f"{DATE}.1.csv": FLAG, f"{DATE}.csv": ""}
    assert [row["buyer_is_maker"] for row in stored(CsvStore(tmp_path))] == [None, True, None, False, None]


def test_corrections_that_set_the_column_begin_another_file_of_corrections(tmp_path: Path):
    store = CsvStore(tmp_path)
    store.append(batch(trade(1, trade_id="a"), trade(2, trade_id="b")))
    store.correct(amendment(correct(1, trade_id="a", new={"price": 5.0})))
    store.correct(amendment(correct(2, trade_id="b", new={"buyer_is_maker": True})))
    store.correct(amendment(correct(1, trade_id="a", new={"price": 6.0})))
    own = ",arrival,action"
    assert headers(tmp_path) == {
        f"{DATE}.corrections.1.csv": own + FLAG,
        f"{DATE}.corrections.csv": own,
        f"{DATE}.csv": "",
    }
    expected = [trade(1, 6.0, trade_id="a"), flagged(True, 2, trade_id="b")]
    assert stored(store) == stored(CsvStore(tmp_path)) == expected
    assert findings(tmp_path) == []


class TestUnknownColumns:
    """Columns that a later version has written."""

    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        CsvStore(tmp_path).append(
            rows_of(NEWER, flagged(True, 1, trade_id="a", venue_note="x,y"), flagged(None, 2))
        )
        return tmp_path

    def test_unknown_columns_are_in_no_answer(self, path: Path):
        assert headers(path) == {f"{DATE}.csv": f"{FLAG},venue_note"}
        assert read_as(TRADES, path) == [flagged(True, 1, trade_id="a"), trade(2)]
        assert [row["price"] for row in read_as(OLDER, path)] == [100.0, 100.0]
        assert findings(path) == findings(path, OLDER) == findings(path, NEWER) == []

    def test_unknown_columns_stay_while_an_older_version_writes(self, path: Path):
        before = (folder_of(path) / f"{DATE}.csv").read_bytes()
        store = CsvStore(path)
        store.append(batch(flagged(False, 3), trade(4)))
        assert store.append(batch(flagged(True, 1, trade_id="a"))).stored == 0
        store.correct(amendment(correct(2, price=100.0, volume=1.0, new={"price": 7.0})))
        assert (folder_of(path) / f"{DATE}.csv").read_bytes().startswith(before)
        notes = [(row["price"], row["buyer_is_maker"], row["venue_note"]) for row in read_as(NEWER, path)]
        assert notes == [(100.0, True, "x,y"), (7.0, None, None), (100.0, False, None), (100.0, None, None)]
        assert findings(path) == []

    @pytest.mark.parametrize("version", [OLDER, TRADES])
    def test_what_an_older_version_derived_hides_nothing(self, path: Path, version: Dataset):
        CsvStore(path).derive(version, SYMBOL)
        expected = [(True, "x,y"), (None, None)]
        assert [(row["buyer_is_maker"], row["venue_note"]) for row in read_as(NEWER, path)] == expected
        CsvStore(path).derive(NEWER, SYMBOL)
        manifest = read_manifest(folder_of(path) / ".derived")
        assert manifest is not None
        assert manifest.columns == column_names(NEWER)
        assert [(row["buyer_is_maker"], row["venue_note"]) for row in read_as(NEWER, path)] == expected

    def test_damage_in_their_lines_is_reported(self, path: Path):
        file = folder_of(path) / f"{DATE}.csv"
        text = file.read_bytes()
        file.write_bytes(text.replace(b"100,1,a", b"1x0,1,b"))
        found = findings(path)
        assert [each.offset for each in found] == [len(text.splitlines(keepends=True)[0])]
        assert "not as written" in found[0].message


@pytest.mark.parametrize("wrong", [b"timestamp,symbol,prize", b"timestamp;symbol,price"])
def test_a_damaged_header_refuses_its_rows_and_new_ones_go_to_another_file(tmp_path, wrong):
    store = CsvStore(tmp_path)
    store.append(batch(trade(1), trade(DAY)))
    file = folder_of(tmp_path) / f"{DATE}.csv"
    text = file.read_bytes()
    file.write_bytes(wrong + text[len(wrong) :])
    with pytest.raises(DataDamaged, match="is not a header of trades"):
        stored(CsvStore(tmp_path))
    assert len(findings(tmp_path)) == 1
    assert CsvStore(tmp_path).append(batch(trade(5))).stored == 1
    assert headers(tmp_path)[f"{DATE}.1.csv"] == ""
    file.write_bytes(text)
    assert stored(CsvStore(tmp_path)) == [trade(1), trade(5), trade(DAY)]
    assert findings(tmp_path) == []


@pytest.mark.parametrize("wrong", [b"buyer,is_maker", b"Buyer_is_maker"])
def test_a_detectable_wrong_name_of_a_later_column_is_damage(tmp_path, wrong):
    CsvStore(tmp_path).append(batch(flagged(True)))
    file = folder_of(tmp_path) / f"{DATE}.csv"
    header, lines = file.read_bytes().split(b"\n", 1)
    start = len(header) - len(b"buyer_is_maker")
    file.write_bytes(header[:start] + wrong + b"\n" + lines)
    with pytest.raises(DataDamaged):
        stored(CsvStore(tmp_path))
    assert len(findings(tmp_path)) == 1
