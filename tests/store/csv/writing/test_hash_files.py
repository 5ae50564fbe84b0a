"""Files of hashes: whatever happens to them, the same rows are duplicates; and the CSV is not read for it."""

import multiprocessing
import os
import random
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.csv import CsvStore
from store.csv.parts.reader import read_known
from store.csv.writing.batch import PreparedBatch
from store.csv.writing.hash_file import HASHES_FOLDER, HashFile
from store.csv.writing.known_rows import KnownRows
from store.csv.writing.matching import NOT_STORED
from store.datasets import TRADES
from store.exceptions import DataDamaged, IdConflict, StorageError
from store.memory import MemoryStore
from store.protocol import Amendment, Append, Dedupe
from store.queries import QueryableStore
from tests.store.builders import DAY, SYMBOL, Clock, Row, amendment, batch, cancel, correct, stored, trade
from tests.store.csv.writing.late_rows_process import POOL, append_until_killed, pool_row, small_files

EXAMPLES = 400 if os.environ.get("SOAK") else 40
NAMES = TRADES.schema.names


def opened(folder: Path, held_bytes: int = 2**20) -> CsvStore:
    store = CsvStore(folder, clock=Clock())
    store._known_rows = KnownRows(held_bytes)
    return store


def log_folder(folder: Path) -> Path:
    return folder / TRADES.name / SYMBOL


def hash_files(folder: Path) -> list[Path]:
    return sorted((log_folder(folder) / ".derived" / HASHES_FOLDER).glob("*.hashes"))


# What happens to the files between two batches. Nothing is cut or changed in place: a process may have mapped it.
def replace(path: Path, content: bytes) -> None:
    new = path.with_suffix(".other")
    new.write_bytes(content)
    new.replace(path)


def delete_one(_: Path, files: list[Path], rng: random.Random) -> None:
    rng.choice(files).unlink()


def delete_all(folder: Path, _: list[Path], rng: random.Random) -> None:
    shutil.rmtree(log_folder(folder) / ".derived")


def truncate(_: Path, files: list[Path], rng: random.Random) -> None:
    path = rng.choice(files)
    replace(path, path.read_bytes()[: rng.randrange(path.stat().st_size)])


def flip_a_bit(_: Path, files: list[Path], rng: random.Random) -> None:
    for path in files:
        content = bytearray(path.read_bytes())
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        replace(path, bytes(content))


def put_back_an_older_one(folder: Path, files: list[Path], rng: random.Random) -> None:
    copies = folder / "copies"
    for path in files:
        if (copies / path.name).exists():
            replace(path, (copies / path.name).read_bytes())
    shutil.copytree(path.parent, copies, dirs_exist_ok=True)


def take_one_for_another_date(_: Path, files: list[Path], rng: random.Random) -> None:
    replace(rng.choice(files), rng.choice(files).read_bytes())


def put_a_file_in_their_folders_place(_: Path, files: list[Path], rng: random.Random) -> None:
    shutil.rmtree(files[0].parent)
    files[0].parent.write_text("not a folder")


Fault = Callable[[Path, list[Path], random.Random], None]
FAULTS: list[Fault] = [
    delete_one,
    delete_all,
    truncate,
    flip_a_bit,
    put_back_an_older_one,
    take_one_for_another_date,
    put_a_file_in_their_folders_place,
]

plain_rows = st.builds(
    lambda date, at, price: trade(date * DAY + at, price),
    st.integers(0, 1),
    st.integers(0, 40),
    st.sampled_from([1.0, 1.0, 2.0]),
)
rows_with_ids = st.builds(
    lambda date, number, received_at: trade(
        date * DAY + number % 4, 1.0 + number % 3, trade_id=str(number), received_at=received_at
    ),
    st.integers(0, 1),
    st.integers(0, 60),
    st.sampled_from([None, 5]),
)
conflicting_rows = rows_with_ids.map(lambda row: row | {"price": 9.0})
rows = st.one_of(*[plain_rows] * 10, *[rows_with_ids] * 10, conflicting_rows)
appends = st.builds(
    lambda rows, dedupe: batch(*rows, dedupe=dedupe),
    st.lists(rows, min_size=1, max_size=20),
    st.sampled_from([*[Dedupe.ROWS] * 5, Dedupe.NONE]),
)
corrections = st.builds(
    lambda date, number, price: amendment(
        cancel(date * DAY + number % 4, trade_id=str(number))
        if price is None
        else correct(date * DAY + number % 4, trade_id=str(number), new={"price": price})
    ),
    st.integers(0, 1),
    st.integers(0, 60),
    st.sampled_from([None, 1.0, 9.0]),
)
steps = st.lists(
    st.tuples(
        st.one_of(appends, appends, appends, corrections),
        st.integers(0, 2),
        st.one_of(st.none(), st.sampled_from(FAULTS)),
    ),
    min_size=1,
    max_size=30,
)


def answer(store: CsvStore | MemoryStore, request: Append | Amendment) -> object:
    try:
        receipt = store.append(request) if isinstance(request, Append) else store.correct(request)
    except IdConflict as error:
        return error.rows
    except StorageError as error:
        return type(error)
    return receipt.stored, receipt.duplicate_rows, receipt.commit.number


def assert_taken_for_equal_rows(store: CsvStore, request: Append, folder: Path) -> None:
    """Each duplicate is told to be a stored row that has said the same: of equal ones the next."""
    log = store._log(TRADES, SYMBOL)
    history = log.commits.history()
    for chunk in PreparedBatch.of(request).chunks:
        known = read_known(TRADES, log_folder(folder), history.parts_of(chunk.day)).to_pylist()
        try:
            found = store._known_rows.duplicates(chunk, history, log_folder(folder), staged=None)
        except IdConflict:
            continue
        sent, taken_for = chunk.rows.to_pylist(), found.arrivals(chunk.hashes).tolist()
        for place, (row, arrival, is_duplicate) in enumerate(
            zip(sent, taken_for, found.mask.tolist(), strict=True)
        ):
            equal = [each["arrival"] for each in known if said(each) == said(row)]
            before = 0 if row["trade_id"] else sent[:place].count(row)
            assert arrival == (equal[before] if is_duplicate and equal else NOT_STORED)


def said(row: Row) -> list[object]:
    return [row[name] for name in NAMES if name != "received_at" or row["trade_id"] is None]


def head_numbers(folder: Path) -> dict[str, int]:
    return {path.name: HashFile.mapped(path).head.number for path in hash_files(folder)}


@settings(max_examples=EXAMPLES, deadline=None)
@given(steps=steps, held_bytes=st.sampled_from([1, 2**14, 2**20]), rng=st.randoms(use_true_random=False))
def test_the_same_rows_are_duplicates_whatever_happens_to_the_files(steps, held_bytes, rng):
    memory = MemoryStore(clock=Clock())
    with tempfile.TemporaryDirectory() as name, small_files():
        folder = Path(name)
        stores = [opened(folder, held_bytes) for _ in range(2)]
        for request, through, fault in steps:
            stores[2:] = [opened(folder, held_bytes)]  # a process that has just begun
            if isinstance(request, Append) and log_folder(folder).exists():
                assert_taken_for_equal_rows(stores[through], request, folder)
            assert answer(stores[through], request) == answer(memory, request)
            if fault is not None and hash_files(folder):
                fault(folder, hash_files(folder), rng)
        kept = [stored(store) if memory_has(store) else [] for store in (memory, *stores)]
        assert all(rows == kept[0] for rows in kept)


def memory_has(store: QueryableStore) -> bool:
    try:
        return store.head(TRADES, SYMBOL).number > 0
    except StorageError:
        return False


@settings(max_examples=EXAMPLES, deadline=None)
@given(steps=st.lists(st.tuples(appends, st.integers(0, 2)), min_size=1, max_size=30))
def test_an_older_file_never_takes_the_place_of_a_newer_one(steps):
    with tempfile.TemporaryDirectory() as name, small_files():
        folder = Path(name)
        stores, before = [opened(folder) for _ in range(3)], dict[str, int]()
        for request, through in steps:
            answer(stores[through], request)
            now = head_numbers(folder)
            assert all(now[date] >= number for date, number in before.items())
            before = now


def test_rows_in_a_file_are_recognised_without_the_csv(tmp_path: Path):
    rows = [trade(n, trade_id=None if n % 2 else str(n)) for n in range(40)]
    with small_files():
        opened(tmp_path).append(batch(*rows))
        opened(tmp_path).append(batch(rows[0], trade(50, trade_id="50")))  # makes the file
        assert len(hash_files(tmp_path)) == 1
        csv = next(log_folder(tmp_path).glob("*.csv"))
        content = csv.read_bytes()
        csv.write_bytes(
            content[:100].ljust(len(content) - 60, b"x") + content[-60:]
        )  # but for the newest row
        assert opened(tmp_path).append(batch(*reversed(rows))).stored == 0
        hash_files(tmp_path)[0].unlink()
        with pytest.raises(DataDamaged):
            opened(tmp_path).append(batch(*rows))


def test_a_file_of_another_past_is_not_used(tmp_path: Path):
    ids = [trade(n, trade_id=str(n)) for n in range(60)]
    live, backup = tmp_path / "live", tmp_path / "backup"
    with small_files():
        opened(live).append(batch(*ids[:10]))
        shutil.copytree(live, backup, ignore=shutil.ignore_patterns(".derived"))
        opened(live).append(batch(*ids[10:30]))
        opened(live).append(batch(ids[0]))
        assert head_numbers(live) == {"2025-01-02.hashes": 2}
        shutil.copytree(log_folder(live) / ".derived", log_folder(backup) / ".derived")
        opened(backup).append(batch(trade(1000)))  # commit 2 of this past, which had no need to look
        assert opened(backup).append(batch(*ids[10:30])).stored == 20
        assert opened(backup).append(batch(*ids)).duplicates == 30


def test_writers_that_are_killed_at_any_moment_leave_nothing_that_misleads(tmp_path: Path):
    context, chooser = multiprocessing.get_context("spawn"), random.Random(7)
    sent: set[int] = set()
    for turn in range(8):
        inbox, outbox = context.Pipe(duplex=False)
        process = context.Process(target=append_until_killed, args=(tmp_path, turn, outbox))
        process.start()
        for _ in range(chooser.randrange(1, 12)):
            assert inbox.poll(60)
            inbox.recv()
        process.kill()
        process.join()
        with small_files():
            store = opened(tmp_path)
            before = [row["timestamp"] for row in stored(store)]
            sent = set(chooser.sample(range(POOL), 300))
            known = sum(pool_row(number)["timestamp"] in set(before) for number in sent)
            assert store.append(batch(*map(pool_row, sorted(sent)))).duplicates == known
            after = [row["timestamp"] for row in stored(store)]
        assert len(after) == len(set(after)) == len(before) + len(sent) - known
    assert hash_files(tmp_path)


def test_files_are_made_again_by_a_rebuild(tmp_path: Path):
    rows = [trade(n, trade_id=str(n)) for n in range(20)]
    with small_files():
        store = opened(tmp_path)
        for start in (0, 10):
            store.append(batch(*rows[start : start + 10]))
        assert hash_files(tmp_path)
        store.derive(TRADES, SYMBOL, rebuild=True)
        assert not hash_files(tmp_path)
        assert opened(tmp_path).append(batch(*rows)).stored == 0
        assert hash_files(tmp_path)


def test_dates_that_were_used_longest_ago_are_let_go_when_too_much_is_held(tmp_path: Path):
    store = opened(tmp_path, held_bytes=20_000)
    batches = [batch(*(trade(n * DAY + m, trade_id=str(m)) for m in range(10))) for n in range(6)]
    for each in [*batches, *batches]:
        store.append(each)
        assert sum(date.nbytes for date, _ in store._known_rows._dates.values()) <= 20_000
        assert len(store._known_rows._dates) < 6
    assert len(stored(store)) == 60
