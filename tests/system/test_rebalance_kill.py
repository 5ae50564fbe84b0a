"""A model of twenty symbols is rebalanced, and the job's worker killed in the middle: each order once."""

import contextlib
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.hostile.figures import Told
from tests.marketdata_project.front_server import eventually
from tests.system.installation import Installation, installed
from tests.system.traders import Market, Trader, accounts_open, orders_of, verify

pytestmark = pytest.mark.seconds

SYMBOLS = [f"COIN{number}" for number in range(20)]
ACCOUNT = "MODEL"
SECONDS = 90
PRICE = 100
LOT = 1e-8


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    with installed(tmp_path, data_dir=None) as running:
        yield running


@contextlib.contextmanager
def printing(markets: list[Market]) -> Iterator[None]:
    """Have all symbols printed in turn, slowly enough that a rebalance takes seconds."""
    ending = threading.Event()

    def work() -> None:
        while True:
            for market in markets:
                if ending.wait(0.1):
                    return
                market.print((PRICE, 100_000))

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


def rebalance(installation: Installation, trader: Trader, *, kill_after: float) -> dict[str, Any]:
    """Rebalance, and kill the job's worker after so many seconds. Return the result."""
    submitted = trader.call("POST", f"/accounts/{ACCOUNT}/rebalance", {"cash_buffer": 1})
    assert submitted.status == 202, submitted.body
    path = submitted.json()["links"]["self"].removeprefix("/api/v1")
    time.sleep(kill_after)
    os.kill(installation.served.member("job_worker"), signal.SIGKILL)
    assert eventually(lambda: trader.call("GET", path).json()["state"] == "succeeded", seconds=SECONDS), (
        trader.call("GET", path).body
    )
    job = trader.call("GET", path).json()
    assert (job["result"]["ended"], job["attempts"]) == ("complete", 2), job
    return dict(job["result"])


def test_a_model_is_rebalanced_once(installation: Installation, seed: int, told: Told) -> None:
    chance, began = random.Random(seed), time.monotonic()
    markets = [Market(installation, symbol) for symbol in SYMBOLS]
    for market in markets:
        market.print((PRICE, 10))
    accounts_open(installation, markets[0], [ACCOUNT])
    trader = Trader(installation, ACCOUNT)
    with printing(markets):
        set_model(trader, dict.fromkeys(SYMBOLS, 0.05))
        assigned = trader.call("PATCH", f"/accounts/{ACCOUNT}", {"model": "core"})
        assert assigned.status == 200, assigned.body
        first = rebalance(installation, trader, kill_after=chance.uniform(0.5, 2))
        check(first, dict.fromkeys(SYMBOLS, 0.0495))
        parts = {symbol: chance.randint(1, 9) for symbol in SYMBOLS[5:]}
        weights = {symbol: round(0.95 * part / sum(parts.values()), 6) for symbol, part in parts.items()}
        set_model(trader, weights)
        second = rebalance(installation, trader, kill_after=chance.uniform(0.5, 2))
        check(second, weights | dict.fromkeys(SYMBOLS[:5], 0.0))
    trader.close()
    stored = Counter(orders_of(installation, ACCOUNT).values())
    listed = [order for each in (first, second) for row in each["symbols"] for order in row["orders"]]
    assert set(stored.values()) == {1}
    assert len(stored) == len(listed) == len({order["id"] for order in listed})
    verify(installation)
    told(
        "trading 2 a model rebalanced over 20 symbols, its worker killed",
        f"{len(stored)} orders, 2 kills, {time.monotonic() - began:.0f} s",
    )


def check(result: dict[str, Any], targets: dict[str, float]) -> None:
    """Each target is reached within a lot. Fees have made weights larger than they were planned, by 0.1 per cent."""
    rows = {row["symbol"]: row for row in result["symbols"]}
    assert rows.keys() == targets.keys()
    for symbol, target in targets.items():
        row = rows[symbol]
        assert (row["left"], row["reason"]) == (0.0, None), row
        held = row["held"] + row["filled"] * (1 if row["side"] == "buy" else -1)
        assert held == pytest.approx(target * result["investable"] / PRICE, abs=LOT), row
        assert row["after"] == pytest.approx(target, rel=0.003), row
