"""Ingest in batches: each row once, whatever is killed."""

import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from client_server import document

import marketdata_client
from marketdata_client import BadAnswer, Client, Ingested, InvalidRequest, JournalConflict
from marketdata_client.ingesting import batches
from tests.chance import SOAK
from tests.patience import PROGRAM_SECONDS

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("client")]

ROWS, BATCH, KILLS = (1_000_000, 10_000, 8) if SOAK else (10_000, 250, 2)
PROGRAM = """
import sys
sys.path.insert(0, {source!r})
from marketdata_client import Client

def rows():
    for number in range({rows}):
        second, micro = divmod(number, 50)
        yield {{
            "timestamp": f"2025-01-02T{{10 + second // 3600:02d}}:{{second // 60 % 60:02d}}:{{second % 60:02d}}.{{micro * 20:06d}}Z",
            "symbol": {symbol!r}, "price": 100.0, "volume": 1,
        }}

with Client({url!r}, {key!r}) as client:
    done = client.ingest("trades", rows(), journal={journal!r}, batch_rows={batch})
print(done.received, done.stored, done.duplicates)
"""


def test_a_killed_program_that_starts_again_stores_each_row_once(url: str, key: str, tmp_path: Path):
    """The rows have no ids and repeat, so that only the journal keeps them from being stored twice."""
    program = PROGRAM.format(
        source=str(Path(marketdata_client.__file__).parents[1]),
        rows=ROWS,
        symbol="KILLED",
        url=url,
        key=key,
        journal=str(tmp_path / "journal"),
        batch=BATCH,
    )
    kills = 0
    for _ in range(KILLS):
        before = count(url, key)
        with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.DEVNULL) as process:
            wait_until_more(url, key, before, process)
            kills += process.poll() is None
            process.kill()
    last = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=PROGRAM_SECONDS
    )
    assert kills >= 1
    assert last.stdout.split() == [str(ROWS), str(ROWS), "0"]
    assert count(url, key) == ROWS


def count(url: str, key: str) -> int:
    with Client(url, key) as client:
        try:
            found = client.get("/api/v1/market-data/equities/KILLED/coverage")
        except marketdata_client.NotFound:
            return 0
    return int(next(each["rows"] for each in found["datasets"] if each["dataset"] == "trades"))


def wait_until_more(url: str, key: str, before: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PROGRAM_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if count(url, key) > before:
            return
        time.sleep(0.02)


def rows(number: int, symbol: str = "JOURNAL") -> list[dict[str, object]]:
    return [
        {"timestamp": f"2025-01-02T14:30:{second % 60:02d}Z", "symbol": symbol, "price": 5.0, "volume": 1}
        for second in range(number)
    ]


def test_a_journal_is_resumed_and_tells_what_was_stored_before(client: Client, tmp_path: Path):
    journal = tmp_path / "journal"
    first = client.ingest("trades", rows(5), journal=journal, batch_rows=2)
    assert (first.received, first.stored, first.batches, first.resumed) == (5, 5, 3, 0)
    again = client.ingest("trades", rows(5), journal=journal, batch_rows=2)
    assert (again.stored, again.batches, again.resumed) == (5, 3, 3)
    more = client.ingest("trades", rows(8)[:6], journal=tmp_path / "other", batch_rows=2)
    assert more.batches == 3


def test_other_rows_or_another_ingest_do_not_fit_a_journal(client: Client, tmp_path: Path):
    journal = tmp_path / "journal"
    client.ingest("trades", rows(3, "FIT"), journal=journal)
    with pytest.raises(JournalConflict, match="other rows"):
        client.ingest("trades", rows(4, "FIT"), journal=journal)
    with pytest.raises(JournalConflict, match="another ingest"):
        client.ingest("quotes", rows(3, "FIT"), journal=journal)


def test_two_processes_do_not_share_a_journal(client: Client, tmp_path: Path):
    journal = tmp_path / "journal"

    def inner():
        yield rows(1, "SHARED")[0]
        with pytest.raises(JournalConflict, match="another process"):
            client.ingest("trades", rows(1, "SHARED"), journal=journal)

    assert client.ingest("trades", inner(), journal=journal, batch_rows=1).stored == 1


def test_rows_of_several_symbols_go_in_batches_of_their_own(client: Client):
    mixed = [row for pair in zip(rows(3, "MIXA"), rows(3, "MIXB"), strict=True) for row in pair]
    progress: list[Ingested] = []
    done = client.ingest("trades", mixed, batch_rows=2, on_progress=progress.append)
    assert (done.stored, done.batches) == (6, 4)
    assert [each.received for each in progress] == [2, 4, 5, 6]


def test_a_refused_batch_raises_and_names_the_field(client: Client):
    with pytest.raises(InvalidRequest) as caught:
        client.ingest("trades", [{**rows(1)[0], "price": "x"}])
    assert caught.value.errors


def test_a_row_without_a_symbol_is_a_value_error(client: Client):
    with pytest.raises(ValueError, match="symbol"):
        client.ingest("trades", [{"price": 1}])


def test_the_same_rows_of_another_symbol_or_with_other_parameters_do_not_fit_a_journal(
    client: Client, tmp_path: Path
):
    journal = tmp_path / "journal"
    client.ingest("trades", rows(3, "FITA"), journal=journal)
    with pytest.raises(JournalConflict, match="other rows"):
        client.ingest("trades", rows(3, "FITB"), journal=journal)
    with pytest.raises(JournalConflict, match="another ingest"):
        client.ingest("trades", rows(3, "FITA"), journal=journal, dedupe="none")


def test_a_file_that_is_no_journal_is_told(client: Client, tmp_path: Path):
    (tmp_path / "text").write_text("no database, but a long text " * 99)
    for path in (tmp_path / "text", tmp_path / "none" / "journal"):
        with pytest.raises(JournalConflict, match="journal"):
            client.ingest("trades", rows(1, "NONE"), journal=path)


def test_an_answer_without_counts_is_not_kept_as_that_of_a_batch(
    scripted, client: Client, tmp_path: Path, key: str
):
    journal = tmp_path / "journal"
    server = scripted(document({}), document({"received": 1, "stored": 1, "duplicates": 0}))
    with Client(server.url, key) as far:
        with pytest.raises(BadAnswer, match="no counts"):
            far.ingest("trades", rows(1, "COUNTS"), journal=journal)
        assert far.ingest("trades", rows(1, "COUNTS"), journal=journal).stored == 1
    assert len(server.received) == 2


def test_many_symbols_are_sent_in_bounded_memory():
    sizes = [body.count(b"\n") for _, body in batches((rows(1, f"S{n % 50}")[0] for n in range(1000)), 4)]
    assert sum(sizes) == 1000
    assert max(sizes) <= 4
    taken = iter(rows(1, f"S{n}")[0] for n in range(1000))
    found = batches(taken, 4)
    next(found)
    assert sum(1 for _ in taken) == 1000 - 10 * 4


def test_a_feed_replaces_the_open_candle_and_stored_rows_are_corrected(url: str, key: str):
    bar = {"timestamp": "2025-01-02T14:00:00Z", "symbol": "CANDLE", "resolution": "1h", "open": 1, "high": 2, "low": 1,
           "close": 2, "volume": 5}  # fmt: skip
    split = {"timestamp": "2025-01-03", "symbol": "CANDLE", "kind": "split", "ratio": 5}
    with Client(url, key) as client:
        client.ingest("bars", [bar])
        done = client.ingest(
            "bars", [bar | {"close": 1.5}, bar | {"resolution": "1m"}], on_conflict="replace"
        )
        assert (done.received, done.stored, done.duplicates, done.replaced) == (2, 1, 0, 1)
        assert client.read("stored-bars", "CANDLE", resolution="1h", last=1).lists()["close"] == [1.5]
        client.ingest("corporate_actions", [split])
        change = {"action": "correct", "timestamp": "2025-01-03", "kind": "split", "new_ratio": 4}
        body = {"symbol": "CANDLE", "corrections": [change]}
        assert client.post("/api/v1/corporate-actions/corrections", body, idempotency_key="s")["stored"] == 1
        assert client.read("corporate-actions", "CANDLE", last=9).lists()["ratio"] == [4.0]


@pytest.mark.parametrize("made", [pd.DataFrame, pl.DataFrame, pa.table], ids=["pandas", "polars", "pyarrow"])
def test_a_frame_is_sent_as_its_rows(made):
    times = pd.to_datetime(["2025-01-02T14:30:00Z", "2025-01-02T14:30:00.5Z"], format="ISO8601")
    frame = made({"timestamp": times, "symbol": ["A", "A"], "price": [1.5, 2.5], "trade_id": ["x", None]})
    rows = [
        {"timestamp": "2025-01-02T14:30:00Z", "symbol": "A", "price": 1.5, "trade_id": "x"},
        {"timestamp": "2025-01-02T14:30:00.5Z", "symbol": "A", "price": 2.5},
    ]
    assert list(batches(frame, 10)) == list(batches(rows, 10))


def test_what_is_neither_rows_nor_a_frame_is_refused():
    with pytest.raises(TypeError, match="rows are dictionaries"):
        list(batches("rows", 10))  # type: ignore[arg-type]
