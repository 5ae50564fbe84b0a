"""Servers that speak the wire of Binance and of Kraken, as far as fetches read it. The real ccxt talks to them."""

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

MINUTE_MS = 60_000
INTERVALS = {"1m": MINUTE_MS, "1h": 60 * MINUTE_MS, "1d": 1440 * MINUTE_MS}
Query = dict[str, str]
Print = tuple[int, float, float, bool]


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: Any) -> None:
        """A client that was killed is no error."""


class FakeExchange:
    """A server on a port; 0 for a free one. calls: every request in order, as (path, query). status, retry_after, delay: of the next
    answers, `failing` times; a negative number means always. now_ms: its clock."""

    def __init__(self, port: int = 0, address: str = "127.0.0.1") -> None:
        self.calls: list[tuple[str, Query]] = []
        self.status, self.failing, self.delay = 200, 0, 0.0
        self.retry_after: int | None = None
        self.clock_ahead_ms = 0
        exchange = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                exchange._answer(self)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = _Server((address, port), Handler)
        self.url = f"http://{address}:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000 + self.clock_ahead_ms

    def asked(self, end: str) -> list[Query]:
        """The queries of calls whose path ends so."""
        return [query for path, query in self.calls if path.endswith(end)]

    def most_asked(self, end: str) -> int:
        """How often the same question came, of the one that came most often."""
        return max(
            Counter(json.dumps(query, sort_keys=True) for query in self.asked(end)).values(), default=0
        )

    def document(self, path: str, query: Query) -> Any:
        raise NotImplementedError

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        query = dict(parse_qsl(parts.query))
        self.calls.append((parts.path, query))
        time.sleep(self.delay)
        status, headers = 200, {"Content-Type": "application/json"}
        if self.failing:
            self.failing -= 1
            status, body = self.status, {"code": -1003 if self.status == 429 else 0, "msg": "refused"}
            if self.retry_after is not None:
                headers["Retry-After"] = str(self.retry_after)
        else:
            body = self.document(parts.path, query)
        data = json.dumps(body).encode()
        handler.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(data)


class FakeBinance(FakeExchange):
    """Candles of each minute since `listed_ms`, but for `missing` ones; trades with ids from 0.

    changed: candles with another close, by their start. trades: (milliseconds, price, amount, buyer is maker).
    """

    def __init__(
        self, listed_ms: int = 1_704_067_200_000, symbols: tuple[str, ...] = ("BTC", "ETH"), **where: Any
    ) -> None:
        super().__init__(**where)
        self.listed_ms, self.symbols = listed_ms, symbols
        self.missing: set[int] = set()
        self.changed: dict[int, float] = {}
        self.trades: list[Print] = []

    def document(self, path: str, query: Query) -> Any:
        name = path.rpartition("/")[2]
        if name == "exchangeInfo":
            contracts = not path.startswith("/api/")
            return {"symbols": [_symbol(each, contracts) for each in self.symbols]}
        if name == "time":
            return {"serverTime": self.now_ms}
        return self.klines(query) if name == "klines" else self.agg_trades(query)

    def klines(self, query: Query) -> list[list[Any]]:
        step, limit = INTERVALS[query["interval"]], int(query.get("limit", 500))
        newest = self.now_ms // step * step
        end = min(int(query.get("endTime", newest)), newest)
        start = max(int(query.get("startTime", newest - (limit - 1) * step)), self.listed_ms)
        rows: list[list[Any]] = []
        at = -(-start // step) * step
        while at <= end and len(rows) < limit:
            if at not in self.missing:
                rows.append(self.candle(at, step))
            at += step
        return rows

    def candle(self, at: int, step: int) -> list[Any]:
        price = 100 + at // step % 50
        close = self.changed.get(at, price + 0.5)
        return [
            at,
            f"{price}",
            f"{price + 60}",
            f"{price - 1}",
            f"{close}",
            "2.5",
            at + step - 1,
            "250",
            7,
            "1",
            "100",
            "0",
        ]

    def agg_trades(self, query: Query) -> list[dict[str, Any]]:
        limit = int(query.get("limit", 500))
        trades = self.trades_of(query["symbol"])
        numbers: Any = range(len(trades))
        if "fromId" in query:
            numbers = range(int(query["fromId"]), len(trades))[:limit]
        elif "startTime" in query:
            first, last = int(query["startTime"]), int(query["endTime"])
            numbers = [each for each in numbers if first <= trades[each][0] <= last][:limit]
        else:
            numbers = numbers[-limit:]
        return [agg_trade(each, trades[each]) for each in numbers]

    def trades_of(self, symbol: str) -> list[Print]:
        return self.trades


def agg_trade(number: int, trade: Print) -> dict[str, Any]:
    time_ms, price, amount, is_maker = trade
    ids = {"a": number, "f": number, "l": number}
    return {**ids, "p": f"{price}", "q": f"{amount}", "T": time_ms, "m": is_maker, "M": True}


def _symbol(base: str, is_contract: bool) -> dict[str, Any]:
    filters = [
        {"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "1000000", "tickSize": "0.01000000"}
    ]
    document = {
        "symbol": f"{base}USDT", "status": "TRADING", "baseAsset": base, "quoteAsset": "USDT",
        "baseAssetPrecision": 8, "quotePrecision": 8, "isSpotTradingAllowed": True, "permissions": ["SPOT"],
        "filters": filters,
    }  # fmt: skip
    if is_contract:
        document |= {
            "contractType": "PERPETUAL",
            "marginAsset": "USDT",
            "pair": f"{base}USDT",
            "pricePrecision": 2,
        }
        document |= {"quantityPrecision": 3, "onboardDate": 1_704_067_200_000}
    return document


class FakeKraken(FakeExchange):
    """Its newest 720 candles of a minute, whatever is asked. trades: (seconds as text, price, amount, side)."""

    def __init__(self) -> None:
        super().__init__()
        self.trades: list[tuple[str, float, float, str]] = []

    def document(self, path: str, query: Query) -> Any:
        pair = "XXBTZUSD"
        last = path.rpartition("/")[2]
        if last == "AssetPairs":
            market = {
                "altname": "XBTUSD",
                "wsname": "XBT/USD",
                "base": "XXBT",
                "quote": "ZUSD",
                "pair_decimals": 1,
            }
            result: dict[str, Any] = {
                pair: {
                    **market,
                    "status": "online",
                    "lot_decimals": 8,
                    "fees": [],
                    "fees_maker": [],
                    "tick_size": "0.1",
                }
            }
        elif last == "Assets":
            result = {"XXBT": {"altname": "XBT", "decimals": 10}, "ZUSD": {"altname": "USD", "decimals": 4}}
        elif last == "Time":
            result = {"unixtime": self.now_ms // 1000}
        elif last == "OHLC":
            newest = self.now_ms // MINUTE_MS * 60
            rows = [
                [at, "100", "101", "99", "100.5", "100.2", "3.5", 4]
                for at in range(newest - 719 * 60, newest + 60, 60)
            ]
            result = {pair: rows, "last": newest}
        else:
            since = int(query.get("since", 0))
            trades: list[list[Any]] = [
                [f"{price}", f"{amount}", seconds, side, "m", "", number]
                for number, (seconds, price, amount, side) in enumerate(self.trades, 1)
                if _nanoseconds(seconds) > since
            ]
            trades = trades[:1000] if since else trades[-1000:]
            result = {pair: trades, "last": str(_nanoseconds(trades[-1][2]) if trades else since)}
        return {"error": [], "result": result}


def _nanoseconds(seconds: str) -> int:
    whole, _, part = seconds.partition(".")
    return int(whole) * 10**9 + int(part.ljust(9, "0")[:9] or 0)


@contextmanager
def declared(settings: Any, **exchanges: FakeExchange) -> Iterator[None]:
    """Ask these servers instead of the exchanges of their names."""
    settings.SOURCES = {name: {"url": exchange.url} for name, exchange in exchanges.items()}
    yield
