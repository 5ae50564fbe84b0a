"""The live feed: nothing is missed or repeated, over cuts and from REST to live."""

import asyncio
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from client_server import ScriptedServer, reply
from cutting_proxy import CuttingProxy

from marketdata_client import (
    AsyncClient,
    BadAnswer,
    Client,
    Forbidden,
    InvalidRequest,
    NotAuthenticated,
    Retries,
    Unreachable,
)
from tests.system.installation import Installation

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("client")]

CUTS = 20
QUICK = Retries(attempts=4, first_pause=0.02, longest_pause=0.2)


def trade(symbol: str, number: int) -> dict[str, object]:
    return {
        "timestamp": f"2025-01-02T14:{30 + number // 3000:02d}:{number // 50 % 60:02d}.{number % 50:03d}Z",
        "symbol": symbol,
        "price": 10.0,
        "volume": 1,
        "trade_id": str(number),
    }


@pytest.fixture
def proxy(installation: Installation) -> Iterator[CuttingProxy]:
    made = CuttingProxy(installation.port)
    yield made
    made.close()


def store(client: Client, symbol: str, numbers: range) -> None:
    client.ingest("trades", [trade(symbol, number) for number in numbers])


@pytest.mark.parametrize("params", [{"last": 10}, {"start": "2025-01-01"}], ids=["last", "start"])
def test_rows_that_are_dated_ahead_are_followed(client: Client, params: dict[str, Any]):
    symbol = f"AHEAD-{next(iter(params)).upper()}"
    ahead = (datetime.now(UTC) + timedelta(minutes=1)).isoformat()
    client.ingest("trades", [{**trade(symbol, 1), "timestamp": ahead}])
    feed: Any = client.follow("trades", symbol, **params)
    assert [row["trade_id"] for row in next(feed).rows] == ["1"]
    store(client, symbol, range(2, 3))
    assert [row["trade_id"] for row in next(feed).rows] == ["2"]
    feed.close()


def test_what_has_no_channel_is_not_followed(client: Client):
    with pytest.raises(ValueError, match=r"ohlcv cannot be followed: .* live\('bars.1m:SYMBOL'\)"):
        next(client.follow("ohlcv", "DEMOA", last=2))


def test_twenty_cuts_lose_and_repeat_nothing(client: Client, key: str, proxy: CuttingProxy):
    store(client, "CUTS", range(100))
    total = 100 + 10 * CUTS

    def write() -> None:
        for number in range(CUTS):
            store(client, "CUTS", range(100 + 10 * number, 110 + 10 * number))
            proxy.cut()
            time.sleep(0.05)

    seen: list[str] = []
    with Client(proxy.url, key, retries=QUICK) as far:
        feed = far.follow("trades", "CUTS", last=1000)
        first = next(feed)
        assert (first.kind, len(first.rows)) == ("history", 100)
        seen += [row["trade_id"] for row in first.rows]
        writer = threading.Thread(target=write)
        writer.start()
        for frame in feed:
            seen += [row["trade_id"] for row in frame.rows]
            if len(seen) >= total:
                break
        writer.join()
    assert seen == [str(number) for number in range(total)]
    assert client.trades("CUTS", last=1000).lists()["trade_id"] == seen


def test_the_async_feed_is_the_same(client: Client, url: str, key: str):
    store(client, "ASYNC", range(3))

    async def follow() -> list[str]:
        seen: list[str] = []
        async with AsyncClient(url, key) as far:
            async for frame in far.follow("trades", "ASYNC", last=10):
                seen += [row["trade_id"] for row in frame.rows]
                if len(seen) == 3:
                    await asyncio.to_thread(store, client, "ASYNC", range(3, 5))
                if len(seen) >= 5:
                    return seen
        raise AssertionError

    assert asyncio.run(follow()) == ["0", "1", "2", "3", "4"]


def test_bars_come_by_channel_and_tokens_resume(client: Client, url: str, key: str):
    store(client, "BARS", range(3))
    with Client(url, key) as far:
        frame = next(far.live("bars.1m:BARS", tokens={"bars.1m:BARS": "0"}))
    assert frame.channel == "bars.1m:BARS"
    assert frame.rows[0]["volume"] == 3


def test_closing_the_async_client_closes_a_feed_that_was_left(client: Client, url: str, key: str):
    store(client, "LEFT", range(1))

    async def leave() -> None:
        async with AsyncClient(url, key) as far:
            feed = far.live("trades:LEFT", tokens={"trades:LEFT": "0"})
            await anext(feed)
        async with asyncio.timeout(10):  # an open connection has a task
            while asyncio.all_tasks() != {asyncio.current_task()}:
                await asyncio.sleep(0.01)
        with pytest.raises(RuntimeError, match="the client is closed"):
            await anext(feed)

    asyncio.run(leave())


def test_closing_the_client_for_threads_closes_a_feed_that_was_left(client: Client, url: str, key: str):
    store(client, "LEFTTOO", range(1))
    with Client(url, key) as far:
        feed = far.live("trades:LEFTTOO", tokens={"trades:LEFTTOO": "0"})
        next(feed)
    with pytest.raises(RuntimeError, match="the client is closed"):
        next(feed)


def test_a_feed_that_is_being_read_ends_with_its_async_client(client: Client, url: str, key: str):
    store(client, "READ", range(1))

    async def close() -> None:
        far = AsyncClient(url, key)
        feed = far.live("trades:READ", tokens={"trades:READ": "0"})
        await anext(feed)
        reading = asyncio.ensure_future(anext(feed))
        await asyncio.sleep(0)
        await far.close()
        with pytest.raises(RuntimeError, match="the client is closed"):
            await asyncio.wait_for(reading, 10)

    asyncio.run(close())


def test_what_the_server_refuses_for_good_is_raised(url: str, key: str, installation: Installation):
    with Client(url, "md_00000000_wrong") as unknown, pytest.raises(NotAuthenticated):
        next(unknown.live("trades:AAPL"))
    with Client(url, key) as client, pytest.raises(InvalidRequest):
        next(client.live("nonsense:AAPL"))
    with Client(url, installation.new_key(scopes=("audit:read",))) as other, pytest.raises(Forbidden):
        next(other.live("trades:AAPL"))


def test_a_server_that_is_not_there_is_unreachable():
    with Client("http://127.0.0.1:9", "md_x", retries=QUICK) as client, pytest.raises(Unreachable):
        next(client.live("trades:AAPL"))


@pytest.mark.parametrize("connects", ["sync", "async"])
def test_a_redirect_is_not_followed(scripted, connects: str):
    elsewhere: ScriptedServer = scripted(reply(b"", 200))
    server = scripted(reply(b"", 302, Location=elsewhere.url.replace("http", "ws")))

    async def first() -> None:
        async with AsyncClient(server.url, "md_x", retries=QUICK) as client:
            await anext(client.live("trades:AAPL"))

    def ask() -> None:
        if connects == "async":
            asyncio.run(first())
        with Client(server.url, "md_x", retries=QUICK) as client:
            next(client.live("trades:AAPL"))

    with pytest.raises(BadAnswer, match="redirects are not followed"):
        ask()
    assert elsewhere.received == []
