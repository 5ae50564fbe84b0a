"""Stored rows are found again, whatever derived files there are: several stores of one folder."""

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from store.csv import CsvStore
from store.csv.derived import tail
from store.csv.writing import stored_versions
from store.datasets import TRADES
from store.exceptions import DataDamaged, IdConflict, StorageError
from store.protocol import Amendment, Append, Dedupe
from tests.chance import SOAK
from tests.memory_store import MemoryStore
from tests.store.builders import DAY, SYMBOL, Clock, Row, amendment, batch, cancel, correct, stored, trade

SEEDS = 60 if SOAK else 3


@pytest.fixture(autouse=True)
def small_indexes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use both ways of reading newer rows, and keep what is written."""
    for module in (tail, stored_versions):
        monkeypatch.setattr(module, "ROWS_OF_A_READ", 0)


def opened(folder: Path) -> CsvStore:
    return CsvStore(folder, clock=Clock(), segment_rows=40)


def derived(folder: Path) -> Path:
    return folder / TRADES.name / SYMBOL / ".derived"


# Faults between two batches. No file is changed in place, because a process may have mapped it.
def delete_one(folder: Path, rng: random.Random) -> None:
    rng.choice(sorted(derived(folder).iterdir())).unlink()


def delete_all(folder: Path, _: random.Random) -> None:
    shutil.rmtree(derived(folder))


def cut(folder: Path, rng: random.Random) -> None:
    for path in derived(folder).glob("*.rows.arrow"):
        content = path.read_bytes()
        path.with_suffix(".new").write_bytes(content[: rng.randrange(len(content))])
        path.with_suffix(".new").replace(path)


FAULTS: list[Callable[[Path, random.Random], None]] = [delete_one, delete_all, cut]


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
    return receipt.stored, receipt.duplicate_rows, receipt.commit


@pytest.mark.system
@pytest.mark.parametrize("seed", range(SEEDS))
def test_the_same_rows_are_duplicates_whatever_happens_to_derived_files(tmp_path: Path, seed: int):
    rng, memory = random.Random(seed), MemoryStore(clock=Clock())
    stores = [opened(tmp_path) for _ in range(3)]
    assert answer(stores[0], batch(trade(0))) == answer(memory, batch(trade(0)))
    for _ in range(60):
        stores[2] = opened(tmp_path)  # a process that has just started
        request, store = random_request(rng), rng.choice(stores)
        assert answer(store, request) == answer(memory, request)
        if rng.random() < 0.4:
            rng.choice(stores).derive(TRADES, SYMBOL)
        if rng.random() < 0.2 and derived(tmp_path).is_dir():
            rng.choice(FAULTS)(tmp_path, rng)
    for store in stores:
        assert stored(store) == stored(memory)


def test_rows_in_segments_are_recognised_without_the_csv(tmp_path: Path):
    rows = [trade(n, trade_id=None if n % 2 else str(n)) for n in range(40)]
    opened(tmp_path).append(batch(*rows))
    opened(tmp_path).derive(TRADES, SYMBOL)
    csv = next((tmp_path / TRADES.name / SYMBOL).glob("*.csv"))
    content = csv.read_bytes()
    csv.write_bytes(content[:100].ljust(len(content), b"x"))
    assert opened(tmp_path).append(batch(*reversed(rows))).stored == 0
    delete_all(tmp_path, random.Random(1))
    with pytest.raises(DataDamaged):
        opened(tmp_path).append(batch(*rows))


def test_ids_of_another_history_are_not_used(tmp_path: Path):
    ids = [trade(n, trade_id=str(n)) for n in range(60)]
    live, backup = tmp_path / "live", tmp_path / "backup"
    store = opened(live)
    store.append(batch(*ids[:10]))
    shutil.copytree(live, backup)
    store.append(batch(*ids[10:30]))
    store.derive(TRADES, SYMBOL)
    assert store.append(batch(*ids[:30])).stored == 0
    shutil.copytree(derived(live), derived(backup))
    shutil.rmtree(live)
    shutil.copytree(backup, live)
    assert store.append(batch(trade(1000))).commit.number == 2
    assert store.append(batch(*ids[10:30])).stored == 20
    assert store.append(batch(*ids)).duplicates == 30
