"""Late rows without ids are compared with the parts beside them, or with the whole date."""

import random
from pathlib import Path

import pytest

from store.csv import CsvStore
from store.csv.writing import known_date
from store.memory import MemoryStore
from tests.store.builders import Row, batch, stored, trade

PART_ROWS = 10
PARTS = 12


def rows_of_part(number: int) -> list[Row]:
    return [trade(100 * number + n) for n in range(PART_ROWS)]


@pytest.fixture
def in_order(tmp_path: Path) -> CsvStore:
    """A store with parts that do not overlap, none of which it has read."""
    store = CsvStore(tmp_path)
    for number in range(PARTS):
        store.append(batch(*rows_of_part(number)))
    return store


@pytest.mark.parametrize("seed", range(2))
def test_the_same_rows_are_duplicates_however_they_are_read(
    in_order: CsvStore, seed: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(known_date, "_ROWS_OF_A_READ", 0)  # after few batches the whole date is read
    chooser, memory = random.Random(seed), MemoryStore()
    for number in range(PARTS):
        memory.append(batch(*rows_of_part(number)))
    for _ in range(20):
        start = chooser.randrange(100 * PARTS)
        late = batch(*(trade(start + chooser.randrange(150)) for _ in range(5)))
        expected, got = memory.append(late), in_order.append(late)
        assert (got.stored, got.duplicate_rows) == (expected.stored, expected.duplicate_rows)
    assert stored(in_order) == stored(memory)
