"""Web processes that answer nothing are replaced: stopped ones, and those whose threads all wait. No acknowledged batch is lost."""

import logging
import os
import random
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import pytest

from front.application import READ_THREADS
from tests.front.front_server import Reply, eventually
from tests.system.batches import Batch, random_batch, stored_counts
from tests.system.clients import CUT, Client, Crowd, clients_of_every_web, connected
from tests.system.installation import UNLIMITED, WEB_ONLY, Installation, installed, switched
from tests.system.ledger import SYMBOLS
from tests.system.stuck_views import PATH, PIPE

logger = logging.getLogger(__name__)

WATCHDOG_SECONDS = "3"
CLIENTS_EACH = 3
BATCHES = 20


@dataclass
class Writers:
    """Clients that send batches with an idempotency key each, and those that were cut off again until they are acknowledged."""

    rng: random.Random
    acknowledged: list[Batch] = field(default_factory=list)
    retried: Counter[str] = field(default_factory=Counter)
    _numbers: "count[int]" = field(default_factory=lambda: count(1))
    _mutex: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, client: Client, stopping: threading.Event) -> None:
        while not stopping.is_set():
            with self._mutex:
                batch = random_batch(self.rng, next(self._numbers), SYMBOLS)
            reply = self._answered(client, batch)
            assert reply.status == 200, reply.body
            assert reply.json()["stored"] == batch.size, reply.body
            self.acknowledged.append(batch)

    def _answered(self, client: Client, batch: Batch) -> Reply:
        try:
            return sent(client, batch)
        except CUT:
            # The next request opens another connection, to whichever process takes it.
            client.close()
        reply = sent(client, batch)
        with self._mutex:
            self.retried["replayed" if "idempotency-replayed" in reply.headers else "stored"] += 1
        return reply


def sent(client: Client, batch: Batch) -> Reply:
    """The answer to a batch of which only its key tells that it was stored before."""
    headers = {"Idempotency-Key": f"batch-{batch.number}"}
    return client.ingest_patiently(batch.body, query="dedupe=none", headers=headers)


def stop(process: int) -> None:
    """SIGSTOP; returns when it stands still."""
    os.kill(process, signal.SIGSTOP)
    stat = Path(f"/proc/{process}/stat")
    assert eventually(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T")


def assert_is_replaced(installation: Installation, process: int) -> None:
    """Wait for the line that says so, and for a whole installation without that process."""
    installation.served.says(
        rf"WARNING \S+ \[\S*\] web \d \(process {process}\) answered nothing for \d+\.\d s "
        r"and is killed and replaced\n"
    )
    installation.served.says(rf"\(process {process}\) was ended by signal 9; starting it again")
    assert process not in installation.webs()
    assert installation.is_ready()


@pytest.mark.soak
def test_a_stopped_process_is_replaced_and_no_acknowledged_batch_is_lost(tmp_path, seed):
    writers = Writers(random.Random(seed))
    with installed(tmp_path, **WEB_ONLY, WATCHDOG_SECONDS=WATCHDOG_SECONDS) as installation:
        key = installation.new_key(rate=UNLIMITED)
        with clients_of_every_web(installation.served, key, each=CLIENTS_EACH) as clients:
            victim = clients[0].process
            assert victim is not None
            with Crowd(clients, writers) as crowd:
                assert eventually(lambda: len(writers.acknowledged) >= BATCHES)
                stop(victim)
                assert_is_replaced(installation, victim)
                assert installation.is_complete()
                enough = len(writers.acknowledged) + BATCHES
                assert eventually(lambda: len(writers.acknowledged) >= enough)
            assert crowd.errors == []
        # Each client of the stopped process waited for an answer.
        assert writers.retried.total() == CLIENTS_EACH
        logger.info("%d batches, retried: %s", len(writers.acknowledged), dict(writers.retried))
        expected = {(batch.symbol, batch.number): batch.size for batch in writers.acknowledged}
        assert len(expected) == len(writers.acknowledged)
        assert stored_counts(installation.store, SYMBOLS) == expected


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """An installation with one web process."""
    folder = tmp_path_factory.mktemp("alone")
    (folder / "data").mkdir()
    os.mkfifo(folder / "data" / PIPE)
    with installed(
        folder,
        **WEB_ONLY,
        **switched(urls="tests.system.stuck_views"),
        WORKERS="1",
        WATCHDOG_SECONDS=WATCHDOG_SECONDS,
    ) as installation:
        yield installation


@pytest.mark.xdist_group("watchdog")
def test_connections_that_a_stopped_process_did_not_take_are_its_successors(alone):
    (victim,) = alone.webs()
    stop(victim)
    assert alone.served.get("/healthz")[0] == 200
    assert_is_replaced(alone, victim)


@pytest.mark.xdist_group("watchdog")
def test_a_process_whose_read_threads_all_wait_is_replaced_and_what_it_wrote_meanwhile_is_there(alone):
    (victim,) = alone.webs()
    ended: list[Client] = []
    # One caller never has all threads.
    keys = alone.new_keys([{"rate": UNLIMITED}] * READ_THREADS)

    def read(client: Client, _stopping: threading.Event) -> None:
        with pytest.raises(CUT):
            client.get(PATH, {"X-API-Key": keys.pop()})
        ended.append(client)

    batch = Batch(1, "WRITTEN", size=100, has_ids=True)
    with clients_of_every_web(alone.served, None, each=READ_THREADS) as clients:
        with connected(alone.port, alone.new_key(rate=UNLIMITED)) as writer, Crowd(clients, read) as crowd:
            assert writer.ingest(batch.body).status == 200
            assert_is_replaced(alone, victim)
        assert crowd.errors == []
    assert len(ended) == READ_THREADS
    assert stored_counts(alone.store, [batch.symbol]) == {(batch.symbol, batch.number): batch.size}
