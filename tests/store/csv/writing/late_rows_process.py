"""Subprocesses of test_hash_files: send late rows until killed."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from store.csv import CsvStore
from store.csv.files import column_file
from store.csv.writing import hash_file, known_date
from tests.store.builders import DAY, Row, batch, trade

POOL = 3_000


@contextmanager
def small_files() -> Iterator[None]:
    """Write hash files from eight rows on, in pieces of a few rows, and use both ways of searching."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(known_date, "FILE_ROWS", 8)
        patch.setattr(known_date, "FILE_PARTS", 5)
        patch.setattr(known_date, "_ROWS_OF_A_READ", 0)
        patch.setattr(column_file, "PIECE_BYTES", 64)
        patch.setattr(hash_file, "_PIECES_IN_RUN", 2)
        patch.setattr(hash_file, "_FEW", 3)
        yield


def pool_row(number: int) -> Row:
    """Return a row of a pool on three dates; half of the rows have ids."""
    return trade(number + DAY * (number % 3), trade_id=str(number) if number % 2 else None)


def append_until_killed(folder: Path, seed: int, outbox: Connection) -> None:
    """Send rows of the pool again and again, and report each stored batch."""
    chooser = random.Random(seed)
    with small_files():
        store = CsvStore(folder)
        while True:
            store.append(batch(*map(pool_row, chooser.sample(range(POOL), 12))))
            outbox.send(None)
