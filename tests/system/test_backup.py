"""`manage.py backup` while accounts trade and clients write, and `manage.py restore` elsewhere: what is restored starts and verifies."""

import contextlib
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

from tests.front.front_server import eventually
from tests.marketdata_project.serve_process import MANAGE, SETTINGS, serving
from tests.patience import PATIENCE_SECONDS, PROGRAM_SECONDS
from tests.system.batches import Batch
from tests.system.clients import OHLC, Client, connected
from tests.system.installation import ENVIRONMENT, Installation, installed
from tests.system.postgresql import postgresql
from tests.system.traders import Market, Trader, accounts_open

ACCOUNT = "A0"
EXECUTIONS = "SELECT id FROM trading_executionrow"
ORDERS = "SELECT uuid FROM trading_orderrow"
CALLS = (
    "SELECT correlation_id FROM audit_auditrecord WHERE correlation_id LIKE 'call-%' AND caller <> 'engine'"
)


def manage(data_dir: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """What a command says over another folder, and how it ends."""
    own = {"DJANGO_SETTINGS_MODULE": SETTINGS, "DATA_DIR": str(data_dir), "REDIS_URL": ""}
    command = [sys.executable, str(MANAGE), *arguments]
    environment = {**os.environ, **own, **environment}
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=PROGRAM_SECONDS, check=False
    )


def succeeded(data_dir: Path, *arguments: str, **environment: str) -> str:
    ended = manage(data_dir, *arguments, **environment)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@contextlib.contextmanager
def doing(*works: Callable[[int], Any]) -> Iterator[None]:
    """Call functions with 0, 1, 2, … all the time, each in a thread of its own."""
    ending = threading.Event()

    def repeat(work: Callable[[int], Any]) -> None:
        for number in count():
            work(number)
            if ending.wait(0.02):
                return

    with ThreadPoolExecutor(len(works)) as pool:
        done = [pool.submit(repeat, work) for work in works]
        try:
            yield
        finally:
            ending.set()
            for each in done:
                each.result()


@contextlib.contextmanager
def loaded(installation: Installation, market: Market, client: Client, called: list[str]) -> Iterator[None]:
    """Traders, prints of their market, batches and recorded calls, until the end of the context."""

    def call(number: int) -> None:
        assert client.ingest(Batch(number, "AAPL", 50, has_ids=True).body).status == 200
        name = f"call-{number}"
        assert client.get(f"{OHLC}?symbol=AAPL&interval=1d", {"X-Correlation-ID": name}).status == 200
        called.append(name)

    def trade(number: int) -> None:
        order = {**market.order("buy", 1), "client_order_id": f"order-{number}"}
        trader.submit(order)

    trader = Trader(installation, ACCOUNT)
    with contextlib.closing(trader), doing(call, lambda number: market.print((100 + number % 5, 10)), trade):
        yield


def check(data_dir: Path) -> None:
    """All three logs of an installation are as they were written."""
    assert "bytes checked" in succeeded(data_dir, "store", "verify")
    assert "are as they were written" in succeeded(data_dir, "audit", "verify")
    assert "give the stored state" in succeeded(data_dir, "account", "verify", ACCOUNT)


def rows(data_dir: Path, query: str) -> list[Any]:
    with contextlib.closing(
        sqlite3.connect(data_dir / "marketdata.sqlite3", timeout=PATIENCE_SECONDS)
    ) as read:
        return [value for (value,) in read.execute(query)]


def test_a_backup_of_a_server_under_load_is_restored_elsewhere(tmp_path: Path):
    backup, elsewhere, called = tmp_path / "backup", tmp_path / "elsewhere", list[str]()
    with installed(tmp_path) as first, connected(first.port, first.key) as client:
        origin, market = first.served.data_dir, Market(first, "COIN")
        succeeded(origin, "strategy", "new", "trend")
        market.print((100, 10))
        accounts_open(first, market, [ACCOUNT])
        with loaded(first, market, client, called):
            assert eventually(lambda: rows(origin, EXECUTIONS))
            assert eventually(lambda: called)
            before, orders = list(called), rows(origin, ORDERS)
            succeeded(origin, "backup", str(backup))
        first.served.kill()
    succeeded(elsewhere, "restore", str(backup))
    again = manage(elsewhere, "restore", str(backup))
    assert (again.returncode, again.stderr) == (
        1,
        f"CommandError: {elsewhere} is not empty: restore into an empty folder.\n",
    )
    check(elsewhere)
    assert set(orders) <= set(rows(elsewhere, ORDERS))
    for name in ("secret_key", "strategies/trend.py"):
        assert (elsewhere / name).read_bytes() == (origin / name).read_bytes()
    with (
        serving(tmp_path, data_dir=elsewhere, **ENVIRONMENT) as second,
        connected(second.port, first.key) as client,
    ):
        assert client.ingest(Batch(1_000_000, "AAPL", 50, has_ids=True).body).status == 200
        # What was on its way to the database goes on there, and is recorded once.
        assert eventually(lambda: set(before) <= set(rows(elsewhere, CALLS)))
        found = rows(elsewhere, CALLS)
        assert len(found) == len(set(found))
        check(elsewhere)


def test_over_servers_it_prints_the_commands_to_use_instead(tmp_path: Path):
    """And they work: the database is a real PostgreSQL."""
    origin, elsewhere, backup = tmp_path / "origin", tmp_path / "elsewhere", tmp_path / "backup"
    with postgresql() as url:
        settings = {"DATABASE_URL": url}
        succeeded(origin, "migrate", "--verbosity=0", **settings)
        succeeded(origin, "account", "create", ACCOUNT, "--deposit", "1000", **settings)
        succeeded(origin, "sample", "--days", "1", "--history", "1", **settings)
        run(manage(origin, "backup", str(backup), **settings), **settings)
        subprocess.run(["psql", "-qc", "CREATE DATABASE restored", url], check=True)
        settings = {"DATABASE_URL": url.replace("/postgres?", "/restored?")}
        run(manage(elsewhere, "restore", str(backup), **settings), **settings)
        for verb in (("store", "verify"), ("audit", "verify"), ("account", "verify", ACCOUNT)):
            assert succeeded(elsewhere, *verb, **settings) == succeeded(origin, *verb, DATABASE_URL=url)


def run(refused: subprocess.CompletedProcess[str], **environment: str) -> None:
    """Run the lines that a command prints in a shell."""
    assert refused.returncode == 1
    lines = [line[2:] for line in refused.stderr.splitlines() if line.startswith("  ")]
    assert lines
    script = "\n".join(["set -e", *lines])
    subprocess.run(["bash", "-c", script], env={**os.environ, **environment}, cwd=MANAGE.parent, check=True)
