"""Jobs over real processes: each is done once, whatever is killed, and without Redis."""

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

import orjson
import pyarrow as pa
import pytest

from store.datasets import TRADES
from store.instruments import Instrument
from store.protocol import ALL_TIME, Append, Dedupe
from store.timestamps import parse_timestamp
from tests.chance import SOAK, chosen_seed
from tests.front.front_server import eventually
from tests.marketdata_project.serve_process import MANAGE, SMALL, serving
from tests.migrated_database import place_database
from tests.patience import PATIENCE_SECONDS, is_kept
from tests.system.installation import MORE_JOBS, Installation, installed
from tests.system.kills import restarted

JOBS = 50 if SOAK else 8
BACKFILLS = 200 if SOAK else 8
FAULTS = 40 if SOAK else 3
# A symbol has a trade on the first and the third date. The archive has those of the second, too.
DATES = ("2025-01-02", "2025-01-03", "2025-01-06")
ARCHIVED = 3
# A job starts so long after its submission.
STARTS_SECONDS = 0.5


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """The settings of an installation with further kinds of jobs, and with an archive for backfills."""
    archive = {"kind": "folder", "path": str(tmp_path / "archive"), "pattern": "{symbol}.{date}.csv"}
    return {
        "TRADING_ENGINE": "0",
        **MORE_JOBS,
        "SOURCES": orjson.dumps({"archive": archive}).decode(),
    }


@pytest.fixture
def installation(tmp_path: Path, environment: dict[str, str]) -> Iterator[Installation]:
    (tmp_path / "archive").mkdir()
    with installed(tmp_path, data_dir=None, **environment) as running:
        yield running


def submit(installation: Installation, kind: str, jobs: list[dict[str, Any]]) -> None:
    code = f"""
from django.utils import timezone
from jobs.services import job_submit
for parameters in {jobs!r}:
    job_submit(kind={kind!r}, parameters=parameters, owner="key:1", created_by="key:1", now=timezone.now())
"""
    installation.served.manage("shell", "-c", code, **MORE_JOBS)


def appending(symbols: list[str], **parameters: Any) -> list[dict[str, Any]]:
    return [{"symbol": symbol, **parameters} for symbol in symbols]


def archived(installation: Installation, folder: Path, symbols: list[str]) -> list[dict[str, Any]]:
    """Store the first and the last date of each symbol, write the second to the archive; return the backfills."""
    for symbol in symbols:
        installation.store.set_instrument(Instrument(symbol, exchange="XNYS"))
        instants = [parse_timestamp(f"{date}T15:00:00Z") for date in (DATES[0], DATES[2])]
        rows = [{"timestamp": each, "symbol": symbol, "price": 1.0, "volume": 1.0} for each in instants]
        batch = pa.RecordBatch.from_pylist(rows, schema=TRADES.schema)
        installation.store.append(Append(TRADES, symbol, batch, "tests", Dedupe.NONE))
        lines = [f"{DATES[1]}T15:0{minute}:00Z,1,1" for minute in range(ARCHIVED)]
        text = "\n".join(["timestamp,price,volume", *lines, ""])
        (folder / f"{symbol}.{DATES[1]}.csv").write_text(text)
    return [
        {"symbol": symbol, "start": f"{DATES[0]}T00:00:00Z", "end": f"{DATES[2]}T00:00:00Z"}
        for symbol in symbols
    ]


def selected(installation: Installation, query: str) -> list[tuple[Any, ...]]:
    path = installation.served.data_dir / "marketdata.sqlite3"
    with contextlib.closing(sqlite3.connect(path, timeout=PATIENCE_SECONDS)) as database:
        return list(database.execute(query))


def states(installation: Installation) -> list[str]:
    return [state for (state,) in selected(installation, "SELECT state FROM jobs_job ORDER BY id")]


def unfinished(installation: Installation) -> list[tuple[Any, ...]]:
    columns = "id, kind, state, attempts, done, not_before, claimed_at, leased_until, error"
    return selected(installation, f"SELECT {columns} FROM jobs_job WHERE state != 'succeeded'")


def all_succeed(installation: Installation, *, seconds: float = PATIENCE_SECONDS) -> bool:
    return eventually(lambda: set(states(installation)) == {"succeeded"}, seconds=seconds)


def row_counts(installation: Installation, symbols: list[str]) -> set[int]:
    store = installation.store
    return {store.log(TRADES, symbol).at().rows(ALL_TIME).num_rows for symbol in symbols}


def test_nothing_that_dies_loses_or_doubles_a_job(
    installation: Installation, tmp_path: Path, environment
) -> None:
    seed = chosen_seed()
    chance = random.Random(seed)
    symbols, filled = [f"J{number}" for number in range(JOBS)], [f"B{number}" for number in range(BACKFILLS)]
    backfills = archived(installation, tmp_path / "archive", filled)
    submit(installation, "appending", appending(symbols, rows=10, pause=0.1))
    submit(installation, "backfill", backfills)
    for number in range(FAULTS):
        time.sleep(chance.uniform(0.2, 1.5))
        fault(installation, chance)
        if number == FAULTS // 2:
            installation.kill_everything(list(installation.served.members()))
            restarted(installation, **environment)
            assert installation.is_ready()
    assert all_succeed(installation, seconds=PATIENCE_SECONDS + JOBS + BACKFILLS / 5), (
        seed,
        unfinished(installation),
    )
    assert row_counts(installation, symbols) == {10}, seed
    assert row_counts(installation, filled) == {2 + ARCHIVED}, seed
    a_stop_gives_running_jobs_back(installation)


def a_stop_gives_running_jobs_back(installation: Installation) -> None:
    submit(installation, "appending", appending(["STOP"], rows=1000, pause=0.1))
    assert eventually(lambda: states(installation)[-1] == "running")
    began = time.monotonic()
    installation.served.process.send_signal(signal.SIGTERM)
    assert installation.served.ended()
    assert is_kept(10, time.monotonic() - began)
    assert states(installation)[-1] == "queued"


def fault(installation: Installation, chance: random.Random) -> None:
    """Kill a process that jobs need."""
    victim = chance.choice(["marketdata jobs", "marketdata worker"])
    with contextlib.suppress(ProcessLookupError, StopIteration):
        os.kill(installation.served.member(victim), signal.SIGKILL)


@pytest.mark.soak
def test_serve_runs_a_job_at_once_without_redis(tmp_path: Path, environment: dict[str, str]) -> None:
    place_database(tmp_path / "data")
    nobody = {"REDIS_URL": "redis://127.0.0.1:1/0"}
    with serving(tmp_path, data_dir=None, **{**SMALL, **environment, **nobody}) as served:
        assert served.port
        installation = Installation(served, key="")
        for number in range(5):
            submit(installation, "appending", appending([f"N{number}"], rows=1, pause=0))
            assert all_succeed(installation)
        query = "SELECT (julianday(started_at) - julianday(created_at)) * 86400 FROM jobs_job"
        assert is_kept(STARTS_SECONDS, *(seconds for (seconds,) in selected(installation, query)))


@pytest.mark.soak
def test_a_worker_that_sleeps_past_its_lease_stores_nothing_twice(installation: Installation) -> None:
    submit(installation, "appending", appending(["SLEEP"], rows=30, pause=0.2))
    assert eventually(lambda: "running" in states(installation))
    sleeper = installation.served.member("marketdata jobs")
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
        **MORE_JOBS,
        "DATA_DIR": str(served.data_dir),
        "REDIS_URL": "",
    }
    worker = subprocess.Popen([sys.executable, str(MANAGE), "job_worker", "--threads", "2"], env=environment)
    try:
        yield
    finally:
        worker.terminate()
        worker.wait()
