"""Batches that several clients send at once, and what became of each of them."""

import random
import threading
from dataclasses import dataclass, field
from itertools import count

from tests.system.batches import Batch, random_batch
from tests.system.clients import CUT, Client

SYMBOLS = ["AAA", "BBB", "CCC"]


@dataclass
class Ledger:
    """Which batches were acknowledged, which were cut off, and which wait for their answer in which process."""

    acknowledged: list[Batch] = field(default_factory=list)
    cut: list[Batch] = field(default_factory=list)
    waiting: dict[Client, Batch] = field(default_factory=dict)

    def deliver(self, client: Client, batch: Batch) -> None:
        """Send a batch and keep what became of it. Raises one of `CUT`."""
        self.waiting[client] = batch
        try:
            reply = client.ingest_patiently(batch.body)
        except CUT:
            self.cut.append(batch)
            raise
        finally:
            del self.waiting[client]
        assert reply.status == 200, reply.body
        assert reply.json()["stored"] == batch.size, reply.body
        self.acknowledged.append(batch)

    def processes_with_work(self) -> set[int | None]:
        return {client.process for client in list(self.waiting)}


class Sender:
    """Has every client send batches without a pause."""

    def __init__(self, ledger: Ledger, rng: random.Random, numbers: "count[int]", *, day: int) -> None:
        self._ledger = ledger
        self._rng = rng
        self._numbers = numbers
        self._day = day
        self._mutex = threading.Lock()

    def __call__(self, client: Client, stopping: threading.Event) -> None:
        while not stopping.is_set():
            with self._mutex:
                batch = random_batch(self._rng, next(self._numbers), SYMBOLS, day=self._day)
            try:
                self._ledger.deliver(client, batch)
            except CUT:
                return
