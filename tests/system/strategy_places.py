"""Accounts with strategies in a folder of data, and what came of them: in an engine, and in a backtest."""

import contextlib
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest

from store.timestamps import format_timestamp, parse_timestamp
from tests.marketdata_project.serve_process import MANAGE, SETTINGS
from tests.patience import PATIENCE_SECONDS, PROGRAM_SECONDS

_ASSIGN = """
from decimal import Decimal
from trading.core.configuration import RiskConfig
from trading.core.events import StrategyChoice
from trading.core.terms import AccountKind
from trading.models import Account
from trading.services.accounts import account_create, account_transfer
from trading.services.assigning import strategy_assign
from trading.services.control import trading_start
for name, parameters in {strategies!r}.items():
    account_create(name=name, kind=AccountKind.MARGIN, currency="USD", by="test", config=RiskConfig(**{limits!r}))
    account_transfer(name=name, transfer="first", amount=Decimal(100_000))
    account = Account.objects.get(name=name)
    trading_start(account=account, by="test")
    choice = StrategyChoice(name=name, parameters={{key: str(value) for key, value in parameters.items()}},
                            symbols={symbols!r})
    strategy_assign(account=account, strategy=choice, by="test")
"""
Row = tuple[Any, ...]


class Outcome(NamedTuple):
    """What came of a strategy.

    signals: instant, symbol, side, protective stop, whether it was accepted, and quantity. executions: instant at which
    its print was known, print, symbol, side, price, and quantity.
    """

    signals: list[Row]
    executions: list[Row]

    def between(self, begin_ns: int, end_ns: int) -> "Outcome":
        """What was in [begin, end)."""
        return Outcome(*([each for each in rows if begin_ns <= each[0] < end_ns] for rows in self))


class Place(NamedTuple):
    """A folder of data in which commands run."""

    data_dir: Path

    @property
    def environment(self) -> dict[str, str]:
        own = {"DJANGO_SETTINGS_MODULE": SETTINGS, "DATA_DIR": str(self.data_dir), "REDIS_URL": ""}
        return {**os.environ, **own}

    def manage(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, str(MANAGE), *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=PROGRAM_SECONDS,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def assign(self, strategies: dict[str, Any], symbols: tuple[str, ...]) -> None:
        """Open an account for each strategy, by its name, and assign it."""
        limits = {"orders_per_minute": 1_000}
        self.manage("shell", "-c", _ASSIGN.format(strategies=strategies, symbols=symbols, limits=limits))

    @contextlib.contextmanager
    def engine(self, *options: str) -> Iterator[subprocess.Popen[bytes]]:
        """An engine alone, which is killed at the end."""
        process = subprocess.Popen(
            [sys.executable, str(MANAGE), "trading_engine", *options], env=self.environment
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def rows(self, query: str, *arguments: object) -> list[tuple[Any, ...]]:
        path = self.data_dir / "marketdata.sqlite3"
        with contextlib.closing(
            sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=PATIENCE_SECONDS)
        ) as read:
            return read.execute(query, arguments).fetchall()

    def is_led(self) -> bool:
        found = self.rows("SELECT leased_until_ns FROM trading_enginelease")
        return bool(found) and found[0][0] > time.time_ns()

    def executed(self) -> int:
        return int(self.rows("SELECT count(*) FROM trading_executionrow")[0][0])

    def signals(self, name: str) -> int:
        """How many signals a strategy's account has."""
        return len(self.engine_outcome(name).signals)

    def engine_outcome(self, name: str) -> Outcome:
        """What the engine recorded for a strategy's account."""
        query = "SELECT body FROM trading_eventrow WHERE account_id = (SELECT id FROM trading_account WHERE name = ?) ORDER BY number"
        return outcome_of(orjson.loads(body) for (body,) in self.rows(query, name))

    def backtest(
        self, name: str, parameters: dict[str, Any], symbols: tuple[str, ...], start_ns: int, end_ns: int
    ) -> Outcome:
        """What `manage.py backtest --events` writes of the same."""
        period = ("--from", format_timestamp(start_ns), "--to", format_timestamp(end_ns))
        values = [f"{key}={value}" for key, value in parameters.items()]
        limits, kept = ("--limit", "orders_per_minute=1000"), self.data_dir / f"{name}.jsonl"
        self.manage("backtest", name, *symbols, *period, *limits, "--events", str(kept), "--set", *values)
        return outcome_of(orjson.loads(line)["event"] for line in kept.read_bytes().splitlines())


def outcome_of(events: Iterable[dict[str, Any]]) -> Outcome:
    """What the events of an account say."""
    outcome, orders = Outcome([], []), dict[str, dict[str, Any]]()
    for event in events:
        if event["event"] in ("order_accepted", "order_rejected"):
            order = orders[event["order_id"]] = event["order"]
            if not order.get("reduce_only"):
                outcome.signals.append(_signal(event))
        elif event["event"] == "executed":
            order, found = orders[event["order_id"]], event["print"]
            ref = tuple(found["ref"].values())
            amounts = (float(event[key]) for key in ("price", "quantity"))
            outcome.executions.append((found["known_ns"], ref, order["symbol"], order["side"], *amounts))
    return outcome


def _signal(event: dict[str, Any]) -> Row:
    order = event["order"]
    stop = order.get("stop_loss")
    return (
        event["submitted_ns"],
        order["symbol"],
        order["side"],
        stop and float(stop),
        event["event"] == "order_accepted",
        float(order["quantity"]),
    )


def check_alike(engine: Outcome, past: Outcome, *, apart_ns: int, part: float) -> None:
    """Both have the same signals, and executions by the same prints.

    These were known at most so long after each other, and quantities differ by at most that part.
    """
    assert [each[:-1] for each in engine.signals] == [each[:-1] for each in past.signals]
    assert [each[1:-1] for each in engine.executions] == [each[1:-1] for each in past.executions]
    assert [each[0] for each in engine.executions] == pytest.approx(
        [each[0] for each in past.executions], abs=apart_ns, rel=0
    )
    for own, other in zip(engine, past, strict=True):
        assert [each[-1] for each in own] == pytest.approx([each[-1] for each in other], abs=0, rel=part)


def started_ns(place: Place) -> int:
    """Return when the engine began."""
    return int(place.rows("SELECT started_ns FROM trading_enginelease")[0][0])


def engine_ns(place: Place) -> int:
    """Return the engine's time."""
    (document,) = place.rows("SELECT document FROM trading_enginelease")[0]
    return parse_timestamp(orjson.loads(document)["now"])
