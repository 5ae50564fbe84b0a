"""A preview that many execute at once makes one order. Also a stop that gets through a flood.

Who may not trade is refused in `tests/trading/api`.
"""

import contextlib
import statistics
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus

import pytest

from tests.chance import SOAK
from tests.front.front_server import Reply, eventually
from tests.hostile.figures import Told
from tests.patience import PATIENCE_SECONDS
from tests.system.installation import Installation
from tests.system.traders import Market, Trader, accounts_open, orders_of, trader_key, verify

pytestmark = [pytest.mark.seconds, pytest.mark.xdist_group("installation")]

ONCE, ONCE_KEYED, FLOODED = ACCOUNTS = ["ONCE", "ONCEKEYED", "FLOODED"]
AT_ONCE = 16
FLOOD_SECONDS = 10.0 if SOAK else 3.0
FLOODERS = 8
POSITIONS = 4
RESTING = 10


@pytest.fixture(scope="module")
def market(shared: Installation) -> Market:
    """A market, and an account of each test."""
    market = Market(shared, "REFUSED")
    market.print((100, 10))
    accounts_open(shared, market, ACCOUNTS)
    return market


def executing(trader: Trader, preview: str, **headers: str) -> Reply:
    return trader.call("POST", "/trade/execute", {"preview_id": preview}, **headers)


@pytest.mark.parametrize("account", [ONCE, ONCE_KEYED])
def test_executes_at_once_make_one_order(
    installation: Installation, market: Market, told: Told, account: str
) -> None:
    is_keyed = account == ONCE_KEYED
    with contextlib.closing(Trader(installation, account)) as trader:
        preview = trader.preview(market.order(client_order_id="once"))
    together = threading.Barrier(AT_ONCE)

    def execute(_: int) -> Reply:
        headers = {"Idempotency-Key": "once"} if is_keyed else {}
        with contextlib.closing(Trader(installation, account, trader.key)) as one:
            one.call("GET", f"/status?account={account}")
            together.wait(PATIENCE_SECONDS)
            return executing(one, preview, **headers)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        replies = list(pool.map(execute, range(AT_ONCE)))
    statuses = Counter(reply.status for reply in replies)
    told(f"trading 4 {AT_ONCE} executes at once, {'keyed' if is_keyed else 'bare'}", str(dict(statuses)))
    expected = {201: AT_ONCE} if is_keyed else {201: 1, 409: AT_ONCE - 1}
    assert statuses == expected, Counter(reply.json().get("code") for reply in replies)
    ids = {reply.json()["id"] if reply.status == 201 else reply.json()["order_id"] for reply in replies}
    assert len(ids) == 1
    assert len(orders_of(installation, account)) == 1


@pytest.fixture
def trader(installation: Installation, market: Market) -> Iterator[Trader]:
    with contextlib.closing(Trader(installation, FLOODED)) as trader:
        yield trader


@pytest.mark.soak
def test_a_stop_gets_through_a_flood(
    installation: Installation, market: Market, trader: Trader, told: Told
) -> None:
    markets = [market, *(Market(installation, f"FLOOD{number}") for number in range(1, POSITIONS))]
    for number, each in enumerate(markets):
        each.print((100, 10))
        trader.submit(each.order("buy", 5, client_order_id=f"p{number}"))
    time.sleep(0.1)
    for each in markets:
        each.print((100, 100))
    assert eventually(lambda: len(positions(trader)) == POSITIONS)
    for number in range(RESTING):
        trader.submit(market.order(type="limit", limit_price=60, client_order_id=f"r{number}"))
    seconds: dict[str, list[float]] = {"read": [], "write": [], "trading": []}
    with flooded(installation, market, seconds):
        time.sleep(FLOOD_SECONDS)
        began = time.monotonic()
        stopped = trader.call("POST", "/trading/stop?account=FLOODED")
        accepted = time.monotonic() - began
    assert stopped.status == HTTPStatus.OK, stopped.body

    def is_flat() -> bool:
        for each in markets:
            each.print((100, 100))
        time.sleep(0.1)
        status: dict[str, object] = trader.call("GET", "/status?account=FLOODED").json()
        return status["status"] == "stopped" and status["open_positions"] == 0

    assert eventually(is_flat)
    others = ", ".join(f"{lane} {statistics.median(took) * 1000:.0f}" for lane, took in seconds.items())
    told(
        f"trading 5 stop of {RESTING} orders and {POSITIONS} positions in a flood",
        f"accepted in {accepted * 1000:.0f} ms, flat after {time.monotonic() - began:.1f} s; medians of others, ms: {others}",
    )
    verify(installation)


def positions(trader: Trader) -> list[object]:
    found: list[object] = trader.call("GET", "/portfolio?account=FLOODED").json()["positions"]
    return found


@contextlib.contextmanager
def flooded(installation: Installation, market: Market, seconds: dict[str, list[float]]) -> Iterator[None]:
    """Have clients use the lanes of reads, of writes and of trading without a pause; keep how long each call took."""
    key = trader_key(installation, "FLOODED")
    order = market.order(type="limit", limit_price=60)
    row = {"symbol": "FLOODROWS", "price": 1.0, "volume": 1.0, "timestamp": "2025-01-02T15:00:00Z"}
    calls = {
        "read": ("GET", "/portfolio?account=FLOODED", None),
        "write": ("POST", "/trades/ingest", {"trades": [row]}),
        "trading": ("POST", "/trade/preview?account=FLOODED", order),
    }

    stopping = threading.Event()

    def work(lane: str) -> None:
        with contextlib.closing(Trader(installation, "FLOODED", key)) as client:
            while not stopping.is_set():
                began = time.monotonic()
                reply = client.call(*calls[lane])
                assert reply.status == HTTPStatus.OK, reply.body
                seconds[lane].append(time.monotonic() - began)

    with ThreadPoolExecutor(FLOODERS * len(calls)) as pool:
        floods = [pool.submit(work, lane) for lane in calls for _ in range(FLOODERS)]
        try:
            yield
        finally:
            stopping.set()
        for flood in floods:
            flood.result()
