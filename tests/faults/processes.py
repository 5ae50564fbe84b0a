"""What the processes of this suite do with a store, and how they are begun and ended."""

import multiprocessing
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from store.csv import CsvStore
from store.datasets import TRADES
from store.exceptions import StoreBusy, UnknownSymbol
from store.protocol import Append, Receipt
from tests.faults.batches import batch_of, findings
from tests.store.builders import DAY, SYMBOL, stored, trade
from tests.store.builders import batch as batch_with
from tests.store.csv.disks import WatchedDisk

PATIENCE = 300.0
THREADS = 2
POOL = 240

context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload([__name__])


@dataclass(frozen=True)
class Child:
    """A process and our ends of the pipes to and from it."""

    process: BaseProcess
    inbox: Connection
    outbox: Connection

    def received(self) -> Any:
        assert self.inbox.poll(PATIENCE), "a process did not answer"
        return self.inbox.recv()

    def all_received(self) -> list[Any]:
        """What is there to be read of a process that has ended; the last message may be torn."""
        messages = []
        with suppress(EOFError, OSError):
            while True:
                messages.append(self.inbox.recv())
        return messages

    def kill(self) -> None:
        self.process.kill()
        self.process.join()


@contextmanager
def children(work: Any, arguments: Sequence[tuple[Any, ...]]) -> Iterator[list[Child]]:
    """Processes that do `work(*arguments, inbox, outbox)`; none is left behind."""
    begun = []
    try:
        for each in arguments:
            (their_inbox, our_outbox), (our_inbox, their_outbox) = context.Pipe(False), context.Pipe(False)
            process = context.Process(target=work, args=(*each, their_inbox, their_outbox))
            process.start()
            begun.append(Child(process, our_inbox, our_outbox))
            their_inbox.close()
            their_outbox.close()
        yield begun
    finally:
        for child in begun:
            child.kill()
            child.process.close()
            child.inbox.close()
            child.outbox.close()


def shared_batch(seed: int) -> Append:
    """Some of the rows that every writer sends, known by their ids; which ones depends on the seed."""
    chooser = random.Random(seed)
    numbers = chooser.sample(range(POOL), chooser.randint(1, 30))
    return batch_with(
        *(trade(DAY * (n % 3) + n, float(1 + n), trade_id=f"shared{n}", conditions="shared") for n in numbers)
    )


def write(folder: Path, writer: int, batches: int, inbox: Connection, outbox: Connection) -> None:
    """Batches of its own and shared ones, in an order of its own; sends the commits' numbers and hashes."""
    store = CsvStore(folder)
    work = [batch_of(1000 * writer + n) for n in range(batches)] + [shared_batch(n) for n in range(batches)]
    random.Random(writer).shuffle(work)
    outbox.send("ready")
    inbox.recv()
    receipts = [stored_in_the_end(store, each) for each in work]
    outbox.send([(receipt.commit.number, receipt.commit.hash) for receipt in receipts])
    inbox.recv()


def stored_in_the_end(store: CsvStore, batch: Append) -> Receipt:
    """What became of a batch, which is tried again while one who stands still holds the lock."""
    ends_at = time.monotonic() + PATIENCE
    while True:
        try:
            return store.append(batch)
        except StoreBusy:
            if time.monotonic() > ends_at:
                raise


def watch(folder: Path, inbox: Connection, outbox: Connection) -> None:
    """Read until told to end; sends each answer: the head, how many rows there were, and which batches in part."""
    store, seen = CsvStore(folder), []
    outbox.send("ready")
    inbox.recv()
    while not inbox.poll():
        try:
            head = store.log(TRADES, SYMBOL).head
            rows = stored(store, commit=head.number)
            newest = stored(store)
        except UnknownSymbol:
            continue
        torn = findings((row for row in newest if row["conditions"] != "shared"), ()).torn
        seen.append((head.number, head.hash, len(rows), torn))
    outbox.send(seen)
    inbox.recv()


def ingest_until_killed(
    folder: Path, symbol: str, numbers: Iterator[int], inbox: Connection, outbox: Connection
) -> None:
    """Batches of these numbers, in two threads; sends each one's number once it is acknowledged."""
    store, mutex = CsvStore(folder), threading.Lock()
    sys.setswitchinterval(0.0005)

    def ingest() -> None:
        while True:
            with mutex:
                number = next(numbers)
            store.append(batch_of(number, symbol))
            with mutex:
                outbox.send(number)

    for _ in range(THREADS):
        threading.Thread(target=ingest).start()
    inbox.recv()


def stop_amid_a_write(
    folder: Path, number: int, stopping: int, inbox: Connection, outbox: Connection
) -> None:
    """The batches up to `number`, with a SIGSTOP to itself before the nth call to the disk of the last one."""
    disk = WatchedDisk()
    store = CsvStore(folder, disk=disk)
    for each in range(1, number):
        store.append(batch_of(each))
    disk.calls.clear()

    def stop(_name: str, call: int) -> None:
        if call == stopping:
            os.kill(os.getpid(), signal.SIGSTOP)

    disk.before = stop
    outbox.send(("acknowledged", store.append(batch_of(number)).commit.number))
    inbox.recv()


def is_stopped(pid: int) -> bool:
    state: str = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return state == "T"
