"""Late rows without ids: a batch reads the parts beside it, until reading the whole date is cheaper."""

import random
from pathlib import Path

import pytest

from store.csv import CsvStore
from store.csv.files.part_reader import read_known
from store.csv.writing import known_date
from store.memory import MemoryStore
from tests.store.builders import Row, batch, stored, trade

PART_ROWS = 10
PARTS = 12


def rows_of_part(number: int) -> list[Row]:
    return [trade(100 * number + n) for n in range(PART_ROWS)]


@pytest.fixture
def read_parts(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of parts of each read, while a date is reopened often."""
    counts: list[int] = []

    def counted(dataset, folder, parts):
        counts.append(len(parts))
        return read_known(dataset, folder, parts)

    monkeypatch.setattr(known_date, "read_known", counted)
    monkeypatch.setattr(known_date, "_ROWS_OF_A_READ", 0)
    return counts


@pytest.fixture
def in_order(tmp_path: Path) -> CsvStore:
    """A store with parts that do not overlap, none of which it has read."""
    store = CsvStore(tmp_path)
    for number in range(PARTS):
        store.append(batch(*rows_of_part(number)))
    return store


def test_a_late_batch_reads_the_parts_beside_it(in_order: CsvStore, read_parts: list[int]):
    late = batch(trade(305), trade(305), trade(350), trade(403))
    assert in_order.append(late).duplicate_rows == (0, 3)
    assert read_parts == [2]
    assert in_order.append(late).stored == 0


def test_late_batches_read_the_whole_date_once(in_order: CsvStore, read_parts: list[int]):
    for number in range(PARTS):
        assert in_order.append(batch(trade(100 * number), trade(100 * number + 50))).stored == 1
    assert max(read_parts) > PARTS
    assert sum(read_parts) < 2 * PARTS + max(read_parts)
    assert read_parts[-1] == max(read_parts)


def test_a_late_batch_with_ids_reads_the_whole_date(in_order: CsvStore, read_parts: list[int]):
    assert in_order.append(batch(trade(305), trade(350, trade_id="a"))).stored == 1
    assert read_parts == [PARTS]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.usefixtures("read_parts")
def test_the_same_rows_are_duplicates_however_they_are_read(in_order: CsvStore, seed: int):
    chooser, memory = random.Random(seed), MemoryStore()
    for number in range(PARTS):
        memory.append(batch(*rows_of_part(number)))
    for _ in range(20):
        start = chooser.randrange(100 * PARTS)
        late = batch(*(trade(start + chooser.randrange(150)) for _ in range(5)))
        expected, got = memory.append(late), in_order.append(late)
        assert (got.stored, got.duplicate_rows) == (expected.stored, expected.duplicate_rows)
    assert stored(in_order) == stored(memory)
