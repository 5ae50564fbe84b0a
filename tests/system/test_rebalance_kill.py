"""A model of twenty symbols is rebalanced, and the job's worker and the engine killed in the middle: each order once."""

import contextlib
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.front.front_server import eventually
from tests.hostile.figures import Told
from tests.patience import PROGRAM_SECONDS
from tests.system.installation import Installation, installed
from tests.system.traders import Market, Trader, accounts_open, database, orders_of, verify

pytestmark = pytest.mark.seconds

SYMBOLS = [f"COIN{number}" for number in range(20)]
ACCOUNT = "MODEL"
# A killed worker's lease ends after 20 s. Programs are started again meanwhile.
SECONDS = PROGRAM_SECONDS
PRICE, VOLUME = 100, 100_000
OPTIONS = {"timeout_seconds": 3_600}


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    with installed(tmp_path, data_dir=None) as running:
        yield running


class Progress(NamedTuple):
    """The orders of one rebalance in the database. waiting: symbols of those that the market can fill."""

    placed: int
    filled: int
    waiting: Sequence[str]


class Rebalance:
    """A rebalance that is begun. Nothing fills while the test prints nothing."""

    def __init__(self, installation: Installation, trader: Trader) -> None:
        self.installation, self.trader = installation, trader
        self._placed_before = len(orders_of(installation, ACCOUNT))
        submitted = trader.call("POST", f"/accounts/{ACCOUNT}/rebalance", OPTIONS)
        assert submitted.status == 202, submitted.body
        self._path = submitted.json()["links"]["self"].removeprefix("/api/v1")

    def job(self) -> dict[str, Any]:
        return dict(self.trader.call("GET", self._path).json())

    def progress(self) -> Progress:
        with database(self.installation) as read:
            rows = read.execute(
                "SELECT symbol, state FROM trading_orderrow ORDER BY id LIMIT -1 OFFSET ?",
                [self._placed_before],
            ).fetchall()
        waiting = [symbol for symbol, state in rows if state in {"accepted", "working", "partially_filled"}]
        return Progress(len(rows), sum(state == "filled" for _, state in rows), waiting)

    def fill_next(self, markets: dict[str, Market]) -> None:
        """Wait for an order, and print its symbol until it is filled. No other order fills."""
        symbol = self._next_waiting()

        def is_filled() -> bool:
            markets[symbol].print((PRICE, VOLUME))
            return eventually(lambda: symbol not in self.progress().waiting, seconds=1)

        assert eventually(is_filled, seconds=SECONDS), (symbol, self.job())

    def _next_waiting(self) -> str:
        assert eventually(lambda: self.progress().waiting, seconds=SECONDS), self.job()
        return self.progress().waiting[0]

    def kill(self, markets: dict[str, Market], *victims: str) -> Progress:
        """Kill processes just as a further order may be filled, and return how far the rebalance was."""
        symbol, job = self._next_waiting(), self.job()
        markets[symbol].print((PRICE, VOLUME))
        for victim in victims:
            os.kill(self.installation.served.member(victim), signal.SIGKILL)
        found = self.progress()
        assert 0 < found.filled < job["progress"]["total"], (found, job)
        assert (job["state"], job["attempts"]) == ("running", 1), job
        return found

    def result(self) -> dict[str, Any]:
        """Wait for the end. The killed worker's successor has gone on."""
        assert eventually(lambda: self.job()["state"] == "succeeded", seconds=SECONDS), self.job()
        job = self.job()
        assert (job["result"]["ended"], job["attempts"]) == ("complete", 2), job
        return dict(job["result"])


@contextlib.contextmanager
def printing(markets: dict[str, Market]) -> Iterator[None]:
    """Have all symbols printed in turn."""
    ending = threading.Event()

    def work() -> None:
        while True:
            for market in markets.values():
                if ending.wait(0.1):
                    return
                market.print((PRICE, VOLUME))

    with ThreadPoolExecutor(1) as pool:
        printed = pool.submit(work)
        try:
            yield
        finally:
            ending.set()
            printed.result()


def set_model(trader: Trader, weights: dict[str, float]) -> None:
    body = {"weights": [{"symbol": symbol, "weight": weight} for symbol, weight in weights.items()]}
    reply = trader.call("PUT", f"/models/core?account={ACCOUNT}", body, **{"If-Match": "*"})
    assert reply.status == 200, reply.body


@pytest.mark.soak
def test_a_model_is_rebalanced_once(installation: Installation, seed: int, told: Told) -> None:
    chance, began = random.Random(seed), time.monotonic()
    markets = {symbol: Market(installation, symbol) for symbol in SYMBOLS}
    for market in markets.values():
        market.print((PRICE, 10))
    accounts_open(installation, markets[SYMBOLS[0]], [ACCOUNT])
    trader = Trader(installation, ACCOUNT)
    set_model(trader, dict.fromkeys(SYMBOLS, 0.03))
    assigned = trader.call("PATCH", f"/accounts/{ACCOUNT}", {"model": "core"})
    assert assigned.status == 200, assigned.body

    bought = Rebalance(installation, trader)
    for _ in range(chance.randint(1, len(SYMBOLS) - 2)):
        bought.fill_next(markets)
    found = [bought.kill(markets, "marketdata jobs")]
    with printing(markets):
        first = bought.result()
    check(first, dict.fromkeys(SYMBOLS, 0.03))

    parts = {symbol: chance.randint(1, 9) for symbol in SYMBOLS[5:]}
    weights = {symbol: round(0.6 * part / sum(parts.values()), 6) for symbol, part in parts.items()}
    set_model(trader, weights)
    changed = Rebalance(installation, trader)
    # Of the five symbols that are sold at least two stay, so that no purchase is placed yet.
    for _ in range(chance.randint(1, 2)):
        changed.fill_next(markets)
    found.append(changed.kill(markets, "marketdata jobs", "marketdata engine"))
    assert found[-1].placed < changed.job()["progress"]["total"], found
    with printing(markets):
        second = changed.result()
    check(second, weights | dict.fromkeys(SYMBOLS[:5], 0.0))

    trader.close()
    stored = Counter(orders_of(installation, ACCOUNT).values())
    listed = [row["order_id"] for each in (first, second) for row in each["symbols"] if row["order_id"]]
    assert set(stored.values()) == {1}
    assert len(stored) == len(listed) == len(set(listed))
    verify(installation)
    told(
        "trading 2 a model rebalanced over 20 symbols, its worker killed, then also the engine",
        f"{len(stored)} orders, killed when "
        + " and ".join(f"{each.filled} of {each.placed}" for each in found)
        + f" that were placed had filled, {time.monotonic() - began:.0f} s",
    )


def check(result: dict[str, Any], targets: dict[str, float]) -> None:
    """Each target is reached, as exactly as fees of 0.1 per cent let the equity stay."""
    rows = {row["symbol"]: row for row in result["symbols"]}
    assert rows.keys() == targets.keys()
    for symbol, target in targets.items():
        row = rows[symbol]
        assert (row["filled"], row["reason"]) == (row["quantity"], None), row
        held = row["held"] + row["filled"] * (1 if row["side"] == "buy" else -1)
        assert held == pytest.approx(target * result["investable"] / PRICE, rel=0.003, abs=1e-8), row
        assert row["after"] == pytest.approx(target, rel=0.003, abs=1e-6), row
