"""Several processes on one folder, and processes that are killed."""

import multiprocessing
import os
import random
import time
from collections import Counter
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tests.trades.storage.builders import SYMBOL, stored
from tests.trades.storage.csv import ingest_process
from tests.trades.storage.csv.ingest_process import numbers_of, partial_batches, tagged_batch, tagged_rows
from trades.datasets import TRADES
from trades.storage.csv import CsvStore

SOAK = bool(os.environ.get("SOAK"))
WRITERS = 4
BATCHES = 200 if SOAK else 8
KILLS = 100 if SOAK else 10
LONGEST_LIFE_SECONDS = 0.12
PATIENCE = 60.0


def received(inbox: Connection) -> Any:
    assert inbox.poll(PATIENCE), "a process did not answer"
    return inbox.recv()


def test_four_processes_store_every_row_once_and_a_fifth_never_sees_half_a_batch(tmp_path: Path):
    context = multiprocessing.get_context("spawn")
    begin, ended = context.Barrier(WRITERS + 1), context.Event()
    pipes = [context.Pipe(duplex=False) for _ in range(WRITERS + 1)]
    writers = [
        context.Process(
            target=ingest_process.write, args=(tmp_path, writer, BATCHES, begin, pipes[writer][1])
        )
        for writer in range(WRITERS)
    ]
    watcher = context.Process(target=ingest_process.watch, args=(tmp_path, begin, ended, pipes[-1][1]))
    processes = [*writers, watcher]
    try:
        for process in processes:
            process.start()
        commits = [commit for inbox, _ in pipes[:-1] for commit in received(inbox)]
        ended.set()
        reads, partial, shrunk = received(pipes[-1][0])
    finally:
        for process in processes:
            if process.is_alive():
                process.join(5)
                process.kill()
            process.join()
        for inbox, outbox in pipes:
            inbox.close()
            outbox.close()
    assert reads > 0
    assert (partial, shrunk) == ({}, False)
    store = CsvStore(tmp_path)
    rows = stored(store)
    shared = Counter(row["trade_id"] for row in rows if row["trade_id"] is not None)
    sent = {
        trade_id
        for seed in range(BATCHES)
        for trade_id in ingest_process.shared_batch(seed).rows.column("trade_id").to_pylist()
    }
    assert shared == Counter(sent)
    assert partial_batches(rows) == {}
    assert numbers_of(rows) == {1000 * writer + n for writer in range(WRITERS) for n in range(BATCHES)}
    assert all(store.head(TRADES, SYMBOL, at=number).hash == hashed for number, hashed in commits)


def lived(context: Any, folder: Path, first: int, chooser: random.Random) -> list[int]:
    """What a process had acknowledged when it was killed, at a random moment after its first batch."""
    inbox, outbox = context.Pipe(duplex=False)
    process = context.Process(target=ingest_process.ingest_until_killed, args=(folder, first, outbox))
    process.start()
    outbox.close()
    acknowledged = [received(inbox)]
    deadline = time.monotonic() + chooser.random() * LONGEST_LIFE_SECONDS
    while inbox.poll(max(0.0, deadline - time.monotonic())) and time.monotonic() < deadline:
        acknowledged.append(inbox.recv())
    process.kill()
    process.join()
    try:
        while True:
            acknowledged.append(inbox.recv())
    except (EOFError, OSError):
        inbox.close()
    process.close()
    return acknowledged


def test_what_was_acknowledged_before_a_kill_is_there_whole_and_the_rest_is_whole_or_absent(tmp_path: Path):
    seed = int(os.environ.get("SEED", random.SystemRandom().randrange(10**6)))
    print(f"SEED={seed}")  # noqa: T201 shown on failure, so that it can be run again
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([ingest_process.__name__])
    chooser, first = random.Random(seed), 0
    for _ in range(KILLS):
        acknowledged = lived(context, tmp_path, first, chooser)
        rows = stored(CsvStore(tmp_path))
        assert partial_batches(rows) == {}
        assert numbers_of(rows) >= set(acknowledged)
        following = max(acknowledged) + 2 * ingest_process.THREADS
        store = CsvStore(tmp_path)
        for number in range(first, following):
            store.append(tagged_batch(number))
        first = following
    rows = stored(CsvStore(tmp_path))
    assert partial_batches(rows) == {}
    assert numbers_of(rows) == set(range(first))
    assert len(rows) == sum(len(tagged_rows(number)) for number in range(first))
