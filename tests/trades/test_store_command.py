"""`manage.py store`: its verbs, what they print, and their exit status."""

import json
import time
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from store.csv import CsvStore
from store.csv.files.codec import header_line, header_of
from store.datasets import TRADES
from store.exceptions import ClockStepped
from store.instruments import Instrument
from store.maintained import DerivedBacklog, DerivedStatistics
from store.timestamps import format_timestamp
from tests.store.builders import DAY, batch, trade
from tests.store.csv.copying.origins import logs_of
from trades.stores import derived_keeper, market_store

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
def test_rows_whose_log_is_gone_are_told_of(filled: Path, is_emptied: bool):
    log = filled / "AAPL" / "commits.jsonl"
    if is_emptied:
        log.write_bytes(b"")
    else:
        log.unlink()
    told = run("verify")
    assert "note: trades/AAPL/2025-01-02.csv, byte 0: begins" in told
    assert "or their log was lost" in told
    assert "2 logs, 1 commits" in told


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


def test_leftovers_are_a_note_and_no_damage(filled: Path):
    with (filled / "AAPL" / "2025-01-02.csv").open("ab") as file:
        file.write(b"never acknowledged")
    assert "note: trades/AAPL/2025-01-02.csv, byte" in run("verify")


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


def test_logs_ahead_of_the_clock_are_listed_and_accepted(store_path: Path):
    ahead_ns = time.time_ns() + DAY
    CsvStore(store_path, clock=lambda: ahead_ns).append(batch(trade()))
    CsvStore(store_path).append(batch(trade(), symbol="BRK:B"))
    ahead = f"ahead: trades/AAPL: {format_timestamp(ahead_ns)}"
    with pytest.raises(CommandError, match="1 logs are ahead") as refused:
        run("clock")
    assert refused.value.returncode == 1
    with pytest.raises(ClockStepped):
        CsvStore(store_path).append(batch(trade(1)))
    printed = run("clock", "--accept")
    assert ahead in printed
    assert "1 logs ahead of it" in printed
    assert "BRK:B" not in printed
    CsvStore(store_path).append(batch(trade(1)))
    assert market_store().log(TRADES, "AAPL").committed_at(2) == ahead_ns + 1
    assert run("clock") == ""


def test_a_store_without_files_is_verified_and_counted_and_refuses_the_rest(settings):
    settings.MARKET_STORES = {"default": {"BACKEND": "tests.memory_store.MemoryStore", "OPTIONS": {}}}
    market_store().append(batch(trade(), trade(1)))
    assert "1 logs, 1 commits, 2 rows" in run("verify")
    (row,) = json.loads(run("stats", "--json"))
    assert (row["rows"], row["bytes"], row["last"]) == (2, None, "2025-01-02T12:00:00.000000001Z")
    assert "trades" in run("stats")
    for verb in ("rebuild", "compact-derived", "clock"):
        with pytest.raises(CommandError, match="MemoryStore, has no files to maintain"):
            run(verb)


@pytest.mark.parametrize(("symbol", "message"), [("NONE", "under the symbol NONE"), ("../x", "a symbol is")])
def test_symbols_without_a_log_are_refused(filled: Path, symbol: str, message: str):
    with pytest.raises(CommandError, match=message):
        run("verify", symbol)


def test_all_logs_are_copied_into_another_store(filled: Path, tmp_path: Path):
    market_store().set_instrument(Instrument("AAPL", exchange="XNAS"))
    to, origin = tmp_path / "new" / "copy", filled.parent
    head = market_store().log(TRADES, "AAPL").head
    said = run("copy", str(origin), f"csv://{to}").splitlines()
    assert said[0] == f"trades/AAPL: commit {head.token}"
    assert said[-1] == "3 logs, 0 not copied further"
    assert "3 logs, 3 commits" in run("verify", "--store", str(to))
    made = market_store().append(batch(trade(10**10))).commit.number
    until = format_timestamp(market_store().log(TRADES, "AAPL").committed_at(made) - 1)
    assert f"trades/AAPL: commit {head.token}" in run("copy", str(origin), str(to), "--until", until)
    for _ in range(2):
        assert "not copied further: the" not in run("copy", str(origin), str(to))
        assert logs_of(to) == logs_of(origin)
        assert CsvStore(to).declarations("AAPL") == market_store().declarations("AAPL")


def test_the_store_moves_while_it_is_used(filled: Path, tmp_path: Path, settings):
    with pytest.raises(CommandError, match="MARKET_STORE names the store"):
        run("switch", str(tmp_path / "new"))
    settings.DATA_DIR = filled.parent
    settings.MARKET_STORES = {
        "default": {"BACKEND": "store.moving.MovableStore", "OPTIONS": {"path": filled.parent}}
    }
    store, head = market_store(), market_store().log(TRADES, "AAPL").head
    for refused, why in (("clickhouse://host/name", "name the PostgreSQL"), (str(filled), "is in the other")):
        with pytest.raises(CommandError, match=why):
            run("switch", refused)
    keeper = derived_keeper()
    assert keeper is not None
    assert keeper.backlog() == DerivedBacklog()
    assert keeper.round(seconds=1) == 2
    assert run("switch", str(tmp_path / "new")).startswith("moved; writers waited 0.")
    assert keeper.round(seconds=1) == 2
    assert [*(tmp_path / "new").glob("trades/AAPL/.derived/*.arrow")] != []
    assert market_store() is store
    assert store.log(TRADES, "AAPL").head == head
    store.append(batch(trade(5)))
    assert CsvStore(tmp_path / "new").log(TRADES, "AAPL").head.number == 2
    assert "2 logs, 3 commits" in run("verify")
    assert "1 segments" in run("rebuild", "AAPL")
    with pytest.raises(CommandError, match="moved before"):
        run("switch", str(tmp_path / "newer"))


def test_a_copy_into_another_store_is_refused(filled: Path, tmp_path: Path):
    other = CsvStore(tmp_path / "other")
    other.append(batch(trade(7)))
    before = logs_of(other)["trades/AAPL"]
    output = StringIO()
    with pytest.raises(CommandError, match="not all logs were copied") as failed:
        call_command("store", "copy", str(filled.parent), str(tmp_path / "other"), stdout=output)
    assert failed.value.returncode == 1
    assert "trades/AAPL: commit 1-" in output.getvalue()
    assert "1 not copied further" in output.getvalue()
    assert logs_of(other)["trades/AAPL"] == before
    assert "trades/BRK:B" in logs_of(other)
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / "mirror.json").write_text('{"mirror_of": "http://other"}')
    with pytest.raises(CommandError, match="is a mirror of another installation"):
        run("copy", str(filled.parent), str(tmp_path / "mirror"))
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
