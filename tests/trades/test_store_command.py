"""`manage.py store`: its verbs, what they print, and their exit status."""

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from store.csv import CsvStore
from store.csv.files.codec import header_line, header_of
from store.datasets import TRADES
from store.instruments import Instrument
from store.maintained import DerivedStatistics
from tests.store.builders import batch, trade
from tests.store.walking import logs_of
from trades.stores import market_store

HEADER = len(header_line(header_of(TRADES)))


def run(*arguments: str, **options: Any) -> str:
    output = StringIO()
    call_command("store", *arguments, stdout=output, stderr=StringIO(), **options)
    return output.getvalue()


@pytest.fixture
def filled(store_path: Path) -> Path:
    for symbol in ("AAPL", "BRK:B"):
        market_store().append(batch(trade(), trade(10**9), symbol=symbol))
    return store_path / "trades"


def damage(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 4
    path.write_bytes(data)


def test_a_sound_store_is_verified(filled: Path):
    assert "2 logs, 2 commits, 4 rows" in run("verify")
    assert "1 logs, 1 commits, 2 rows" in run("verify", "aapl")
    assert "0 logs, 0 commits" in run("verify", "--dataset", "bars")


def test_damage_is_named_and_the_other_symbols_are_checked(filled: Path, capsys):
    damage(filled / "AAPL" / "2025-01-02.csv", 100)
    damage(filled / "BRK%3AB" / "2025-01-02.csv", 120)
    output = StringIO()
    with pytest.raises(CommandError, match="2 damaged") as failed:
        call_command("store", "verify", stdout=output)
    assert failed.value.returncode == 1
    first, second, counts = output.getvalue().splitlines()
    assert first.startswith(f"damaged: trades/AAPL/2025-01-02.csv, byte {HEADER} (commit 1): begins ")
    assert first.endswith("; rows from 2025-01-02T12:00:00Z to 2025-01-02T12:00:01Z cannot be served")
    assert second.startswith(f"damaged: trades/BRK:B/2025-01-02.csv, byte {HEADER} (commit 1)")
    assert counts.startswith("2 logs")


@pytest.mark.parametrize("is_emptied", [True, False])
def test_rows_that_no_commit_names_do_not_exist(filled: Path, is_emptied: bool):
    log = filled / "AAPL" / "commits.jsonl"
    if is_emptied:
        log.write_bytes(b"")
    else:
        log.unlink()
    assert "2 logs, 1 commits" in run("verify")


def test_a_log_that_ends_before_what_was_derived_of_it_is_damaged(filled: Path):
    market_store().append(batch(trade(2 * 10**9), symbol="AAPL"))
    assert isinstance(market_store(), CsvStore)
    market_store().derive(TRADES, "AAPL")  # type: ignore[attr-defined]
    log = filled / "AAPL" / "commits.jsonl"
    first, second = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(first)
    output = StringIO()
    with pytest.raises(CommandError, match="1 damaged"):
        call_command("store", "verify", "AAPL", stdout=output)
    line = f"damaged: trades/AAPL/commits.jsonl, byte {len(first)} (commit 2): is the log's end, at commit 1"
    assert line in output.getvalue()
    log.write_bytes(first + second)
    assert "1 logs, 2 commits" in run("verify", "AAPL")


def test_bytes_that_were_never_acknowledged_are_no_damage(filled: Path):
    with (filled / "AAPL" / "2025-01-02.csv").open("ab") as file:
        file.write(b"never acknowledged")
    assert "damaged" not in run("verify")


def test_a_log_whose_first_record_is_damaged_is_verified_too(filled: Path):
    damage(filled / "AAPL" / "commits.jsonl", 30)
    with pytest.raises(CommandError, match="1 damaged"):
        run("verify")


def test_statistics_count_rows_bytes_and_times(filled: Path):
    (filled / "AAPL" / ".derived").mkdir(exist_ok=True)
    derived = sum(path.stat().st_size for path in (filled / "AAPL" / ".derived").rglob("*") if path.is_file())
    (filled / "AAPL" / ".derived" / "columns").write_bytes(b"12345")
    rows = json.loads(run("stats", "AAPL", "--json"))
    assert rows == [
        {
            "dataset": "trades",
            "symbol": "AAPL",
            "commits": 1,
            "rows": 2,
            "bytes": (filled / "AAPL" / "2025-01-02.csv").stat().st_size,
            "derived_bytes": derived + 5,
            "first": "2025-01-02T12:00:00Z",
            "last": "2025-01-02T12:00:01Z",
        }
    ]
    table = run("stats")
    assert "BRK:B" in table
    assert "2025-01-02T12:00:01Z" in table


@pytest.mark.parametrize(
    ("verb", "rebuild", "compact"), [("rebuild", True, False), ("compact-derived", False, True)]
)
def test_derived_files_are_built_by_the_store(
    filled: Path, monkeypatch, verb: str, rebuild: bool, compact: bool
):
    calls = []

    def derive(
        self: object, dataset: Any, symbol: str, *, rebuild: bool = False, compact: bool = False
    ) -> DerivedStatistics:
        calls.append((dataset.name, symbol, rebuild, compact))
        return DerivedStatistics(commit=1, segments=3, rows=2, bytes=4096)

    monkeypatch.setattr(CsvStore, "derive", derive)
    assert "trades/AAPL: 3 segments, 2 rows, 4,096 bytes, to commit 1" in run(verb)
    assert calls == [("trades", "AAPL", rebuild, compact), ("trades", "BRK:B", rebuild, compact)]


def test_a_store_without_files_is_verified_and_counted_and_refuses_the_rest(settings):
    settings.MARKET_STORES = {"default": {"BACKEND": "tests.memory_store.MemoryStore", "OPTIONS": {}}}
    market_store().append(batch(trade(), trade(1)))
    assert "1 logs, 1 commits, 2 rows" in run("verify")
    (row,) = json.loads(run("stats", "--json"))
    assert (row["rows"], row["bytes"], row["last"]) == (2, None, "2025-01-02T12:00:00.000000001Z")
    assert "trades" in run("stats")
    for verb in ("rebuild", "compact-derived"):
        with pytest.raises(CommandError, match="MemoryStore, has no files to maintain"):
            run(verb)


@pytest.mark.parametrize(("symbol", "message"), [("NONE", "under the symbol NONE"), ("../x", "a symbol is")])
def test_symbols_without_a_log_are_refused(filled: Path, symbol: str, message: str):
    with pytest.raises(CommandError, match=message):
        run("verify", symbol)


def test_all_logs_are_copied_into_another_store(filled: Path, tmp_path: Path):
    market_store().set_instrument(Instrument("AAPL", exchange="XNAS"))
    to, origin = tmp_path / "new" / "copy", filled.parent
    assert run("copy", str(origin), f"csv://{to}") == "3 logs, 5 rows copied\n"
    assert "3 logs, 3 commits" in run("verify", "--store", str(to))
    market_store().append(batch(trade(10**10)))
    for rows in (1, 0):
        assert run("copy", str(origin), str(to)) == f"3 logs, {rows} rows copied\n"
        assert logs_of(to) == logs_of(origin)
        assert CsvStore(to).declarations("AAPL") == market_store().declarations("AAPL")


def test_a_log_that_cannot_be_read_is_named_and_the_other_symbols_are_checked(filled: Path):
    (filled / "AAPL" / "commits.jsonl").unlink()
    (filled / "AAPL" / "commits.jsonl").mkdir()
    damage(filled / "BRK%3AB" / "2025-01-02.csv", 120)
    output = StringIO()
    with pytest.raises(CommandError, match="2 damaged"):
        call_command("store", "verify", stdout=output)
    first, second, _ = output.getvalue().splitlines()
    assert first.startswith("damaged: trades/AAPL: cannot be read (Is a directory)")
    assert second.startswith("damaged: trades/BRK:B/2025-01-02.csv")


def test_a_log_that_only_the_copy_has_is_named(filled: Path, tmp_path: Path):
    to = CsvStore(tmp_path / "copy")
    run("copy", str(filled.parent), str(tmp_path / "copy"))
    to.append(batch(trade(7), symbol="MSFT"))
    output = StringIO()
    with pytest.raises(CommandError, match="1 logs were not copied"):
        call_command("store", "copy", str(filled.parent), str(tmp_path / "copy"), stdout=output)
    token = to.log(TRADES, "MSFT").head.token
    assert f"trades/MSFT: stays at commit {token}: FROM does not have it" in output.getvalue()


def test_a_copy_into_another_store_is_refused(filled: Path, tmp_path: Path):
    other = CsvStore(tmp_path / "other")
    other.append(batch(trade(7)))
    before = logs_of(other)["trades/AAPL"]
    output = StringIO()
    with pytest.raises(CommandError, match="1 logs were not copied") as failed:
        call_command("store", "copy", str(filled.parent), str(tmp_path / "other"), stdout=output)
    assert failed.value.returncode == 1
    first, second = output.getvalue().splitlines()
    assert first.startswith("trades/AAPL: stays at commit 1-")
    assert "TO has other commits" in first
    assert second == "2 logs, 2 rows copied"
    assert logs_of(other)["trades/AAPL"] == before
    assert "trades/BRK:B" in logs_of(other)
    with pytest.raises(CommandError, match="is not a folder"):
        run("copy", str(tmp_path / "nowhere"), str(tmp_path / "new"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(CommandError, match="FROM has no data"):
        run("copy", str(tmp_path / "empty"), str(tmp_path / "new"))
    assert not (tmp_path / "new").exists()
    for to in (filled.parent, filled.parent / "trades", filled.parent.parent):
        with pytest.raises(CommandError, match="one of the folders is in the other"):
            run("copy", str(filled.parent), str(to))
    with pytest.raises(CommandError, match="cannot be made"):
        run("copy", str(filled.parent), "/proc/new")
