"""Batches of orders, the web processes killed while they are decided, and sent again: each order once."""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.front.front_server import eventually
from tests.hostile.figures import Told
from tests.system.installation import Installation, installed
from tests.system.traders import Market, Trader, accounts_open, orders_of, verify

pytestmark = [pytest.mark.soak, pytest.mark.system]

ACCOUNT = "BATCH"
ORDERS, BAD = 500, 20
ROUNDS = 20


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    with installed(tmp_path, data_dir=None, JOB_THREADS="0") as running:
        yield running


def batch(market: Market, number: int, chance: random.Random) -> list[dict[str, Any]]:
    """Orders that no print fills, and bad ones among them."""
    bad = set(chance.sample(range(ORDERS), BAD))
    return [
        market.order(
            quantity=0 if n in bad else 0.01,
            type="limit",
            limit_price=50,
            client_order_id=f"b-{number}-{n}",
        )
        for n in range(ORDERS)
    ]


def placed(trader: Trader, number: int, orders: list[dict[str, Any]]) -> dict[str, Any]:
    """Send a batch until it is answered."""
    reply = trader.ask(f"batch-{number}", f"/orders/batch?account={ACCOUNT}", {"orders": orders})
    assert reply.status == 202, reply.body
    document: dict[str, Any] = reply.json()["result"]
    assert document["refused"] == BAD
    return document


def cancel(trader: Trader, document: dict[str, Any]) -> None:
    ids = [item["order_id"] for item in document["items"] if item["order_id"]]
    reply = trader.ask("cancel", f"/orders/batch/cancel?account={ACCOUNT}", {"orders": ids})
    assert (reply.status, reply.json()["refused"]) == (202, 0), reply.body


def test_a_batch_that_is_sent_again_after_a_kill_places_nothing_twice(
    installation: Installation, seed: int, told: Told
) -> None:
    chance, market = random.Random(seed), Market(installation, "COIN")
    market.print((100, 1))
    accounts_open(installation, market, [ACCOUNT])
    trader, outcomes = Trader(installation, ACCOUNT), list[str]()
    began = time.monotonic()
    cancel(trader, placed(trader, 0, batch(market, 0, chance)))
    seconds = time.monotonic() - began
    with ThreadPoolExecutor(1) as pool:
        for number in range(1, ROUNDS + 1):
            webs = installation.webs()
            answer = pool.submit(placed, trader, number, batch(market, number, chance))
            if number % 2:
                time.sleep(chance.uniform(0, seconds))
            else:  # it is stored, and its answer is not sent yet
                stored_before = number * (ORDERS - BAD)
                while len(orders_of(installation, ACCOUNT)) <= stored_before and not answer.done():
                    time.sleep(0.002)
            for pid in webs:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            document = answer.result()
            assert document["accepted"] + document["repeated"] == ORDERS - BAD
            calls = len(trader.attempts[f"batch-{number}"])
            outcomes.append("stored before" if document["repeated"] else f"answered by call {calls}")
            cancel(trader, document)
    trader.close()
    stored = Counter(orders_of(installation, ACCOUNT).values())
    assert set(stored.values()) == {1}
    assert len(stored) == (ROUNDS + 1) * (ORDERS - BAD)
    assert eventually(installation.is_complete)
    verify(installation)
    told(
        f"48 batches of {ORDERS} orders, {BAD} bad ones, all web processes killed {ROUNDS} times",
        f"{len(stored):,} orders, each once; {dict(Counter(outcomes))}, {seconds:.1f} s a batch",
    )
