"""The check of every byte: changed bytes in a log's files are found and reported."""

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from store.csv import CsvStore, verify
from store.csv.files.codec import header_line, header_of
from store.csv.verify import CsvLogCheck
from store.datasets import BARS, TRADES
from store.exceptions import UnknownSymbol
from store.maintained import LogFinding
from tests.store.builders import MINUTE, SYMBOL, append_of, bar, batch, trade

DAY_FILE = "2025-01-02.csv"
COMMITS = 4
ROWS = 300


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A log of four commits of several blocks and one date each; the last one has two dates."""
    store = CsvStore(tmp_path)
    for number in range(COMMITS):
        first = number * ROWS
        rows = [
            trade((first + row) * 10**9, price=100 + row / 7, trade_id=f"t{first + row}")
            for row in range(ROWS)
        ]
        store.append(batch(*rows, *([trade(24 * 60 * MINUTE)] if number == COMMITS - 1 else [])))
    return tmp_path / "trades" / SYMBOL


def findings(folder: Path) -> list[LogFinding]:
    return list(CsvLogCheck(TRADES, SYMBOL, folder).findings())


def parts(folder: Path) -> list[tuple[int, int, int]]:
    """Return commit, start and end of each part in the first date's file."""
    lines = [json.loads(line) for line in (folder / "commits.jsonl").read_text().splitlines()]
    found = [(line["commit"], part) for line in lines for part in line["parts"] if part["file"] == DAY_FILE]
    return [(commit, part["offset"], part["offset"] + part["length"]) for commit, part in found]


def changed(path: Path, change: Callable[[bytearray], None]) -> None:
    data = bytearray(path.read_bytes())
    change(data)
    path.write_bytes(data)


@pytest.mark.parametrize("read_bytes", [4096, verify.READ_BYTES])
def test_an_undamaged_log_has_no_findings_and_is_counted(folder: Path, monkeypatch, read_bytes: int):
    monkeypatch.setattr(verify, "READ_BYTES", read_bytes)
    progress: list[int] = []
    check = CsvLogCheck(TRADES, SYMBOL, folder, progress=progress.append)
    assert list(check.findings()) == []
    files = {path.name: path.stat().st_size for path in folder.iterdir() if path.is_file()}
    headers = (len(files) - 1) * len(header_line(header_of(TRADES)))
    assert (check.checked.commits, check.checked.rows) == (COMMITS, COMMITS * ROWS + 1)
    assert check.checked.bytes == sum(progress) == sum(files.values()) - headers
    assert check.size == sum(files.values())


@pytest.mark.parametrize("length", [1, 2, 700])
def test_damage_is_reported_by_its_block(folder: Path, length: int):
    chance, written = random.Random(1), (folder / DAY_FILE).read_bytes()
    for _ in range(20):
        commit, start, end = chance.choice(parts(folder))
        changed = chance.randrange(start, end - length)
        data = bytearray(written)
        data[changed : changed + length] = bytes(length)
        (folder / DAY_FILE).write_bytes(data)
        (found,) = findings(folder)
        block = start + (changed - start) // 4096 * 4096
        assert (found.file, found.offset, found.commit) == (DAY_FILE, block, commit)
        size = min(4096, end - block)
        assert found.message == f"begins {size} bytes, some of which are not as written: restore the file"
        assert not found.is_harmless
        assert found.first_ns is not None
        assert found.last_ns is not None


@pytest.mark.parametrize("place", [0, 1, COMMITS - 1])
def test_a_damaged_record_is_reported_and_later_ones_are_checked(folder: Path, place: int):
    lines = (folder / "commits.jsonl").read_bytes().splitlines(keepends=True)
    start = sum(map(len, lines[:place]))
    at = start + lines[place].index(b'"caller":"') + 11

    def change(data: bytearray) -> None:
        data[at] ^= 2

    changed(folder / "commits.jsonl", change)
    check = CsvLogCheck(TRADES, SYMBOL, folder)
    (found,) = check.findings()
    assert (found.file, found.offset, found.commit) == ("commits.jsonl", start, place + 1)
    assert check.checked.commits == COMMITS


def test_a_missing_record_is_damage(folder: Path):
    lines = (folder / "commits.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "commits.jsonl").write_bytes(b"".join(lines[:1] + lines[2:]))
    found = findings(folder)
    assert (found[0].file, found[0].offset, found[0].commit) == ("commits.jsonl", len(lines[0]), 2)


def test_a_cut_or_missing_file_is_reported(folder: Path):
    commit, start, _ = parts(folder)[-1]
    with (folder / DAY_FILE).open("r+b") as file:
        file.truncate(start + 10)
    (found,) = findings(folder)
    assert (found.file, found.offset, found.commit) == (DAY_FILE, start + 10, commit)
    (folder / DAY_FILE).unlink()
    assert [(each.file, each.commit) for each in findings(folder)] == [
        (DAY_FILE, c) for c, _, _ in parts(folder)
    ]


def test_a_changed_header_is_reported(folder: Path):
    changed(folder / DAY_FILE, lambda data: data.__setitem__(12, ord("X")))
    (found,) = findings(folder)
    assert (found.file, found.offset, found.commit) == (DAY_FILE, 0, None)


def test_a_header_that_makes_other_rows_is_reported(tmp_path: Path):
    """The header names both later columns of bars in another order. A price between two numbers is no count."""
    store = CsvStore(tmp_path)
    for minute in range(2):
        store.append(append_of(BARS, bar(minute, 1.0, vwap=1.5, trade_count=2)))
    folder = tmp_path / "bars" / SYMBOL
    (file,) = folder.glob("*.csv")
    swapped = file.read_bytes().replace(b"vwap,trade_count", b"trade_count,vwap")
    file.write_bytes(swapped)
    found = list(CsvLogCheck(BARS, SYMBOL, folder).findings())
    assert [each.commit for each in found] == [1, 2]
    assert all("cannot be read" in each.message for each in found)


def test_bytes_of_no_commit_are_harmless(folder: Path):
    size, end = (folder / "commits.jsonl").stat().st_size, (folder / DAY_FILE).stat().st_size
    for name in ("commits.jsonl", DAY_FILE):
        with (folder / name).open("ab") as file:
            file.write(b'{"commit":5')
    (folder / "2025-02-01.csv").write_bytes(header_line(header_of(TRADES)))
    found = findings(folder)
    assert all(each.is_harmless for each in found)
    assert [(each.file, each.offset) for each in found] == [
        ("commits.jsonl", size), (DAY_FILE, end), ("2025-02-01.csv", 0)
    ]  # fmt: skip


def test_a_last_record_whose_line_end_changed_is_damage(folder: Path):
    changed(folder / "commits.jsonl", lambda data: data.__setitem__(-1, ord(" ")))
    found = findings(folder)
    assert found[0].file == "commits.jsonl"
    assert not found[0].is_harmless


def test_a_symbol_without_a_log_is_unknown(folder: Path):
    with pytest.raises(UnknownSymbol):
        CsvStore(folder.parent.parent).check(TRADES, "NONE")
