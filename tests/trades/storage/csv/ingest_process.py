"""What the processes of test_processes and test_kills do: ingest batches whose rows say which batch they are of."""

import random
import sys
import threading
from collections import Counter
from collections.abc import Iterable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tests.trades.storage.builders import DAY, Row, batch, stored, trade
from trades.storage.csv import CsvStore
from trades.storage.exceptions import UnknownSymbol
from trades.storage.protocol import Append

THREADS = 4
POOL = 240


def tagged_rows(number: int) -> list[Row]:
    """The rows of a batch, on two dates; how many they are differs from batch to batch, up to some hundreds."""
    count = random.Random(number).choice([1, 2, 3, 10, 50, 400])
    return [
        trade(number * 10**6 + n + DAY * (n % 2), 1.0 + n, conditions=f"{number}:{count}")
        for n in range(count)
    ]


def tagged_batch(number: int) -> Append:
    return batch(*tagged_rows(number), request_key=str(number) if number % 2 else None)


def shared_batch(seed: int) -> Append:
    """Some of the rows that every process sends, known by their ids; which ones depends on the seed."""
    chooser = random.Random(seed)
    numbers = chooser.sample(range(POOL), chooser.randint(1, 30))
    return batch(*(trade(DAY * (n % 3) + n, float(1 + n), trade_id=f"shared{n}") for n in numbers))


def partial_batches(rows: Iterable[Row]) -> dict[str, tuple[int, int]]:
    """Of each tagged batch that is not there as a whole: how many of its rows are, and how many it has."""
    found = Counter(row["conditions"] for row in rows if row["conditions"] is not None)
    return {tag: (n, int(tag.split(":")[1])) for tag, n in found.items() if n != int(tag.split(":")[1])}


def numbers_of(rows: Iterable[Row]) -> set[int]:
    """The numbers of the tagged batches that have rows."""
    return {int(row["conditions"].split(":")[0]) for row in rows if row["conditions"] is not None}


def write(folder: Path, writer: int, batches: int, begin: Any, outbox: Connection) -> None:
    """Batches of its own and shared ones, in an order of its own; sends the commits' numbers and hashes."""
    store = CsvStore(folder)
    own = [tagged_batch(1000 * writer + number) for number in range(batches)]
    work = own + [shared_batch(seed) for seed in range(batches)]
    random.Random(writer).shuffle(work)
    begin.wait()
    receipts = [store.append(each) for each in work]
    outbox.send([(receipt.commit.number, receipt.commit.hash) for receipt in receipts])


def watch(folder: Path, begin: Any, ended: Any, outbox: Connection) -> None:
    """Read all the while; sends how often, what was seen in part, and whether rows ever became fewer."""
    store, reads, rows_before, shrunk = CsvStore(folder), 0, 0, False
    partial: dict[str, tuple[int, int]] = {}
    begin.wait()
    while not ended.is_set() or not reads:
        try:
            rows = stored(store)
        except UnknownSymbol:
            continue
        partial |= partial_batches(rows)
        shrunk |= len(rows) < rows_before
        reads, rows_before = reads + 1, len(rows)
    outbox.send((reads, partial, shrunk))


def ingest_until_killed(folder: Path, first: int, outbox: Connection) -> None:
    """Batches `first`, `first` + 1, … in four threads; sends each one's number once it is acknowledged."""
    store, mutex = CsvStore(folder), threading.Lock()
    sys.setswitchinterval(0.0005)

    def ingest(number: int) -> None:
        while True:
            store.append(tagged_batch(number))
            with mutex:
                outbox.send(number)
            number += THREADS

    threads = [threading.Thread(target=ingest, args=(first + n,)) for n in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
