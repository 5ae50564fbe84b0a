"""Hash files: whatever happens to them, the same rows are duplicates; with them, no CSV is read."""

import multiprocessing
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from store.csv import CsvStore
from store.csv.writing.hash_file import HASHES_FOLDER, HashFile
from store.csv.writing.known_rows import KnownRows
from store.datasets import TRADES
from store.exceptions import DataDamaged, IdConflict, StorageError
from store.memory import MemoryStore
from store.protocol import Amendment, Append, Dedupe
from tests.chance import SOAK
from tests.store.builders import DAY, SYMBOL, Clock, Row, amendment, batch, cancel, correct, stored, trade
from tests.store.csv.writing.late_rows_process import POOL, append_until_killed, pool_row, small_files

pytestmark = pytest.mark.system

SEEDS = 60 if SOAK else 4


def opened(folder: Path, limit_bytes: int = 2**20) -> CsvStore:
    store = CsvStore(folder, clock=Clock())
    store._known_rows = KnownRows(limit_bytes)
    return store


def log_folder(folder: Path) -> Path:
    return folder / TRADES.name / SYMBOL


def hash_files(folder: Path) -> list[Path]:
    return sorted((log_folder(folder) / ".derived" / HASHES_FOLDER).glob("*.hashes"))


# Faults between two batches. No file is cut or changed in place, because a process may have mapped it.
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


def random_row(rng: random.Random) -> Row:
    """Return a row on one of two dates, with or without an id, and seldom with the id of other values."""
    date = rng.randrange(2) * DAY
    if rng.random() < 0.5:
        return trade(date + rng.randrange(60), rng.choice([1.0, 1.0, 2.0]))
    number = rng.randrange(150)
    price = 9.0 if number < 10 and rng.random() < 0.2 else 1.0 + number % 3
    return trade(date + number % 4, price, trade_id=str(number), received_at=rng.choice([None, 5]))


def random_request(rng: random.Random) -> Append | Amendment:
    if rng.random() < 0.8:
        rows = [random_row(rng) for _ in range(rng.randrange(1, 25))]
        return batch(*rows, dedupe=Dedupe.NONE if rng.random() < 0.1 else Dedupe.ROWS)
    number = rng.randrange(10)
    at, name = rng.randrange(2) * DAY + number % 4, str(number)
    if rng.random() < 0.3:
        return amendment(cancel(at, trade_id=name))
    return amendment(correct(at, trade_id=name, new={"price": rng.choice([5.0, 9.0])}))


def answer(store: CsvStore | MemoryStore, request: Append | Amendment) -> object:
    try:
        receipt = store.append(request) if isinstance(request, Append) else store.correct(request)
    except IdConflict as error:
        return error.rows
    except StorageError as error:
        return type(error)
    return receipt.stored, receipt.duplicate_rows, receipt.commit.number


def head_numbers(folder: Path) -> dict[str, int]:
    return {path.name: HashFile.mapped(path).head.number for path in hash_files(folder)}


@pytest.mark.parametrize("seed", range(SEEDS))
def test_the_same_rows_are_duplicates_whatever_happens_to_the_files(tmp_path: Path, seed: int):
    rng, memory = random.Random(seed), MemoryStore(clock=Clock())
    limit_bytes = rng.choice([1, 2**14, 2**20])
    with small_files():
        stores = [opened(tmp_path, limit_bytes) for _ in range(3)]
        for _ in range(60):
            stores[2] = opened(tmp_path, limit_bytes)  # a process that has just started
            request, store = random_request(rng), rng.choice(stores)
            assert answer(store, request) == answer(memory, request)
            if rng.random() < 0.3 and hash_files(tmp_path):
                rng.choice(FAULTS)(tmp_path, hash_files(tmp_path), rng)
        for store in stores:
            assert stored(store) == stored(memory)


def test_an_older_file_never_replaces_a_newer_one(tmp_path: Path):
    rng, before = random.Random(1), dict[str, int]()
    with small_files():
        stores = [opened(tmp_path) for _ in range(3)]
        for _ in range(60):
            answer(rng.choice(stores), random_request(rng))
            now = head_numbers(tmp_path)
            assert all(now[date] >= number for date, number in before.items())
            before = now
    assert len(before) == 2


def test_rows_in_a_file_are_recognised_without_the_csv(tmp_path: Path):
    rows = [trade(n, trade_id=None if n % 2 else str(n)) for n in range(40)]
    with small_files():
        opened(tmp_path).append(batch(*rows))
        opened(tmp_path).append(batch(rows[0], trade(50, trade_id="50")))  # makes the file
        assert len(hash_files(tmp_path)) == 1
        csv = next(log_folder(tmp_path).glob("*.csv"))
        content = csv.read_bytes()
        csv.write_bytes(content[:100].ljust(len(content) - 60, b"x") + content[-60:])  # except the newest row
        assert opened(tmp_path).append(batch(*reversed(rows))).stored == 0
        hash_files(tmp_path)[0].unlink()
        with pytest.raises(DataDamaged):
            opened(tmp_path).append(batch(*rows))


def test_a_corrected_row_is_recognised_by_its_old_and_its_new_values(tmp_path: Path):
    rows = [trade(n, trade_id=str(n)) for n in range(5)]
    store = opened(tmp_path)
    store.append(batch(*rows))
    store.append(batch(*rows))  # the store has read the date's hashes
    store.correct(amendment(correct(3, trade_id="3", new={"price": 9.0})))
    for each in (store, opened(tmp_path)):
        assert each.append(batch(rows[4], rows[3] | {"price": 9.0}, rows[3])).duplicates == 3


def test_a_file_of_another_history_is_not_used(tmp_path: Path):
    ids = [trade(n, trade_id=str(n)) for n in range(60)]
    live, backup = tmp_path / "live", tmp_path / "backup"
    with small_files():
        opened(live).append(batch(*ids[:10]))
        shutil.copytree(live, backup, ignore=shutil.ignore_patterns(".derived"))
        opened(live).append(batch(*ids[10:30]))
        opened(live).append(batch(ids[0]))
        assert head_numbers(live) == {"2025-01-02.hashes": 2}
        shutil.copytree(log_folder(live) / ".derived", log_folder(backup) / ".derived")
        opened(backup).append(batch(trade(1000)))  # commit 2 of this history, which needs no hash file
        assert opened(backup).append(batch(*ids[10:30])).stored == 20
        assert opened(backup).append(batch(*ids)).duplicates == 30


@pytest.mark.system
def test_killed_writers_leave_no_wrong_hashes(tmp_path: Path):
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


def test_least_recently_used_dates_are_evicted_above_the_limit(tmp_path: Path):
    store = opened(tmp_path, limit_bytes=20_000)
    batches = [batch(*(trade(n * DAY + m, trade_id=str(m)) for m in range(10))) for n in range(6)]
    for each in [*batches, *batches]:
        store.append(each)
        assert sum(date.nbytes for date in store._known_rows._dates.values()) <= 20_000
        assert len(store._known_rows._dates) < 6
    assert len(stored(store)) == 60
