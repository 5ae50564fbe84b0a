"""A server, or a writer, that is stopped (SIGSTOP) is not waited for, and nothing is lost or stored twice."""

import json
import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from threading import Lock
from urllib.parse import parse_qs, urlsplit

import pytest

from store import connections
from store.clickhouse import writer
from store.clickhouse.catalogue import LockedLog
from store.datasets import TRADES
from store.exceptions import OutcomeUnknown, StoreBusy, StoreUnavailable
from tests.store.builders import SYMBOL, batch, stored, trade
from tests.store.walking import flat, walk
from tests.system.postgresql import frozen_postgresql

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("cluster")]
BATCHES = 5


@pytest.fixture
def postgres(cluster_url: str) -> str:
    return parse_qs(urlsplit(cluster_url).query)["postgres"][0]


def test_a_frozen_postgresql_is_named_soon(cluster_store, postgres, monkeypatch):
    monkeypatch.setattr(connections, "SILENCE_SECONDS", 1)
    cluster_store.append(batch(trade(1)))
    with frozen_postgresql(postgres):
        with pytest.raises(StoreUnavailable, match="PostgreSQL"):
            cluster_store.append(batch(trade(2)))
    assert cluster_store.append(batch(trade(2))).stored == 1
    assert stored(cluster_store) == [trade(1), trade(2)]


def test_a_commit_that_a_frozen_postgresql_does_not_confirm(cluster_store, postgres, monkeypatch):
    commit = LockedLog.commit
    with ExitStack() as stack:

        def freeze(log):
            stack.enter_context(frozen_postgresql(postgres))
            commit(log)

        monkeypatch.setattr(connections, "SILENCE_SECONDS", 1)
        monkeypatch.setattr(LockedLog, "commit", freeze)
        with pytest.raises(OutcomeUnknown):
            cluster_store.append(batch(trade(1)))
    monkeypatch.undo()
    assert cluster_store.append(batch(trade(1))).received == 1
    assert stored(cluster_store) == [trade(1)]


def test_threads_do_not_wait_long_for_one_another(cluster_store, monkeypatch):
    monkeypatch.setattr(writer, "LOCK_SECONDS", 0.1)
    mutex = cluster_store.writer._mutexes.setdefault((TRADES, SYMBOL), Lock())
    with mutex, pytest.raises(StoreBusy):
        cluster_store.append(batch(trade(1)))
    assert cluster_store.append(batch(trade(1))).stored == 1


def test_a_writer_stopped_past_its_lease_and_continued(cluster_store, cluster_url):
    cluster_store.append(batch(trade(0)))
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.store.clickhouse.stopped_writer", cluster_url, str(BATCHES)],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        own = [_append(cluster_store, 100 + number) for number in range(BATCHES)]
        os.kill(process.pid, signal.SIGCONT)
        own += [_append(cluster_store, 200 + number) for number in range(BATCHES)]
        others = [json.loads(line) for line in process.communicate()[0].splitlines()]
        assert process.returncode == 0
    finally:
        process.kill()
        process.wait()
    assert others[0] in {"outcome_unknown", "store_busy", "store_unavailable"}
    numbers = [number for number in [*own, *others] if isinstance(number, int)]
    assert sorted(numbers) == list(range(2, 3 * BATCHES + 2))
    seconds = [0, *range(1, BATCHES + 1), *range(100, 100 + BATCHES), *range(200, 200 + BATCHES)]
    assert stored(cluster_store) == [trade(each) for each in seconds]
    walked = [each[2] for each in flat(walk(cluster_store)) if isinstance(each, tuple)]
    assert sorted(walked, key=lambda row: row["timestamp"]) == stored(cluster_store)


def _append(store, second: int) -> int:
    """Return the commit's number."""
    while True:
        try:
            number: int = store.append(batch(trade(second))).commit.number
        except StoreUnavailable:
            continue
        return number
