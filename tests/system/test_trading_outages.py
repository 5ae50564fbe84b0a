"""What calls of trading answer while something is away, as a table: nothing is executed unrecorded, and stop always works."""

import contextlib
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.chance import SOAK
from tests.front.front_server import eventually
from tests.hostile.figures import Told
from tests.marketdata_project.serve_process import MANAGE
from tests.system.installation import Installation
from tests.system.kills import restarted
from tests.system.redis_faults import frozen_redis, is_degraded, kill_redis
from tests.system.traders import (
    Market,
    Trader,
    accounts_open,
    audited_status,
    database,
    is_engine_alive,
    verify,
)

pytestmark = [pytest.mark.seconds, pytest.mark.xdist_group("trading")]

Answers = dict[str, str]
ALL_WELL = {
    "status": "200",
    "portfolio": "200",
    "preview": "200",
    "execute": "201",
    "order": "201",
    "cancel": "202",
    "close": "201",
    "stop": "200",
}
NO_ENGINE = {**ALL_WELL, **dict.fromkeys(("preview", "execute", "order"), "503 engine_unavailable")}
NO_AUDIT = {**ALL_WELL, **dict.fromkeys(("preview", "execute", "order"), "503 audit_unavailable")}
NO_WRITES = {**NO_AUDIT, **dict.fromkeys(("cancel", "close", "stop"), "503 database_unavailable")}


@contextlib.contextmanager
def nothing(_installation: Installation) -> Iterator[None]:
    yield


@contextlib.contextmanager
def redis_frozen(installation: Installation) -> Iterator[None]:
    with frozen_redis(installation):
        assert eventually(lambda: is_degraded(installation))
        yield


@contextlib.contextmanager
def redis_killed(installation: Installation) -> Iterator[None]:
    kill_redis(installation)
    yield


@contextlib.contextmanager
def engine_frozen(installation: Installation) -> Iterator[None]:
    """The engine stands still until after its lease. Then it goes on, and has the lease again."""
    engine = installation.served.member("marketdata engine")
    os.kill(engine, signal.SIGSTOP)
    try:
        assert eventually(lambda: not is_engine_alive(installation))
        yield
    finally:
        os.kill(engine, signal.SIGCONT)
        assert eventually(lambda: is_engine_alive(installation))


@contextlib.contextmanager
def refused_rows(installation: Installation, table: str) -> Iterator[None]:
    """No row can be written into a table."""
    path = installation.served.data_dir / "marketdata.sqlite3"
    with contextlib.closing(sqlite3.connect(path, timeout=60, isolation_level=None)) as connection:
        words = "BEFORE INSERT ON {} BEGIN SELECT RAISE(ABORT, 'disk I/O error'); END"
        connection.execute(f"CREATE TRIGGER refused {words.format(table)}")
        try:
            yield
        finally:
            connection.execute("DROP TRIGGER refused")


@contextlib.contextmanager
def audit_unwritable(installation: Installation) -> Iterator[None]:
    with refused_rows(installation, "audit_auditrecord"):
        yield


@contextlib.contextmanager
def database_locked(installation: Installation) -> Iterator[None]:
    """Somebody else writes, and does not end."""
    path = installation.served.data_dir / "marketdata.sqlite3"
    with contextlib.closing(sqlite3.connect(path, timeout=60, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            connection.execute("ROLLBACK")


@contextlib.contextmanager
def no_engine(installation: Installation) -> Iterator[None]:
    """Everything is killed and started again, without an engine."""
    installation.kill_everything(list(installation.served.members()))
    restarted(installation, TRADING_ENGINE="0")
    assert installation.is_ready()
    assert eventually(lambda: not is_engine_alive(installation))
    try:
        yield
    finally:
        installation.kill_everything(list(installation.served.members()))
        restarted(installation)
        assert installation.is_ready()


Fault = Callable[[Installation], contextlib.AbstractContextManager[None]]
FAULTS: dict[str, tuple[Fault, Answers]] = {
    "Redis killed": (redis_killed, ALL_WELL),
    "engine frozen": (engine_frozen, NO_ENGINE),
    "audit not writable": (audit_unwritable, NO_AUDIT),
    "database locked": (database_locked, NO_WRITES),
}
if SOAK:
    FAULTS |= {
        "nothing": (nothing, ALL_WELL),
        "Redis frozen": (redis_frozen, ALL_WELL),
        "killed, started with TRADING_ENGINE=0": (no_engine, NO_ENGINE),
    }


@pytest.fixture
def running(traded: Installation) -> Installation:
    assert traded.is_complete()
    return traded


@pytest.fixture(scope="module")
def market(traded: Installation) -> Market:
    market = Market(traded, "OUTAGES")
    market.print((100, 10))
    names = [_account(fault) for fault in FAULTS] + ["FILE"]
    accounts_open(traded, market, names)
    return market


def _account(fault: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", fault)


@dataclass
class Prepared:
    """An account with a position, two resting orders and a preview. Calls may be made again and again."""

    trader: Trader
    market: Market
    order_id: str = ""
    preview_id: str = ""
    recorded: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, installation: Installation, market: Market, account: str) -> "Prepared":
        trader = Trader(installation, account)
        trader.submit(market.order("buy", 5, client_order_id=f"{account}-position"))
        time.sleep(0.1)
        market.print((100, 100))
        assert eventually(lambda: trader.call("GET", f"/portfolio?account={account}").json()["positions"])
        for number in range(2):
            name = f"{account}-rest-{number}"
            trader.submit(market.order("buy", 1, type="limit", limit_price=60, client_order_id=name))
        assert eventually(lambda: not accepted_orders(installation, account))
        prepared = cls(trader, market, trader.acknowledged[f"{account}-rest-0"])
        prepared.preview_id = trader.preview(prepared.limit(f"{account}-previewed"))
        return prepared

    def limit(self, name: str) -> dict[str, Any]:
        return self.market.order("buy", 1, type="limit", limit_price=60, client_order_id=name)

    def calls(self) -> dict[str, tuple[str, str, object]]:
        account = self.trader.account
        return {
            "status": ("GET", f"/status?account={account}", None),
            "portfolio": ("GET", f"/portfolio?account={account}", None),
            "execute": ("POST", "/trade/execute", {"preview_id": self.preview_id}),
            "preview": ("POST", f"/trade/preview?account={account}", self.limit(f"{account}-another")),
            "order": ("POST", f"/orders?account={account}", self.limit(f"{account}-direct")),
            "cancel": ("DELETE", f"/orders/{self.order_id}?account={account}", None),
            "close": ("POST", f"/accounts/{account}/positions/{self.market.symbol}/close", None),
            "stop": ("POST", f"/trading/stop?account={account}", None),
        }

    def answers(self, *, at_once: bool) -> Answers:
        """Make each call, and return what it answered: one after another, or at once. What opened something is recorded then."""
        calls = self.calls()
        with ThreadPoolExecutor(len(calls) if at_once else 1) as pool:
            return dict(zip(calls, pool.map(self._answer, calls.items()), strict=True))

    def _answer(self, call: tuple[str, tuple[str, str, object]]) -> str:
        name, (method, path, document) = call
        installation, correlation = self.trader.installation, f"outage-{uuid4()}"
        trader = Trader(installation, self.trader.account, self.trader.key)
        with contextlib.closing(trader):
            reply = trader.call(method, path, document, **{"X-Correlation-ID": correlation})
        if reply.status == HTTPStatus.CREATED and name != "close":
            assert audited_status(installation, correlation) == [reply.status]
        self.recorded[correlation] = reply.status
        return str(reply.status) + (f" {reply.json()['code']}" if reply.status >= 400 else "")

    def are_recorded(self) -> bool:
        """Whether all calls are in the audit, in the end."""
        return eventually(
            lambda: all(
                audited_status(self.trader.installation, correlation) == [status]
                for correlation, status in self.recorded.items()
            )
        )

    def is_flat(self) -> bool:
        """Whether the stop comes to its end, while the symbol is printed."""

        def stopped() -> bool:
            self.market.print((100, 100))
            time.sleep(0.2)
            return status_in_database(self.trader.installation, self.trader.account) == "stopped"

        return eventually(stopped)


def accepted_orders(installation: Installation, account: str) -> int:
    """How many orders of an account the engine has not seen yet. When it sees one, that is an event, and ends previews."""
    with database(installation) as read:
        query = (
            "SELECT count(*) FROM trading_orderrow o JOIN trading_account a ON a.id = account_id"
            " WHERE a.name = ? AND o.state = 'accepted'"
        )
        return int(read.execute(query, [account]).fetchone()[0])


def status_in_database(installation: Installation, account: str) -> str:
    with database(installation) as read:
        query = (
            "SELECT e.name FROM trading_eventrow e JOIN trading_account a ON a.id = account_id"
            " WHERE a.name = ? AND e.name IN ('trading_started', 'stop_requested', 'stopped') ORDER BY e.number DESC"
        )
        return str(read.execute(query, [account]).fetchone()[0])


@pytest.mark.parametrize("fault", FAULTS)
def test_what_each_call_answers(running: Installation, market: Market, told: Told, fault: str) -> None:
    away, expected = FAULTS[fault]
    assert eventually(lambda: is_engine_alive(running))
    prepared = Prepared.of(running, market, _account(fault))
    try:
        with away(running):
            found = prepared.answers(at_once=away is database_locked)
        told(f"trading 3 {fault}", ", ".join(f"{name} {answer}" for name, answer in found.items()))
        assert found == expected
        assert prepared.are_recorded()
        if found["stop"] != "200":
            assert prepared.trader.call("POST", "/trading/stop").status == HTTPStatus.OK
        assert prepared.is_flat()
    finally:
        prepared.trader.close()


@pytest.mark.soak
def test_the_file_stops_without_web_and_redis(running: Installation, market: Market, told: Told) -> None:
    """The engine alone obeys it, and after it nothing opens."""
    prepared = Prepared.of(running, market, "FILE")
    prepared.trader.close()
    running.kill_everything(list(running.served.members()))
    stop = running.served.data_dir / "STOP"
    stop.touch()
    began = time.monotonic()
    with engine_alone(running):
        assert prepared.is_flat()
    told("trading 3 the file STOP, with an engine alone", f"flat after {time.monotonic() - began:.1f} s")
    restarted(running)
    assert running.is_ready()
    verify(running)
    assert eventually(lambda: is_engine_alive(running))
    trader = Trader(running, "FILE", prepared.trader.key)
    with contextlib.closing(trader):
        reply = trader.call("POST", "/trading/start")
        assert (reply.status, reply.json()["code"]) == (409, "trading_halted")
        stop.unlink()
        assert trader.call("POST", "/trading/start").status == HTTPStatus.OK


@contextlib.contextmanager
def engine_alone(installation: Installation) -> Iterator[None]:
    """An engine without anything else of the installation."""
    data_dir: Path = installation.served.data_dir
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "marketdata_project.settings.development",
        "DATA_DIR": str(data_dir),
        "REDIS_URL": "",
    }
    engine = subprocess.Popen([sys.executable, str(MANAGE), "trading_engine"], env=environment)
    try:
        yield
    finally:
        engine.terminate()
        engine.wait()
