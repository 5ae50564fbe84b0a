"""What follows a log in a process of its own, who writes to it until killed, and what both are held against."""

import random
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from store.csv import CsvStore
from store.datasets import TRADES
from store.exceptions import StoreUnavailable, UnknownSymbol
from store.protocol import Amendment
from store.walk import BEGINNING, CommitRecord, LogPosition, Resync
from tests.faults.batches import batch_of, rows_of
from tests.faults.limited_process import read_only
from tests.faults.processes import THREADS
from tests.store.builders import SYMBOL, amendment, cancel, correct
from tests.store.walking import flat, walk

RESYNC = "resync"
PAUSE_SECONDS = 0.002


def amendment_of(number: int) -> Amendment:
    """Of the first row of a batch: corrected and, of every other batch, cancelled behind that."""
    row = rows_of(number)[0]
    named = {"price": row["price"], "volume": row["volume"]}
    fix = correct(row["timestamp"], **named, new={"price": 0.5})
    end = cancel(row["timestamp"], price=0.5, volume=row["volume"])
    return amendment(*([fix, end] if number % 2 else [fix]))


def write_until_killed(folder: Path, numbers: Iterator[int], inbox: Connection, outbox: Connection) -> None:
    """Batches of these numbers, some of them corrected, in two threads; sends each one's number."""
    store, mutex = CsvStore(folder), threading.Lock()
    sys.setswitchinterval(0.0005)

    def write() -> None:
        while True:
            with mutex:
                number = next(numbers)
            store.append(batch_of(number))
            if number % 4 == 0:
                store.correct(amendment_of(number))
            with mutex:
                outbox.send(number)

    for _ in range(THREADS):
        threading.Thread(target=write).start()
    inbox.recv()


@dataclass
class Follower:
    """Follows one log. `found`: what it was given, as `flat` has it, and `RESYNC` where it began anew."""

    folder: Path
    rng: random.Random
    position: LogPosition = BEGINNING
    found: list[Any] = field(default_factory=list)
    token: object = None

    def poll(self, store: CsvStore) -> None:
        """Take what is new, or a part of it."""
        token = store.heads(TRADES, [SYMBOL]).get(SYMBOL)
        with suppress(StoreUnavailable, UnknownSymbol):
            if token != self.token and self.take(store):
                self.token = token

    def take(self, store: CsvStore) -> bool:
        """Whether it took all there was: by chance it leaves a walk, and goes on at its place."""
        try:
            for piece in store.log(TRADES, SYMBOL).commits(self.position):
                self.found += flat([piece])
                self.position = piece.position
                if self.rng.random() < 0.05:
                    return False
        except Resync:
            self.found.append(RESYNC)
            self.position = BEGINNING
            return False
        return True


def follow(folder: Path, seed: int, inbox: Connection, outbox: Connection) -> None:
    """Follow until told to end; whatever is received otherwise is answered with all that was found, at the end of the log."""
    follower, store = Follower(folder, random.Random(seed)), CsvStore(folder)
    while True:
        if follower.rng.random() < 0.05:
            store = CsvStore(folder)
        follower.poll(store)
        if inbox.poll(PAUSE_SECONDS):
            inbox.recv()
            while not at_the_end(follower, store):
                follower.poll(store)
            outbox.send(follower.found)


def at_the_end(follower: Follower, store: CsvStore) -> bool:
    return store.heads(TRADES, [SYMBOL]).get(SYMBOL) == follower.token is not None


def walk_without_permission(folder: Path, inbox: Connection, outbox: Connection) -> None:
    """Sends what a user finds who may read the files, and nothing else."""
    # Python's own library may be readable by this user only.
    import_module("pyarrow.compute")
    with read_only(folder):
        outbox.send(flat(walk(CsvStore(folder))))
    inbox.recv()


def gaps(found: list[Any]) -> list[str]:
    """Where what was found, from the beginning of a log on, has a gap, or something twice."""
    wrong, number, ordinal, stored = [], 0, 0, 0
    for each in found:
        if isinstance(each, CommitRecord):
            if each.id.number != number + 1 or ordinal != stored:
                wrong.append(f"commit {each.id.number} behind row {ordinal} of {stored} of {number}")
            number, ordinal, stored = each.id.number, 0, each.length
        else:
            if (each[0].number, each[1]) != (number, ordinal):
                wrong.append(f"row {each[1]} of {each[0].number} behind row {ordinal} of {number}")
            ordinal += 1
    return wrong if ordinal == stored else [*wrong, f"row {ordinal} of {stored} is the last of {number}"]
