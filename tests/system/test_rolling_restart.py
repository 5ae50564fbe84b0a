"""SIGHUP under load: every process is replaced, no request fails, and no client of the live feed misses a row."""

import logging
import os
import random
import signal
import threading
from contextlib import ExitStack
from itertools import count
from uuid import uuid4

import orjson
import pytest

from tests.front.front_server import eventually
from tests.marketdata_project.serve_process import REDIS, Served
from tests.system.clients import Client, Crowd, connected
from tests.system.installation import UNLIMITED, installed
from tests.system.ledger import Ledger, Sender
from tests.system.live_clients import LiveCrowd
from tests.system.test_live import begun, check
from tests.system.traders import Market, accounts_open

pytestmark = [pytest.mark.soak, pytest.mark.seconds]

logger = logging.getLogger(__name__)

SYMBOLS = ["AAA", "BBB", "CCC"]
LIVE_CLIENTS = 100
RESTARTS = 2
RESTART_SECONDS = 120.0


class Reader:
    """Has every client read without a pause. Each answer is 200."""

    def __init__(self) -> None:
        self.answers = 0

    def __call__(self, client: Client, stopping: threading.Event) -> None:
        while not stopping.wait(0.01):
            reply = client.bars("AAA")
            assert reply.status == 200, reply.body
            self.answers += 1


class Orders:
    """Has every client send orders. Each answer is 201."""

    def __init__(self, market: Market, account: str) -> None:
        self._market, self._account = market, account
        self.answers = 0

    def __call__(self, client: Client, stopping: threading.Event) -> None:
        json = {"Content-Type": "application/json"}
        while not stopping.wait(0.1):
            order = self._market.order(type="limit", limit_price=1, client_order_id=str(uuid4()))
            path = f"/api/v1/orders?account={self._account}"
            reply = client.call("POST", path, orjson.dumps(order), json)
            assert reply.status == 201, reply.body
            self.answers += 1


def test_a_rolling_restart_under_load_fails_no_request_and_misses_no_row(tmp_path, seed):
    with (
        installed(tmp_path, LOAD_SAMPLE="0", TRADING_RATE=str(UNLIMITED)) as installation,
        ExitStack() as stack,
    ):
        key = installation.new_key(rate=UNLIMITED, accounts='["*"]')
        begun(installation, key, SYMBOLS)
        market = Market(installation, "COIN")
        market.print((100.0, 1.0))
        accounts_open(installation, market, ["ROLL"])
        ledger, reader, orders = Ledger(), Reader(), Orders(market, "ROLL")
        sender = Sender(ledger, random.Random(seed), count(10), day=0)
        keys = [installation.new_key(tier="internal", rate=UNLIMITED) for _ in range(LIVE_CLIENTS // 10)]
        live = stack.enter_context(LiveCrowd(installation.port, *keys))
        for number in range(LIVE_CLIENTS):
            live.add(f"trades:{SYMBOLS[number % len(SYMBOLS)]}")
        assert live.are_subscribed()
        crowds = [
            stack.enter_context(
                Crowd([stack.enter_context(connected(installation.port, key)) for _ in range(1)], work)
            )
            for work in (sender, reader, orders)
        ]
        for number in range(RESTARTS):
            restart(installation.served, number + 1)
        for crowd in crowds:
            crowd.end()
            assert crowd.errors == []
        check(live, installation, SYMBOLS)
        assert installation.is_complete()
        assert ledger.cut == []
        assert min(len(ledger.acknowledged), reader.answers, orders.answers) > 0
        logger.info(
            "%d batches, %d reads, %d orders, %d connections of %d live clients",
            len(ledger.acknowledged), reader.answers, orders.answers,
            sum(client.connections for client in live.clients), LIVE_CLIENTS,
        )  # fmt: skip


def restart(served: Served, number: int) -> None:
    """Restart for the `number`-th time; assert that every process but Redis is another one."""
    before = served.members()
    os.kill(served.process.pid, signal.SIGHUP)
    assert eventually(
        lambda: served.output.read_text().count("Every process was replaced") == number,
        seconds=RESTART_SECONDS,
    ), served.output.read_text()
    kept = {before[pid] for pid in before.keys() & served.members().keys() if pid != served.process.pid}
    assert [command for command in kept if REDIS not in command] == []
