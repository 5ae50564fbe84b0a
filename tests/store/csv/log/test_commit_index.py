"""The commit index on disk: deleted, old, of another log, locked, not writable, or written by several at once."""

import multiprocessing
import shutil
import sqlite3
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest

from store.csv import CsvStore
from store.csv.files.disk import Disk
from store.csv.log import history, index_file, log_index
from store.csv.log.commit_log import CommitLog
from store.datasets import TRADES
from store.exceptions import DataDamaged, StoreUnavailable
from store.protocol import ALL_TIME, hash_of_key
from tests.patience import PROGRAM_SECONDS
from tests.store.builders import SYMBOL, batch, open_log, stored, trade
from tests.store.csv.log.plain_history import LogWriter
from tests.store.csv.log.test_history import assert_equal

pytestmark = pytest.mark.system


@pytest.fixture
def writer(tmp_path: Path) -> LogWriter:
    """A log of 200 commits with an index of the first 180, which was written in three pieces."""
    writer = LogWriter(tmp_path / "log/commits.jsonl", 1)
    for count in (30, 90, 60):
        writer.write(count)
        log_of(writer).write_index()
    writer.write(20)
    return writer


def log_of(writer: LogWriter) -> CommitLog:
    return CommitLog(writer.path.parent, Disk())


def index_of(writer: LogWriter) -> Path:
    return writer.path.parent / ".derived" / index_file.INDEX_FILE


def indexed(log: CommitLog) -> int:
    """Return the number of commits that the index of an open log covers."""
    return log.history()._view.index.number


def spoil(path: Path) -> None:
    """Damage all pieces, but not the state, which is all that is read when a log is opened."""
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE pieces SET content = zeroblob(9) WHERE id > 0")


def test_a_damaged_index_is_made_again_and_that_is_logged(writer: LogWriter, caplog):
    spoil(index_of(writer))
    log = log_of(writer)
    assert indexed(log) == 180
    assert_equal(log.history(), writer.history, writer)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "is made again" in caplog.text
    assert_equal(log_of(writer).history(), writer.history, writer)


def test_a_damaged_index_of_a_changed_log_is_data_damaged(writer: LogWriter):
    spoil(index_of(writer))
    history = log_of(writer).history()
    keys = [(c.facts.caller, c.facts.key_hash or "") for c in writer.history.commits]
    key = next(each for each in keys if each[1] and each not in keys[180:])
    other = LogWriter(writer.path.with_name("other"), 9)
    other.write(200)
    other.path.replace(writer.path)
    for read in (lambda: history.head(1), lambda: history.accepted(*key)):
        with pytest.raises(DataDamaged):
            read()


def test_a_damaged_index_of_an_unreadable_log_is_store_unavailable(writer: LogWriter):
    spoil(index_of(writer))
    history = log_of(writer).history()
    writer.path.rename(writer.path.with_name("away"))
    with pytest.raises(StoreUnavailable):
        history.head(1)
    writer.path.with_name("away").rename(writer.path)
    assert_equal(history, writer.history, writer)


def test_derived_files_may_be_deleted_at_any_moment(writer: LogWriter):
    open_before = log_of(writer)
    history = open_before.history()
    shutil.rmtree(index_of(writer).parent)
    assert_equal(history, writer.history, writer)
    assert_equal(log_of(writer).history(), writer.history, writer)
    writer.write(70)
    assert_equal(open_before.history(), writer.history, writer)
    open_before.write_index()
    assert indexed(log_of(writer)) == 270


def test_an_index_of_another_version_is_replaced_and_that_is_logged_once(writer: LogWriter, caplog):
    with sqlite3.connect(index_of(writer)) as connection:
        ((content,),) = connection.execute("SELECT content FROM pieces WHERE id = 0")
        state = msgspec.structs.replace(log_index.decoded_state(content), version=log_index.VERSION + 1)
        connection.execute("UPDATE pieces SET content = ? WHERE id = 0", (log_index.encoded_state(state),))
    for _ in range(2):
        assert_equal(log_of(writer).history(), writer.history, writer, asked=1)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "it is of another version" in caplog.messages[0]


def test_a_restored_log_does_not_use_the_index_of_the_lost_log(writer: LogWriter):
    open_before = log_of(writer)
    open_before.write_index()
    lines = writer.path.read_bytes().splitlines(keepends=True)
    restored = LogWriter(writer.path.with_name("restored"), 1)
    restored.path.write_bytes(b"".join(lines[:100]))
    for commit, commit_id in zip(writer.history.commits[:100], writer.history.ids[1:101], strict=True):
        restored.history.add(commit, commit_id)
    restored.random.seed(77)
    restored.path = restored.path.replace(writer.path)
    for log in (open_before, log_of(writer)):
        assert_equal(log.history(), restored.history, restored)
    restored.write(200)  # longer than the index said, with other commits
    for log in (open_before, log_of(writer)):
        assert_equal(log.history(), restored.history, restored)
    assert indexed(log_of(writer)) == 300


@pytest.mark.parametrize("kind", ["not a folder", "locked", "full", "no handles"])
def test_an_index_that_cannot_be_used_is_held_in_memory(writer: LogWriter, kind: str, monkeypatch):
    monkeypatch.setattr(index_file, "_PATIENCE_SECONDS", 0.01)
    folder = index_of(writer).parent
    other = sqlite3.connect(index_of(writer), isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    if kind == "not a folder":
        shutil.rmtree(folder)
        folder.write_text("")
    elif kind != "locked":
        error = {"full": sqlite3.SQLITE_FULL, "no handles": sqlite3.SQLITE_CANTOPEN}[kind]
        monkeypatch.setattr(sqlite3, "connect", connect_that_fails(error))
    log = log_of(writer)
    assert_equal(log.history(), writer.history, writer, asked=2)
    writer.write(300)
    assert_equal(log.history(), writer.history, writer, asked=2)
    log.write_index()
    assert indexed(log) == 500
    assert_equal(log.history(), writer.history, writer, asked=2)
    other.close()


@pytest.mark.parametrize("kind", ["locked", "no handles"])
def test_an_index_that_is_busy_for_a_moment_is_not_made_again(writer: LogWriter, kind: str, monkeypatch):
    monkeypatch.setattr(index_file, "_PATIENCE_SECONDS", 0.01)
    log = log_of(writer)
    history = log.history()
    other = sqlite3.connect(index_of(writer), isolation_level=None)
    log._index.close()
    with monkeypatch.context() as patch:
        if kind == "locked":
            other.execute("BEGIN EXCLUSIVE")
        else:
            patch.setattr(sqlite3, "connect", connect_that_fails(sqlite3.SQLITE_CANTOPEN))
        with pytest.raises(StoreUnavailable, match="retry"):
            history.head(1)
    other.close()
    assert_equal(history, writer.history, writer, asked=2)
    assert not log._index._in_memory


def test_a_bucket_whose_checksum_is_0_is_not_empty(tmp_path: Path, monkeypatch):
    usual, with_crc_0 = log_index._hash, bytes.fromhex("07000000000000000000000035ee9f8d")  # of commit 1
    monkeypatch.setattr(log_index, "_hash", lambda *texts: with_crc_0 if "key" in texts else usual(*texts))
    store = CsvStore(tmp_path)
    given = batch(trade(1), request_key="k")
    store.append(given)
    log = store._logs.get(TRADES, SYMBOL).commits
    log.write_index()
    assert log_index._CHECK.unpack_from(log.history()._view.index.state.checks, 4 * 7) == (0,)
    assert store.append(given).replayed


def connect_that_fails(code: int):
    """Return `sqlite3.connect` for databases in memory only: others fail with an error of SQLite."""
    connect = sqlite3.connect

    def failing(name: str, *args: Any, **options: Any) -> Any:
        if "memory" in name:
            return connect(name, *args, **options)
        error = sqlite3.OperationalError("this fails")
        error.sqlite_errorcode = code
        raise error

    return failing


def test_a_file_that_may_not_be_written_is_read(writer: LogWriter, monkeypatch):
    monkeypatch.setattr(sqlite3, "connect", read_only(sqlite3.connect))
    log = log_of(writer)
    assert indexed(log) == 180
    assert_equal(log.history(), writer.history, writer, asked=2)
    assert not log._index._in_memory


def read_only(connect):
    """As for a user who may only read."""
    return lambda name, *args, **options: connect(name.split("?")[0] + "?mode=ro", *args, **options)


def test_many_open_logs_need_few_handles(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(index_file, "MOST_OPEN", 3)
    writers = [LogWriter(tmp_path / f"{number}/commits.jsonl", number) for number in range(8)]
    for writer in writers:
        writer.write(100)
        log_of(writer).write_index()
    logs = [log_of(writer) for writer in writers]
    for _ in range(2):
        for log, writer in zip(logs, writers, strict=True):
            assert_equal(log.history(), writer.history, writer, asked=1)
    assert sum(log._index._connection is not None for log in logs) == 3


def read_until(ended: threading.Event, store: CsvStore) -> list[tuple[int, int]]:
    seen = []
    while not ended.is_set():
        number = store.log(TRADES, SYMBOL).at().version(ALL_TIME).number
        seen.append((number, len(stored(store, commit=number))))
    return seen


def append_each_twice(store: CsvStore, derived: Path, count: int) -> None:
    for number in range(1, count):
        given = batch(trade(number, trade_id=str(number)), trade(-number), request_key=str(number))
        assert store.append(given).commit.number == number + 1
        assert store.append(given).replayed
        if number % 20 == 0:
            shutil.rmtree(derived, ignore_errors=True)


@pytest.mark.parametrize("readers", [1, 3])
def test_commits_are_indexed_while_batches_are_stored_and_read(tmp_path: Path, monkeypatch, readers: int):
    monkeypatch.setattr(history, "TAIL_COMMITS", 5)
    store = CsvStore(tmp_path)
    store.append(batch(trade(0, trade_id="0"), trade(1)))
    ended, interval = threading.Event(), sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(readers) as pool:
            seen = [pool.submit(read_until, ended, store) for _ in range(readers)]
            try:
                append_each_twice(store, tmp_path / TRADES.name / SYMBOL / ".derived", 60)
            finally:
                ended.set()
    finally:
        sys.setswitchinterval(interval)
    for reader in seen:
        assert all(rows == 2 * number for number, rows in reader.result())
    assert indexed(open_log(store).commits) > 50
    assert stored(store) == stored(CsvStore(tmp_path))
    again = batch(trade(7, trade_id="7"))
    assert store.append(again).stored == CsvStore(tmp_path).append(again).stored == 0


def _append_all(folder: Path, first: int, count: int) -> None:
    setattr(history, "TAIL_COMMITS", 4)  # noqa: B010 it is not exported
    store = CsvStore(folder)
    for number in range(first, first + count):
        store.append(batch(trade(number, trade_id=str(number)), request_key=str(number)))


def test_processes_that_index_one_log_agree(tmp_path: Path):
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_append_all, args=(tmp_path, 1000 * n, 40)) for n in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(PROGRAM_SECONDS)
        assert worker.exitcode == 0
    log = open_log(CsvStore(tmp_path)).commits
    assert indexed(log) > 70
    assert log.history().head().number == 80
    store = CsvStore(tmp_path)
    assert len(stored(store)) == 80
    for number in (*range(40), *range(1000, 1040)):
        assert log.history().accepted("key:1", hash_of_key(str(number))) is not None
        assert store.append(batch(trade(number, trade_id=str(number)), request_key=str(number))).replayed
