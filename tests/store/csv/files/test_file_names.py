"""Every symbol has its own folder on any file system, inside of the store's folder."""

import re
from dataclasses import replace
from pathlib import PurePosixPath, PureWindowsPath

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from store.csv import CsvStore
from store.csv.files import file_names
from store.csv.files.file_names import FILE_LIMIT_BYTES, file_for, symbol_of
from store.datasets import TRADES
from store.declarations import Partition
from store.protocol import ALL_TIME
from store.symbols import InvalidSymbol, folder_name, parse_symbol
from tests.store.builders import DAY, NOON, SYMBOL, batch, stored, trade

RESERVED = re.compile(r"(?i)(CON|PRN|AUX|NUL|COM[0-9]|LPT[0-9])(\..*)?")


def is_symbol(text: str) -> bool:
    try:
        return parse_symbol(text) == text
    except InvalidSymbol:
        return False


AWKWARD = ["CON", "CON.", "CON.A", "NUL", "LPT1.TXT", "AUX..", "COM9", "A.", "A..", "A.B.", "^", "1", "E:1", "A B", "CONX"]  # fmt: skip
symbols = st.from_regex(r"[A-Z0-9^][A-Z0-9._\-=^:+& ]{0,31}", fullmatch=True).filter(
    is_symbol
) | st.sampled_from(AWKWARD)


@given(symbols)
def test_a_folder_name_is_read_back_as_its_symbol(symbol):
    assert symbol_of(folder_name(symbol)) == symbol


@given(symbols, symbols)
def test_two_symbols_have_two_folders_even_where_case_does_not_count(one, other):
    assert (folder_name(one).lower() == folder_name(other).lower()) == (one == other)


@given(symbols)
@example("CON.")
@example("NUL..")
def test_folder_names_are_valid_on_every_file_system(symbol):
    name = folder_name(symbol)
    assert re.fullmatch(r"[A-Z0-9%._=\-]+", name)
    assert len(name) <= 255
    assert not name.startswith(".")
    assert not name.endswith((".", " "))
    assert not RESERVED.fullmatch(name)
    assert len(PurePosixPath(name).parts) == len(PureWindowsPath(name).parts) == 1


@pytest.mark.parametrize(
    ("day", "partition", "full", "file"),
    [
        (NOON // DAY, Partition.DAY, [], "2025-01-02.csv"),
        (NOON // DAY, Partition.DAY, ["2025-01-02.csv"], "2025-01-02.1.csv"),
        (NOON // DAY, Partition.DAY, ["2025-01-02.csv", "2025-01-02.1.csv"], "2025-01-02.2.csv"),
        (-1, Partition.DAY, ["1970-01-01.csv"], "1969-12-31.csv"),
        (NOON // DAY, Partition.YEAR, [], "2025.csv"),
        (NOON // DAY + 363, Partition.YEAR, ["2025.csv"], "2025.1.csv"),
        (-1, Partition.YEAR, ["1970.csv"], "1969.csv"),
    ],
)
def test_a_partition_s_rows_go_to_its_first_file_that_is_not_full(day, partition, full, file):
    ends = dict.fromkeys(full, FILE_LIMIT_BYTES)
    assert file_for(day, partition, lambda name: ends.get(name, 0)) == file
    ends[file] = FILE_LIMIT_BYTES - 1
    assert file_for(day, partition, lambda name: ends.get(name, 0)) == file


@pytest.mark.parametrize("limit", [200, FILE_LIMIT_BYTES])
def test_the_dates_of_a_year_share_its_files(tmp_path, monkeypatch, limit):
    monkeypatch.setattr(file_names, "FILE_LIMIT_BYTES", limit)
    yearly = replace(TRADES, name="yearly", partition=Partition.YEAR)
    days = [0, 5, 1, 5, 362, 1, 400]
    rows = [trade(NOON + day * DAY + number, trade_id=str(number)) for number, day in enumerate(days)]
    for at in range(0, len(rows), 2):  # two dates in a batch; each store reads the commits of the one before
        appended = replace(batch(*rows[at : at + 2]), dataset=yearly)
        assert CsvStore(tmp_path).append(appended).commit.number == at // 2 + 1
    files = {path.name.partition(".")[0] for path in (tmp_path / "yearly" / SYMBOL).glob("*.csv")}
    assert files == {"2025", "2026"}
    read = CsvStore(tmp_path).log(yearly, SYMBOL).at().rows(ALL_TIME).to_pylist()
    assert read == sorted(rows, key=lambda row: row["timestamp"])


@pytest.mark.parametrize("limit", [1, 1000])
def test_rows_of_a_date_in_several_files_are_read_as_one(tmp_path, monkeypatch, limit):
    monkeypatch.setattr(file_names, "FILE_LIMIT_BYTES", limit)
    store = CsvStore(tmp_path)
    rows = [trade(number, 1.0 + number, trade_id=str(number)) for number in range(30)]
    for start in range(0, 30, 3):
        store.append(batch(*rows[start : start + 3]))
    files = sorted(path.name for path in (tmp_path / TRADES.name / SYMBOL).glob("*.csv"))
    assert len(files) > 1
    for path in (tmp_path / TRADES.name / SYMBOL).glob("*.csv"):
        assert path.read_text().startswith("timestamp,symbol,")
    assert stored(store) == stored(CsvStore(tmp_path)) == rows
    assert CsvStore(tmp_path).append(batch(*rows)).stored == 0
