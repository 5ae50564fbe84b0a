"""The check of every byte: changed bytes in a log's files are found and reported."""

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from store.csv import CsvStore, verify
from store.csv.derived import verify as derived_files
from store.csv.derived.manifest import read_manifest
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


def flip_bit(path: Path, place: int) -> None:
    changed(path, lambda data: data.__setitem__(place, data[place] ^ 4))


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
        first, last = ((place - start) // 4096 for place in (changed, changed + length - 1))
        found, *others = findings(folder)
        block = start + first * 4096
        assert (found.file, found.offset, found.commit) == (DAY_FILE, block, commit)
        assert [each.offset for each in others] == [block + 4096] * (last - first)
        size = min(4096, end - block)
        assert found.message == f"begins {size} bytes, some of which are not as written: restore the file"
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


def test_bytes_of_no_commit_are_no_damage(folder: Path):
    for name in ("commits.jsonl", DAY_FILE):
        with (folder / name).open("ab") as file:
            file.write(b'{"commit":5')
    (folder / "2025-02-01.csv").write_bytes(header_line(header_of(TRADES)))
    assert findings(folder) == []


def test_a_last_record_whose_line_end_changed_is_damage(folder: Path):
    changed(folder / "commits.jsonl", lambda data: data.__setitem__(-1, ord(" ")))
    assert findings(folder)[0].file == "commits.jsonl"


def test_every_damaged_block_is_listed_and_later_commits_are_checked(folder: Path, monkeypatch):
    wanted = []
    for commit, start, end in parts(folder):
        for block in range(start, end, 4096):
            flip_bit(folder / DAY_FILE, block + 9)
            wanted.append((DAY_FILE, block, commit))
    for read_bytes in (4096, verify.READ_BYTES):
        monkeypatch.setattr(verify, "READ_BYTES", read_bytes)
        found = findings(folder)
        assert [(each.file, each.offset, each.commit) for each in found] == wanted
    assert len(wanted) > 2 * COMMITS
    assert all((each.first_ns, each.last_ns) != (None, None) for each in found)


def test_each_damaged_derived_file_is_listed_once(folder: Path):
    store = CsvStore(folder.parent.parent)
    store.derive(TRADES, SYMBOL)
    files = sorted((folder / ".derived").glob("*.arrow"))
    assert findings(folder) == []
    for file in files:
        middle = file.stat().st_size // 2
        for place in (9, middle, -9):
            flip_bit(file, place)
    assert sorted(each.file for each in findings(folder)) == [f".derived/{file.name}" for file in files]
    files[0].unlink()
    assert f".derived/{files[0].name}" in {each.file for each in findings(folder)}
    (folder / ".derived" / "manifest.json").write_bytes(b"{}")
    assert [each.file for each in findings(folder)] == [".derived/manifest.json"]


def test_an_index_that_does_not_agree_with_the_records_is_listed(folder: Path):
    index = folder / ".derived" / "commits.sqlite"
    store = CsvStore(folder.parent.parent)
    for number in range(200):
        store.append(batch(trade(number, price=7.0), request_key=f"k{number}"))
        if number == 150:
            before = index.read_bytes()
    assert index.read_bytes() != before
    assert findings(folder) == []
    whole, key = index.read_bytes(), store.append(batch(trade(3, price=7.0), request_key="k3"))
    for content in (
        whole[: len(whole) // 2],
        whole.replace(b"2025-01-02.csv", b"2025-01-03.csv"),
        b"",
        b"no",
    ):
        index.write_bytes(content)
        (found,) = findings(folder)
        assert (found.file, found.offset) == (".derived/commits.sqlite", 0)
        assert "differs from the records" in found.message
        assert CsvStore(folder.parent.parent).append(batch(trade(3, price=7.0), request_key="k3")) == key
    index.write_bytes(before)
    assert findings(folder) == [], "an index lacks the newest commits until they are many"
    call = CsvStore(folder.parent.parent)
    call.derive(TRADES, SYMBOL, rebuild=True)
    assert findings(folder) == []


def test_derived_files_that_a_worker_replaces_meanwhile_are_no_damage(folder: Path, monkeypatch):
    store = CsvStore(folder.parent.parent)
    store.derive(TRADES, SYMBOL)

    def before_the_worker(derived: Path) -> object:
        manifest = read_manifest(derived)
        monkeypatch.undo()
        store.append(batch(trade(5, trade_id="late")))
        store.derive(TRADES, SYMBOL)
        return manifest

    check = CsvLogCheck(TRADES, SYMBOL, folder)
    monkeypatch.setattr(check, "_missing_records", list)
    monkeypatch.setattr(derived_files, "read_manifest", before_the_worker)
    assert list(check.findings()) == []
    assert store.log(TRADES, SYMBOL).head.number == COMMITS + 1


def test_a_file_that_the_system_cannot_read_is_listed_and_others_are_checked(folder: Path):
    flip_bit(folder / "2025-01-03.csv", -9)
    (folder / DAY_FILE).unlink()
    (folder / DAY_FILE).mkdir()  # as a bad sector, it raises an OSError that is not of a missing file
    found = findings(folder)
    assert [(each.file, each.commit) for each in found] == [
        *((DAY_FILE, commit) for commit in range(1, COMMITS + 1)),
        ("2025-01-03.csv", COMMITS),
    ]
    assert "cannot be read (Is a directory): restore the file" in found[0].message


def test_a_symbol_without_a_log_is_unknown(folder: Path):
    with pytest.raises(UnknownSymbol):
        CsvStore(folder.parent.parent).check(TRADES, "NONE")
