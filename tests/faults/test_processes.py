"""Several processes on one folder: together, killed at random moments, and stopped amid a write."""

import os
import random
import signal
import time
from collections import Counter
from itertools import count
from pathlib import Path

import pytest

from store.csv import CsvStore
from store.datasets import TRADES
from store.exceptions import StoreBusy
from tests.chance import SOAK
from tests.faults import processes
from tests.faults.batches import all_rows, batch_of, findings, numbers_in, rows_sent
from tests.faults.processes import Child, children, is_stopped
from tests.faults.table import Tallies, Tally
from tests.front.front_server import eventually
from tests.store.builders import SYMBOL, stored

WRITERS, READERS = 2, 10
BATCHES = 60 if SOAK else 8
KILLS = 100 if SOAK else 6
KILLS_OF_A_SYMBOL = 5
LONGEST_LIFE_SECONDS = 0.12
STOPS_AT_EACH_CALL = 7 if SOAK else 1


def is_tagged(row: dict[str, object]) -> bool:
    return row["conditions"] != "shared"


def test_two_writers_and_ten_readers_see_whole_commits_and_store_every_row_once(
    tmp_path: Path, tallied: Tallies
):
    tally = tallied("08 two writers and ten readers on one symbol")
    writing = children(processes.write, [(tmp_path, writer, BATCHES) for writer in range(WRITERS)])
    with writing as writers, children(processes.watch, [(tmp_path,)] * READERS) as readers:
        assert {child.received() for child in [*writers, *readers]} == {"ready"}
        for child in [*readers, *writers]:
            child.outbox.send("begin")
        commits = [commit for child in writers for commit in child.received()]
        for child in readers:
            child.outbox.send("end")
        seen = [child.received() for child in readers]
    store = CsvStore(tmp_path)
    assert all(store.log(TRADES, SYMBOL).at(number).commit.hash == hashed for number, hashed in commits)
    check_what_was_stored(stored(store), tally)
    for answers in seen:
        check_what_was_read(answers, store, tally)
    tally.settle()


def check_what_was_stored(rows: list[dict[str, object]], tally: Tally) -> None:
    shared = Counter(row["trade_id"] for row in rows if not is_tagged(row))
    sent = {
        trade_id
        for n in range(BATCHES)
        for trade_id in processes.shared_batch(n).rows.column("trade_id").to_pylist()
    }
    assert shared == Counter(sent)
    own = [1000 * writer + n for writer in range(WRITERS) for n in range(BATCHES)]
    found = findings(filter(is_tagged, rows), own)
    tally.add(tried=0, acknowledged=len(own), lost=len(found.lost), torn=len(found.torn))


def check_what_was_read(
    answers: list[tuple[int, str, int, frozenset[int]]], store: CsvStore, tally: Tally
) -> None:
    """Heads never go back, and the rows at each are those of the commits up to it."""
    numbers = [number for number, *_ in answers]
    assert numbers == sorted(numbers)
    whole = {number: len(stored(store, commit=number)) for number in set(numbers)}
    for number, hashed, rows, torn in answers:
        assert store.log(TRADES, SYMBOL).at(number).commit.hash == hashed
        tally.add(torn=len(torn) + (rows != whole[number]))


def lived(pair: list[Child], rng: random.Random) -> set[int]:
    """What processes had acknowledged when they were killed, at random moments after their first batches."""
    acknowledged = {child.received() for child in pair}
    for child in pair:
        time.sleep(rng.random() * LONGEST_LIFE_SECONDS / len(pair))
        child.kill()
    for child in pair:
        acknowledged.update(child.all_received())
    return acknowledged


def test_kill_9_of_two_writers_at_random_moments(tmp_path: Path, rng: random.Random, tallied: Tallies):
    tally, first = tallied("02 kill -9 of writers at random moments"), 0
    for kill in range(KILLS):
        symbol = f"S{kill // KILLS_OF_A_SYMBOL}"
        first = 0 if kill % KILLS_OF_A_SYMBOL == 0 else first
        arguments = [(tmp_path, symbol, count(first + n, WRITERS)) for n in range(WRITERS)]
        with children(processes.ingest_until_killed, arguments) as pair:
            acknowledged = lived(pair, rng)
        found = findings(all_rows(CsvStore(tmp_path), symbol), [*acknowledged, *range(first)])
        tally.add(acknowledged=len(acknowledged), lost=len(found.lost), torn=len(found.torn))
        following = max(acknowledged) + 2 * WRITERS * processes.THREADS
        store = CsvStore(tmp_path)
        for number in range(first, following):
            store.append(batch_of(number, symbol))
        first = following
        assert all_rows(CsvStore(tmp_path), symbol) == rows_sent(range(first))
    tally.settle()


def stopped(child: Child) -> bool:
    """Whether it stopped amid its write; otherwise it got to the end."""
    pid = child.process.pid
    assert pid is not None
    assert eventually(lambda: child.inbox.poll() or is_stopped(pid), seconds=processes.PATIENCE)
    return not child.inbox.poll()


def check_a_store_that_opens_meanwhile(
    folder: Path, child: Child, prior: int, *, killed: bool, tally: Tally
) -> None:
    number = prior + 1
    store = CsvStore(folder)
    seen = numbers_in(all_rows(store))
    assert set(range(1, number)) <= seen <= set(range(1, number + 1))
    if killed:
        child.kill()
    else:
        os.kill(child.process.pid or 0, signal.SIGCONT)
        assert child.received() == ("acknowledged", number)
    acknowledged = range(1, number + (not killed))
    found = findings(all_rows(store), acknowledged)
    tally.add(acknowledged=len(acknowledged), lost=len(found.lost), torn=len(found.torn))
    assert store.append(batch_of(99)).stored == len(rows_sent([99]))
    store.append(batch_of(number))
    assert all_rows(store) == all_rows(CsvStore(folder)) == rows_sent([*range(1, number + 1), 99])


@pytest.mark.parametrize("killed", [False, True], ids=["goes on", "is killed"])
@pytest.mark.parametrize("prior", [0, 1], ids=["first batch", "later batch"])
def test_a_process_that_opens_while_another_is_amid_a_write(
    tmp_path: Path, tallied: Tallies, prior: int, *, killed: bool
):
    tally = tallied("11 a process opens while another is writing")
    for turn in range(STOPS_AT_EACH_CALL):
        for call in count(1):
            folder = tmp_path / f"{turn}-{call}"
            with children(processes.stop_amid_a_write, [(folder, prior + 1, call)]) as [child]:
                if not stopped(child):
                    break
                check_a_store_that_opens_meanwhile(folder, child, prior, killed=killed, tally=tally)
        assert call > 3
    tally.settle(of=4)


def test_a_writer_that_is_stopped_makes_others_wait_not_lose(tmp_path: Path):
    """Nobody takes the lock from a process that may go on; reads need none."""
    with children(processes.stop_amid_a_write, [(tmp_path, 2, 2)]) as [child]:
        assert stopped(child)
        store = CsvStore(tmp_path)
        with pytest.raises(StoreBusy):
            store.append(batch_of(3))
        assert all_rows(store) == rows_sent([1])
        os.kill(child.process.pid or 0, signal.SIGCONT)
        assert child.received() == ("acknowledged", 2)
        store.append(batch_of(3))
        assert all_rows(store) == rows_sent([1, 2, 3])
