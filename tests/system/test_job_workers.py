"""Three job workers over one database, on one host with SQLite, on two with PostgreSQL: each job is done once."""

import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest

from store.csv.store import CsvStore
from store.datasets import TRADES
from store.protocol import ALL_TIME
from tests.chance import SOAK, chosen_seed
from tests.front.front_server import eventually
from tests.marketdata_project.serve_process import MANAGE
from tests.patience import PATIENCE_SECONDS, PROGRAM_SECONDS
from tests.system.installation import MORE_JOBS
from tests.system.more_jobs import LEASE
from tests.system.postgresql import postgresql

pytestmark = pytest.mark.xdist_group("postgresql")

JOBS, ROWS = (1_000 if SOAK else 60), 3
FAULTS = 30 if SOAK else 4
OWNERS = 4


@dataclass
class Workers:
    """The workers by their places, each of a host, and the database that they share."""

    environments: list[dict[str, str]]
    store: Path
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, place: int) -> None:
        command = [sys.executable, str(MANAGE), "job_worker", "--threads", "3", "--skip-checks"]
        process = subprocess.Popen(command, env=self.environments[place])
        self.processes[place : place + 1] = [process]

    def manage(self, *arguments: str) -> None:
        """Run a command on the first host."""
        command = [sys.executable, str(MANAGE), *arguments]
        subprocess.run(command, env=self.environments[0], check=True, timeout=PROGRAM_SECONDS)

    def selected(self, query: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        url = self.environments[0]["DATABASE_URL"]
        path = Path(self.environments[0]["DATA_DIR"]) / "marketdata.sqlite3"
        database: Any = psycopg.connect(url) if url else sqlite3.connect(path, timeout=PATIENCE_SECONDS)
        with contextlib.closing(database):
            return list(database.execute(query))

    def end(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()


@pytest.fixture(params=[pytest.param("sqlite", marks=pytest.mark.soak), "postgresql"])
def workers(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Workers]:
    with ExitStack() as stack:
        url = stack.enter_context(postgresql()) if request.param == "postgresql" else ""
        hosts = ("one", "one", "two" if url else "one")
        environments = [
            {
                **os.environ,
                **MORE_JOBS,
                "DATA_DIR": str(tmp_path / host),
                "TEST_STORE_DIR": str(tmp_path / "market"),
                "DATABASE_URL": url,
                # There is none.
                "REDIS_URL": "redis://127.0.0.1:1/0",
            }
            for host in hosts
        ]
        for host in {*hosts, "market"}:
            (tmp_path / host).mkdir()
        found = Workers(environments, tmp_path / "market")
        stack.callback(found.end)
        found.manage("migrate", "--skip-checks", "--verbosity", "0")
        for place in range(len(hosts)):
            found.start(place)
        yield found


def submit(workers: Workers, symbols: list[str]) -> None:
    code = f"""
from django.utils import timezone
from jobs.services import job_submit
for number, symbol in enumerate({symbols!r}):
    owner = f"key:{{number % {OWNERS}}}"
    parameters = {{"symbol": symbol, "rows": {ROWS}, "pause": 0.05}}
    job_submit(kind="appending", parameters=parameters, owner=owner, created_by=owner, now=timezone.now())
"""
    workers.manage("shell", "--no-imports", "-c", code)


def fault(workers: Workers, place: int, kind: str) -> None:
    """Kill a worker, end it, or let it sleep past its leases. Then it runs again."""
    process = workers.processes[place]
    if kind == "sleep":
        process.send_signal(signal.SIGSTOP)
        time.sleep(LEASE.total_seconds() + 1)
        process.send_signal(signal.SIGCONT)
        return
    process.send_signal(signal.SIGKILL if kind == "kill" else signal.SIGTERM)
    process.wait(PATIENCE_SECONDS)
    workers.start(place)


def test_each_job_is_done_once_and_soon(workers: Workers) -> None:
    chance = random.Random(chosen_seed())
    symbols = [f"J{number}" for number in range(JOBS)]
    submit(workers, symbols)
    kinds = ["kill", "stop", "sleep", "kill"]
    for number in range(FAULTS):
        time.sleep(chance.uniform(0.2, 2))
        fault(workers, number % len(workers.processes), kinds[number % len(kinds)])
    query = "SELECT id, state, attempts, error FROM jobs_job WHERE state != 'succeeded'"
    assert eventually(lambda: workers.selected(query) == [], seconds=PROGRAM_SECONDS), workers.selected(query)
    store = CsvStore(workers.store)
    assert {store.log(TRADES, symbol).at().rows(ALL_TIME).num_rows for symbol in symbols} == {ROWS}
