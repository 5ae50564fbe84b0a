"""The commit index on disk: damaged, deleted, old, of another log, or written concurrently."""

import multiprocessing
import shutil
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.csv import CsvStore
from store.csv.files import column_file
from store.csv.files.disk import Disk
from store.csv.log import history, index_files
from store.csv.log.commit_index import CommitIndex
from store.csv.log.commit_log import CommitLog
from store.csv.log.history import CommitHistory
from store.csv.log.index_files import IndexFiles, derived_lock
from store.datasets import TRADES
from store.exceptions import DataDamaged, StoreUnavailable
from store.protocol import ALL_TIME, hash_of_key
from tests.chance import examples
from tests.patience import PROGRAM_SECONDS
from tests.store.builders import SYMBOL, batch, stored, trade
from tests.store.csv.log.plain_history import LogWriter
from tests.store.csv.log.test_history import assert_equal

pytestmark = pytest.mark.system


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch) -> None:
    monkeypatch.setattr(column_file, "PIECE_BYTES", 1024)


@pytest.fixture
def writer(tmp_path: Path) -> LogWriter:
    """A log of 200 commits with an index of the first 150."""
    writer = LogWriter(tmp_path / "log/commits.jsonl", 1)
    writer.write(150)
    log_of(writer).write_index()
    writer.write(50)
    return writer


def log_of(writer: LogWriter) -> CommitLog:
    return CommitLog(writer.path.parent, Disk())


def index_of(writer: LogWriter) -> Path:
    return IndexFiles(writer.path).path


def base_of(history: CommitHistory) -> CommitIndex:
    return history._view.base


def indexed_batch(writer: LogWriter) -> str:
    """Return the digest of a batch whose commit is only in the index, so its record is read from the log."""
    later = {commit.facts.digest for commit in writer.history.commits[150:]}
    return next(
        commit.facts.digest for commit in writer.history.commits[:150] if commit.facts.digest not in later
    )


@settings(max_examples=examples(60), deadline=None)
@given(st.data())
def test_a_damaged_index_never_gives_a_wrong_answer(tmp_path_factory, data):
    writer = LogWriter(tmp_path_factory.mktemp("log") / "commits.jsonl", 2)
    writer.write(60)
    log_of(writer).write_index()
    content = bytearray(index_of(writer).read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content))) :]
    index_of(writer).write_bytes(content)
    writer.write(5)
    log = log_of(writer)
    assert_equal(log.history(), writer.history, writer, asked=2)
    log.write_index()
    assert_equal(log.history(), writer.history, writer, asked=2)
    assert_equal(log_of(writer).history(), writer.history, writer, asked=2)


def test_an_index_with_a_damaged_piece_is_rebuilt_from_the_log(writer: LogWriter):
    content = bytearray(index_of(writer).read_bytes())
    content[64 + 10] ^= 1  # the first commit's hash
    index_of(writer).write_bytes(content)
    history = log_of(writer).history()
    assert base_of(history).number == 150
    assert history.head(1) == writer.history.head(1)
    assert_equal(history, writer.history, writer)
    mapped = CommitIndex.mapped(index_of(writer))
    mapped.columns.verify()
    assert mapped.number == 150


def test_a_damaged_index_of_a_changed_log_is_data_damaged(writer: LogWriter):
    content = bytearray(index_of(writer).read_bytes())
    content[64 + 10] ^= 1
    index_of(writer).write_bytes(content)
    history = log_of(writer).history()
    other = LogWriter(writer.path.with_name("other"), 9)
    other.write(200)
    other.path.replace(writer.path)
    with pytest.raises(DataDamaged):
        history.head(1)
    with pytest.raises(DataDamaged):
        history.knows_batch(indexed_batch(writer))


def test_a_damaged_index_of_an_unreadable_log_is_store_unavailable(writer: LogWriter):
    content = bytearray(index_of(writer).read_bytes())
    content[64 + 10] ^= 1
    index_of(writer).write_bytes(content)
    log = log_of(writer).history()
    assert log.file_end("unknown") == 0
    writer.path.rename(writer.path.with_name("away"))
    with pytest.raises(StoreUnavailable):
        log.head(1)
    with pytest.raises(StoreUnavailable):
        log.knows_batch(indexed_batch(writer))
    writer.path.with_name("away").rename(writer.path)
    assert_equal(log, writer.history, writer)


def test_derived_files_may_be_deleted_at_any_moment(writer: LogWriter):
    open_before = log_of(writer)
    history = open_before.history()
    shutil.rmtree(index_of(writer).parent)
    assert_equal(history, writer.history, writer)
    assert_equal(log_of(writer).history(), writer.history, writer)
    writer.write(3)
    assert_equal(open_before.history(), writer.history, writer)
    open_before.write_index()
    assert base_of(log_of(writer).history()).number == 203


def test_an_older_index_does_not_replace_a_newer_one(writer: LogWriter):
    behind = log_of(writer)
    assert behind.history().head().number == 200
    stale = behind.history().builder()
    writer.write(20)
    log_of(writer).write_index()
    assert IndexFiles(writer.path)._write(stale) is None
    assert CommitIndex.mapped(index_of(writer)).number == 220


def test_an_index_is_not_written_while_another_process_writes_it(writer: LogWriter):
    log = log_of(writer)
    with derived_lock(writer.path.parent) as is_ours:
        assert is_ours
        log.write_index()
        assert CommitIndex.mapped(index_of(writer)).number == 150
        assert base_of(log.history()).number == 150
    log.write_index()
    assert base_of(log.history()).number == 200
    assert CommitIndex.mapped(index_of(writer)).number == 200


def test_the_partial_index_of_a_killed_writer_is_replaced(writer: LogWriter):
    left = index_of(writer).with_suffix(".new")
    left.write_bytes(index_of(writer).read_bytes()[:1000])
    log_of(writer).write_index()
    assert not left.exists()
    assert CommitIndex.mapped(index_of(writer)).number == 200


def test_a_restored_log_does_not_use_the_index_of_the_lost_log(writer: LogWriter):
    open_before = log_of(writer)
    open_before.write_index()
    lines = writer.path.read_bytes().splitlines(keepends=True)
    restored = LogWriter(writer.path.with_name("restored"), 1)
    restored.write(0)
    restored.path.write_bytes(b"".join(lines[:100]))
    for commit, commit_id in zip(writer.history.commits[:100], writer.history.ids[1:101], strict=True):
        restored.history.add(commit, commit_id)
    restored.random.seed(77)
    restored.path = restored.path.replace(writer.path)
    assert_equal(open_before.history(), restored.history, restored)
    assert_equal(log_of(writer).history(), restored.history, restored)
    restored.write(200)  # longer than the index says, with other commits
    for log in (open_before, log_of(writer)):
        assert base_of(log.history()).number == 0
        assert_equal(log.history(), restored.history, restored)
    open_before.write_index()
    assert base_of(log_of(writer).history()).number == 300
    assert_equal(log_of(writer).history(), restored.history, restored)


def test_a_long_log_without_an_index_gets_one(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(index_files, "TAIL_BYTES", 10_000)
    monkeypatch.setattr(index_files, "_COMMITS_AT_ONCE", 7)
    writer = LogWriter(tmp_path / "commits.jsonl", 3)
    writer.write(100)
    with derived_lock(tmp_path):  # nothing can be written
        in_memory = log_of(writer).history()
    assert not index_of(writer).exists()
    assert_equal(in_memory, writer.history, writer)
    assert base_of(log_of(writer).history()).number == 100
    assert CommitIndex.mapped(index_of(writer)).number == 100
    writer.write(40)
    content = bytearray(index_of(writer).read_bytes())
    content[64 + 10] ^= 1  # noticed only when the index is extended
    index_of(writer).write_bytes(content)
    found = log_of(writer).history()
    assert base_of(found).number == 140
    assert_equal(found, writer.history, writer)


def test_a_read_only_folder_has_its_index_in_memory(writer: LogWriter):
    shutil.rmtree(index_of(writer).parent)
    index_of(writer).parent.write_text("not a folder")
    log = log_of(writer)
    log.write_index()
    assert base_of(log.history()).number == 200
    assert_equal(log.history(), writer.history, writer)


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
def test_a_long_tail_is_indexed_while_batches_are_stored_and_read(tmp_path: Path, monkeypatch, readers: int):
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
    for thread in threading.enumerate():
        if thread.name == "commit index":
            thread.join()
    assert base_of(store._logs.get(TRADES, SYMBOL).commits.history()).number > 5
    assert stored(store) == stored(CsvStore(tmp_path))
    again = batch(trade(7, trade_id="7"))
    assert store.append(again).stored == CsvStore(tmp_path).append(again).stored == 0


def _append_all(folder: Path, first: int, count: int) -> None:
    setattr(history, "TAIL_COMMITS", 4)  # noqa: B010 it is not exported
    store = CsvStore(folder)
    for number in range(first, first + count):
        store.append(batch(trade(number, trade_id=str(number)), request_key=str(number)))


@pytest.mark.system
def test_processes_that_write_indexes_of_one_log_agree(tmp_path: Path):
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_append_all, args=(tmp_path, 1000 * n, 40)) for n in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(PROGRAM_SECONDS)
        assert worker.exitcode == 0
    found = CsvStore(tmp_path)._logs.get(TRADES, SYMBOL).commits.history()
    assert base_of(found).number > 4
    assert found.head().number == 80
    store = CsvStore(tmp_path)
    assert len(stored(store)) == 80
    for number in (*range(40), *range(1000, 1040)):
        assert found.accepted("key:1", hash_of_key(str(number))) is not None
        assert store.append(batch(trade(number, trade_id=str(number)), request_key=str(number))).replayed
