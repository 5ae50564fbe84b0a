"""kill -9 of every process while accounts trade: each order and each execution once, each recorded before its answer."""

import contextlib
import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest

from tests.chance import SOAK
from tests.front.front_server import eventually
from tests.hostile.figures import Told
from tests.marketdata_project.serve_process import REDIS
from tests.system.account_feed import AccountFeed, following
from tests.system.installation import Installation
from tests.system.kills import restarted
from tests.system.traders import (
    Market,
    Trader,
    accounts_open,
    database,
    is_engine_alive,
    orders_of,
    verify,
)

pytestmark = [pytest.mark.seconds, pytest.mark.xdist_group("trading")]

EXECUTES = 1_000 if SOAK else 60
ACCOUNTS = [f"A{number}" for number in range(4)]
WEB, ENGINE, JOBS = "marketdata web", "marketdata engine", "marketdata jobs"
VICTIMS = [WEB, ENGINE, REDIS, JOBS, "everything"]
ROUNDS = 8 if SOAK else 1
PAUSE_SECONDS = 0.02 if SOAK else 0.1


def kill(installation: Installation, victim: str) -> None:
    """Kill one process of a kind, or all of them, and then start them again."""
    if victim == "everything":
        installation.kill_everything(list(installation.served.members()))
        restarted(installation)
        return
    with contextlib.suppress(ProcessLookupError, StopIteration):
        os.kill(installation.served.member(victim), signal.SIGKILL)


@contextlib.contextmanager
def printing(market: Market, chance: random.Random) -> Iterator[None]:
    """Have the symbol printed all the time."""
    ending = threading.Event()

    def work() -> None:
        while not ending.wait(0.1):
            market.print((chance.randint(95, 105), chance.randint(1, 20)))

    with ThreadPoolExecutor(1) as pool:
        printed = pool.submit(work)
        try:
            yield
        finally:
            ending.set()
            printed.result()


def trade(trader: Trader, market: Market, seed: int, ending: threading.Event) -> None:
    """Buy and sell until the kills have ended, and as often as is asked for."""
    chance = random.Random(f"{seed} {trader.account}")
    for number in count():
        if ending.is_set() and number >= EXECUTES / len(ACCOUNTS):
            return
        order = market.order(chance.choice(["buy", "sell"]), chance.randint(1, 9))
        if chance.random() < 0.5:
            order |= {"type": "limit", "limit_price": chance.randint(96, 104)}
        trader.trade({**order, "client_order_id": f"{trader.account}-{number}"}, chance)
        time.sleep(PAUSE_SECONDS)


@pytest.mark.soak
def test_each_order_and_execution_is_there_once(traded: Installation, seed: int, told: Told) -> None:
    installation, chance = traded, random.Random(seed)
    assert installation.is_complete()
    market = Market(installation, "KILLS")
    market.print((100, 10))
    accounts_open(installation, market, ACCOUNTS)
    traders = [Trader(installation, account) for account in ACCOUNTS]
    ending, began = threading.Event(), time.monotonic()
    with (
        following(installation, ACCOUNTS[0]) as feed,
        printing(market, chance),
        ThreadPoolExecutor(len(traders)) as pool,
        contextlib.ExitStack() as stack,
    ):
        for trader in traders:
            stack.callback(trader.close)
        work = [pool.submit(trade, trader, market, seed, ending) for trader in traders]
        try:
            for victim in [each for _ in range(ROUNDS) for each in chance.sample(VICTIMS, len(VICTIMS))]:
                time.sleep(chance.uniform(0.3, 1.2))
                kill(installation, victim)
                assert not any(each.done() for each in work)
        finally:
            ending.set()
        for done in work:
            done.result()
        assert eventually(lambda: is_engine_alive(installation))
        check_feed(installation, feed)
    check_orders(installation, traders)
    verify(installation)
    orders = sum(len(trader.acknowledged) for trader in traders)
    told(
        "trading 1 kill -9 of every process",
        f"{orders} orders, {ROUNDS * len(VICTIMS)} kills, {sum(each.outages for each in traders)} calls asked again,"
        f" {executions(installation)} executions, {feed.connections} connections of the feed, {time.monotonic() - began:.0f} s",
    )


def check_orders(installation: Installation, traders: list[Trader]) -> None:
    """Each order that a client asked for is there once, and the call that made it is recorded."""
    with database(installation) as read:
        made = {
            each
            for (each,) in read.execute("SELECT correlation_id FROM audit_auditrecord WHERE status = 201")
        }
    for trader in traders:
        assert trader.unaudited == []
        stored = orders_of(installation, trader.account)
        asked = {name: order.replace("-", "") for name, order in trader.acknowledged.items()}
        assert {name: order for order, name in stored.items()} == asked
        assert len(stored) == len(trader.attempts)
        assert [name for name in asked if not made & set(trader.attempts[name])] == []


def executions(installation: Installation) -> int:
    with database(installation) as read:
        return int(read.execute("SELECT count(*) FROM trading_executionrow").fetchone()[0])


def check_feed(installation: Installation, feed: AccountFeed) -> None:
    """The client of `orders:` got each event that changed an order, once, in order, whoever was killed."""

    def stored() -> list[int]:
        with database(installation) as read:
            found = read.execute(
                "SELECT e.number FROM trading_eventrow e JOIN trading_account a ON a.id = account_id"
                " WHERE a.name = ? AND e.orders <> '' ORDER BY e.number",
                [feed.account],
            )
            return [number for (number,) in found]

    assert eventually(lambda: feed.numbers[-1:] == stored()[-1:]), (feed.numbers[-3:], stored()[-3:])
    assert feed.faults == []
    last = feed.numbers[-1]
    assert feed.numbers[: feed.numbers.index(last) + 1] == [each for each in stored() if each <= last]
