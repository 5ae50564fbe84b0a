"""Jobs over real processes: each is done once, whatever is killed, and whatever Redis loses."""

import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import RedisError

from store.datasets import TRADES
from store.protocol import ALL_TIME
from tests.chance import SOAK, chosen_seed
from tests.marketdata_project.front_server import eventually
from tests.marketdata_project.serve_process import MANAGE
from tests.system.installation import Installation, installed

JOBS = 50 if SOAK else 12
FAULTS = 30 if SOAK else 6
SETTINGS = "tests.system.more_jobs_settings"
SECONDS = 60


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    with installed(tmp_path, DJANGO_SETTINGS_MODULE=SETTINGS) as running:
        yield running


def submit(installation: Installation, symbols: list[str], **parameters: Any) -> None:
    code = f"""
from django.utils import timezone
from jobs.services import job_submit
for symbol in {symbols!r}:
    job_submit(kind="appending", parameters={{"symbol": symbol, **{parameters!r}}}, owner="key:1", created_by="key:1",
               now=timezone.now())
"""
    installation.served.manage("shell", "-c", code, DJANGO_SETTINGS_MODULE=SETTINGS)


def states(installation: Installation) -> list[str]:
    path = installation.served.data_dir / "marketdata.sqlite3"
    with contextlib.closing(sqlite3.connect(path, timeout=SECONDS)) as database:
        return [state for (state,) in database.execute("SELECT state FROM jobs_job ORDER BY id")]


def all_succeed(installation: Installation, *, seconds: float = SECONDS) -> bool:
    return eventually(lambda: set(states(installation)) == {"succeeded"}, seconds=seconds)


def row_counts(installation: Installation, symbols: list[str]) -> set[int]:
    store = installation.store
    return {store.rows(TRADES, symbol, ALL_TIME).num_rows for symbol in symbols}


def test_nothing_that_dies_loses_or_doubles_a_job(installation: Installation) -> None:
    seed = chosen_seed()
    chance = random.Random(seed)
    symbols = [f"J{number}" for number in range(JOBS)]
    submit(installation, symbols, rows=10, pause=0.1)
    for _ in range(FAULTS):
        time.sleep(chance.uniform(0.2, 1.5))
        fault(installation, chance)
    assert all_succeed(installation, seconds=SECONDS + JOBS * 2), (seed, states(installation))
    assert row_counts(installation, symbols) == {10}, seed
    a_stop_gives_running_jobs_back(installation)


def a_stop_gives_running_jobs_back(installation: Installation) -> None:
    submit(installation, ["STOP"], rows=1000, pause=0.1)
    assert eventually(lambda: states(installation)[-1] == "running")
    began = time.monotonic()
    installation.served.process.send_signal(signal.SIGTERM)
    assert installation.served.ended()
    assert time.monotonic() - began < 10
    assert states(installation)[-1] == "queued"


def fault(installation: Installation, chance: random.Random) -> None:
    """Kill a process that jobs need, or empty Redis."""
    victim = chance.choice(["job_worker", "django worker", "redis-server", "flush"])
    with contextlib.suppress(ProcessLookupError, StopIteration, RedisError, OSError):
        if victim == "flush":
            installation.redis.flushall()
        else:
            os.kill(installation.served.member(victim), signal.SIGKILL)


@pytest.mark.skipif(not SOAK, reason="a lease is waited out: make soak")
def test_a_worker_that_sleeps_past_its_lease_stores_nothing_twice(installation: Installation) -> None:
    submit(installation, ["SLEEP"], rows=30, pause=0.2)
    assert eventually(lambda: "running" in states(installation))
    sleeper = installation.served.member("job_worker")
    os.kill(sleeper, signal.SIGSTOP)
    with other_worker(installation):
        assert all_succeed(installation)
        os.kill(sleeper, signal.SIGCONT)
        time.sleep(2)
    assert row_counts(installation, ["SLEEP"]) == {30}


@contextlib.contextmanager
def other_worker(installation: Installation) -> Iterator[None]:
    """Run one more worker, as on another host."""
    served = installation.served
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": SETTINGS,
        "DATA_DIR": str(served.data_dir),
        "REDIS_URL": "",
    }
    worker = subprocess.Popen([sys.executable, str(MANAGE), "job_worker", "--threads", "2"], env=environment)
    try:
        yield
    finally:
        worker.terminate()
        worker.wait()
