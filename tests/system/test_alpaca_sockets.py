"""The unmodified stream clients of alpaca-py: market data, crypto and trade updates, over real processes."""

import asyncio
import logging
import re
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import orjson
import pytest
from alpaca.data.live import CryptoDataStream, StockDataStream
from alpaca.trading.stream import TradingStream
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.front.front_server import eventually
from tests.system.clients import Client
from tests.system.installation import Installation
from tests.system.traders import Market, Trader, accounts_open

pytestmark = [pytest.mark.seconds, pytest.mark.xdist_group("installation")]

SYMBOL = "WIRED"
ACCOUNT = "WIREDACC"
PAIR = "WIR-USD"
# A minute that is over, so that all its bars are final as soon as a later trade comes.
MINUTE = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=10)


class Heard:
    """What the handlers of a client were called with."""

    def __init__(self) -> None:
        self.items: list[Any] = []

    async def take(self, item: Any) -> None:
        self.items.append(item)

    def has(self, kind: str, **values: Any) -> bool:
        """Whether an object of a kind came that has these values, in the end."""
        return eventually(
            lambda: any(
                type(item).__name__ == kind
                and all(getattr(item, name) == each for name, each in values.items())
                for item in tuple(self.items)
            )
        )


@contextmanager
def running(log: pytest.LogCaptureFixture, *streams: Any, said: str) -> Iterator[None]:
    """Run clients in threads. said: what they have logged, together as often as there are clients, before this goes on."""
    threads = [threading.Thread(target=stream.run) for stream in streams]
    for thread in threads:
        thread.start()
    try:
        assert eventually(lambda: count(log, said) >= len(streams)), log.messages
        yield
    finally:
        # A client takes up to five seconds to stop.
        for stream in streams:
            stream.stop()
        for thread in threads:
            thread.join()


def count(log: pytest.LogCaptureFixture, said: str) -> int:
    return sum(said in each for each in tuple(log.messages))


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, logger="alpaca")
    return caplog


@pytest.fixture
def client(shared: Installation) -> Iterator[Client]:
    with closing(Client(shared.port, shared.key)) as client:
        post(
            client, "PUT", f"instruments/{SYMBOL}", {"class": "equity", "exchange": "XNAS", "currency": "USD"}
        )
        ingest(client, -60, 99.0)
        yield client


def post(client: Client, method: str, path: str, document: object) -> None:
    json = {"Content-Type": "application/json"}
    reply = client.call(method, f"/api/v1/{path}", orjson.dumps(document), json)
    assert reply.status in (200, 201), reply.body


def row(seconds: float, **values: Any) -> dict[str, Any]:
    return {"timestamp": (MINUTE + timedelta(seconds=seconds)).isoformat(), "symbol": SYMBOL, **values}


def ingest(client: Client, seconds: float, price: float, **values: Any) -> None:
    trade = {"volume": 5, "exchange": "XNAS", "conditions": ["@"], **values}
    post(client, "POST", "trades/ingest", {"trades": [row(seconds, price=price, **trade)]})


def stocks(installation: Installation, heard: Heard, *, secret: str | None = None) -> StockDataStream:
    _, key_id, own = installation.key.split("_")
    url = f"ws://127.0.0.1:{installation.port}/api/v2/stream/iex"
    stream = StockDataStream(key_id, secret or own, url_override=url)
    for subscribe in (
        stream.subscribe_trades,
        stream.subscribe_quotes,
        stream.subscribe_bars,
        stream.subscribe_updated_bars,
        stream.subscribe_trading_statuses,
    ):
        subscribe(heard.take, SYMBOL)
    stream.register_trade_corrections(heard.take)
    stream.register_trade_cancels(heard.take)
    return stream


def test_market_data_comes_as_alpaca_sends_it(
    shared: Installation, client: Client, log: pytest.LogCaptureFixture
):
    heard, new, updated = Heard(), Heard(), Heard()
    stream = stocks(shared, heard)
    stream.subscribe_bars(new.take, SYMBOL)
    stream.subscribe_updated_bars(updated.take, SYMBOL)
    with running(log, stream, said="subscribed to trades"):
        ingest(client, 1, 100.5, trade_id="7")
        assert heard.has(
            "Trade", symbol=SYMBOL, timestamp=MINUTE + timedelta(seconds=1), price=100.5, size=5, id=7,
            exchange="Q", conditions=["@"],
        )  # fmt: skip
        quote = row(2, bid=100.25, bid_size=3, ask=100.75, ask_size=4)
        post(client, "POST", "quotes/ingest", {"quotes": [quote]})
        assert heard.has("Quote", symbol=SYMBOL, bid_price=100.25, bid_size=3, ask_price=100.75, ask_size=4)
        halt = row(3, status="halted", reason="T1")
        post(client, "POST", "trading-status/ingest", {"trading_status": [halt]})
        assert heard.has("TradingStatus", symbol=SYMBOL, status_code="H", reason_code="T1")
        ingest(client, 70, 102.0)
        assert new.has("Bar", symbol=SYMBOL, timestamp=MINUTE, volume=5, trade_count=1, vwap=100.5)
        ingest(client, 30, 101.0, volume=15, trade_id="8")
        assert updated.has("Bar", timestamp=MINUTE, volume=20, trade_count=2, close=101.0)
        named = {name: row(30)[name] for name in ("timestamp",)} | {"price": 101.0, "volume": 15}
        corrections = [{"action": "correct", **named, "new_price": 101.5}]
        post(client, "POST", "trades/corrections", {"symbol": SYMBOL, "corrections": corrections})
        assert heard.has("TradeCorrection", original_price=101.0, corrected_price=101.5, corrected_id=8)
        assert updated.has("Bar", timestamp=MINUTE, close=101.5)
        corrections = [{"action": "cancel", **named, "price": 101.5}]
        post(client, "POST", "trades/corrections", {"symbol": SYMBOL, "corrections": corrections})
        assert heard.has("TradeCancel", price=101.5, id=8, action="C")
        assert [bar.volume for bar in new.items if bar.timestamp == MINUTE] == [5]
        # Cut off, it subscribes again by itself.
        socket, loop = cast("Any", stream._ws), cast("Any", stream._loop)
        asyncio.run_coroutine_threadsafe(socket.close(), loop).result()
        assert eventually(lambda: count(log, "subscribed to trades") == 2)
        ingest(client, 130, 110.0)
        assert heard.has("Trade", price=110.0)


def test_a_wrong_key_is_refused(shared: Installation, log: pytest.LogCaptureFixture):
    stream = stocks(shared, Heard(), secret="0" * 43)
    with running(log, stream, said="error during websocket communication"):
        pass


def test_crypto_and_trade_updates(shared: Installation, log: pytest.LogCaptureFixture):
    market = Market(shared, PAIR)
    market.print((100, 10))
    accounts_open(shared, market, [ACCOUNT])
    trades, updates = Heard(), Heard()

    def events(name: str) -> list[str]:
        return [each.event for each in tuple(updates.items) if each.order.client_order_id == name]

    with closing(Trader(shared, ACCOUNT)) as trader:
        _, key_id, secret = trader.key.split("_")
        url = f"ws://127.0.0.1:{shared.port}"
        crypto = CryptoDataStream(key_id, secret, url_override=f"{url}/api/v1beta3/crypto/us")
        crypto.subscribe_trades(trades.take, "WIR/USD")
        crypto.subscribe_daily_bars(trades.take, "WIR/USD")
        trading = TradingStream(key_id, secret, url_override=f"{url}/api/v2/stream")
        trading.subscribe_trade_updates(updates.take)
        with running(log, crypto, trading, said="connected to"):
            assert eventually(lambda: count(log, "subscribed to trades") and _follows_orders(shared))
            trader.submit(market.order(client_order_id="filled"))
            assert eventually(lambda: "new" in events("filled"))

            def is_filled() -> bool:
                # A print within the order's latency does not fill it.
                market.print((101, 10))
                return "fill" in events("filled")

            assert eventually(is_filled)
            assert trades.has("Trade", symbol="WIR/USD", price=101)
            assert trades.has("Bar", symbol="WIR/USD", high=101)
            (fill,) = [each for each in updates.items if each.event == "fill"]
            assert (fill.qty, fill.order.filled_qty, fill.order.status.value) == (1, "1", "filled")
            trader.submit(market.order(client_order_id="cancelled", type="limit", limit_price=1))
            assert eventually(lambda: "new" in events("cancelled"))
            assert trader.call("DELETE", f"/orders/{trader.acknowledged['cancelled']}").status < 300
            assert eventually(lambda: "canceled" in events("cancelled"))


def _follows_orders(shared: Installation) -> bool:
    with closing(Client(shared.port, shared.key)) as client:
        text = client.get("/metrics").body
    return (
        re.search(rb'^marketdata_live_subscriptions\{kind="orders"\} [1-9]', text, re.MULTILINE) is not None
    )


def test_refused_upgrades_do_not_lock_out_an_old_client(shared: Installation) -> None:
    """It speaks JSON, authenticates itself by a message, and has composed its path of a base URL without `/api`."""
    market, host = Market(shared, "WIO-USD"), f"ws://127.0.0.1:{shared.port}"
    market.print((100, 10))
    _, key_id, secret = shared.key.split("_")
    for _ in range(40):
        with pytest.raises(InvalidStatus), connect(f"{host}/api/v2/nothing"):
            pass
    with connect(f"{host}/v1beta2/crypto?exchanges=CBSE") as stream:
        assert orjson.loads(stream.recv()) == [{"T": "success", "msg": "connected"}]
        stream.send(orjson.dumps({"action": "auth", "key": key_id, "secret": secret}))
        assert orjson.loads(stream.recv()) == [{"T": "success", "msg": "authenticated"}]
        stream.send(orjson.dumps({"action": "subscribe", "trades": ["WIOUSD"], "orderbooks": []}))
        assert orjson.loads(stream.recv())[0]["trades"] == ["WIO/USD"]
        market.print((101, 10))
        (trade,) = orjson.loads(stream.recv(timeout=20))
        assert (trade["T"], trade["S"], trade["p"]) == ("t", "WIO/USD", 101)
        assert datetime.fromisoformat(trade["t"]).tzinfo is UTC
