"""Subprocesses of test_corrections: correct and ingest the same trades concurrently."""

import random
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from store.csv import CsvStore
from tests.store.builders import DAY, Row, amendment, batch, cancel, correct, trade

POOL = 60


def pool_row(number: int) -> Row:
    return trade(number + DAY * (number % 2), 1.0 + number, trade_id=str(number))


def write(folder: Path, writer: int, begin: Any, outbox: Connection) -> None:
    """Cancel a third of the pool and correct another third, in random order, and send rows again meanwhile.

    Sends the numbers of applied corrections and stored rows.
    """
    store, applied, added = CsvStore(folder), 0, 0
    order = list(range(POOL))
    random.Random(writer).shuffle(order)
    begin.wait()
    for number in order:
        row = pool_row(number)
        named = {"trade_id": row["trade_id"]}
        if number % 3 == 0:
            applied += store.correct(amendment(cancel(row["timestamp"], **named))).stored
        elif number % 3 == 1:
            fix = correct(row["timestamp"], **named, new={"price": 0.5})
            applied += store.correct(amendment(fix)).stored
        added += store.append(batch(row)).stored
    outbox.send((applied, added))
