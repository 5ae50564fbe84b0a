"""The fake Binance with its WebSocket, and its faults. The real ccxt talks to it.

As a program it prints trades until Ctrl-C:

    .venv/bin/python -m tests.sources.live_binance --port 9100 --rate 5
    FEEDS="binance BTC/USDT" SOURCES='{"binance": {"url": "http://127.0.0.1:9100"}}' make run
"""

import argparse
import base64
import hashlib
import json
import socket
import sys
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.sources.exchanges import FakeBinance, Print, agg_trade

_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_TEXT, _CLOSE, _PING, _PONG = 1, 8, 9, 10


class LiveBinance(FakeBinance):
    """Trades by symbol, `BTCUSDT`, each sent to the sockets that subscribed to it.

    is_silent: sockets are open and nothing comes, also no pong. is_losing: trades are not sent, and pongs are. is_away: no
    connection is answered. refuses_sockets: the status of handshakes, 0 to accept them. lag_ms: history ends so long ago.
    """

    def __init__(self, symbols: tuple[str, ...] = ("BTC", "ETH"), **where: Any) -> None:
        super().__init__(symbols=symbols, **where)
        self.sent: dict[str, list[Print]] = {f"{each}USDT": [] for each in symbols}
        self.is_silent = self.is_losing = self.is_away = False
        self.refuses_sockets = self.handshakes = self.lag_ms = 0
        self._sockets: list[_Socket] = []
        self._lock = threading.Lock()

    def trades_of(self, symbol: str) -> list[Print]:
        newest = self.now_ms - self.lag_ms
        return [each for each in self.sent[symbol] if not self.lag_ms or each[0] <= newest]

    def print(self, symbol: str = "BTCUSDT", price: float = 100.0, amount: float = 0.5) -> None:
        """A trade of now."""
        with self._lock:
            trade = (self.now_ms, price, amount, False)
            self.sent[symbol].append(trade)
            if self.is_silent or self.is_losing:
                return
            document = {
                **agg_trade(len(self.sent[symbol]) - 1, trade),
                "e": "aggTrade",
                "E": trade[0],
                "s": symbol,
            }
            data = json.dumps(document).encode()
            stream = f"{symbol.lower()}@aggTrade"
            for each in self._sockets:
                if stream in each.streams:
                    each.send(_TEXT, data)

    def cut(self) -> None:
        """End all sockets without a word."""
        for each in [*self._sockets]:
            each.end()

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        if self.is_away:
            handler.close_connection = True
        elif handler.headers.get("Upgrade", "").lower() != "websocket":
            super()._answer(handler)
        elif self.refuses_sockets:
            handler.send_error(self.refuses_sockets)
        else:
            self.handshakes += 1
            self._serve(handler)

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        key = handler.headers["Sec-WebSocket-Key"] + _GUID
        handler.send_response(101)
        accept = base64.b64encode(hashlib.sha1(key.encode(), usedforsecurity=False).digest()).decode()
        for name, value in {
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Accept": accept,
        }.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.close_connection = True
        own = _Socket(handler)
        self._sockets.append(own)
        try:
            while (frame := own.read()) is not None:
                self._take(own, *frame)
        finally:
            self._sockets.remove(own)

    def _take(self, own: "_Socket", kind: int, data: bytes) -> None:
        if kind == _CLOSE:
            own.end()
        elif self.is_silent:
            pass
        elif kind == _PING:
            own.send(_PONG, data)
        elif kind == _TEXT:
            asked: dict[str, Any] = json.loads(data)
            own.send(_TEXT, json.dumps({"result": None, "id": asked["id"]}).encode())
            own.streams |= set(asked["params"])


class _Socket:
    def __init__(self, handler: BaseHTTPRequestHandler) -> None:
        self.streams: set[str] = set()
        self._handler = handler

    def send(self, kind: int, data: bytes) -> None:
        length = bytes([len(data)]) if len(data) < 126 else b"\x7e" + len(data).to_bytes(2, "big")
        with suppress(OSError, ValueError):
            self._handler.wfile.write(bytes([0x80 | kind]) + length + data)

    def read(self) -> tuple[int, bytes] | None:
        """A frame of the client, None at the end."""
        with suppress(OSError, ValueError):
            head = self._handler.rfile.read(2)
            if len(head) == 2:
                length = head[1] & 0x7F
                if length >= 126:
                    length = int.from_bytes(self._handler.rfile.read(2 if length == 126 else 8), "big")
                mask = self._handler.rfile.read(4)
                data = self._handler.rfile.read(length)
                return head[0] & 0x0F, bytes(byte ^ mask[place % 4] for place, byte in enumerate(data))
        return None

    def end(self) -> None:
        with suppress(OSError):
            self._handler.connection.shutdown(socket.SHUT_RDWR)


class Printing:
    """Prints trades of some symbols in a thread, so many a second in all, until the end of the block."""

    def __init__(self, exchange: LiveBinance, rate: float, *symbols: str) -> None:
        self._exchange, self._rate, self._symbols = exchange, rate, symbols or ("BTCUSDT",)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._print, daemon=True)

    def __enter__(self) -> "Printing":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()

    def _print(self) -> None:
        began, count = time.monotonic(), 0
        while not self._ending.wait(max(0.002, began + count / self._rate - time.monotonic())):
            for _ in range(max(1, round(self._rate / 200))):
                symbol = self._symbols[count % len(self._symbols)]
                self._exchange.print(symbol, 100 + count % 97 / 100, 0.5 + count % 7)
                count += 1


def main() -> None:
    """Print trades of all symbols until Ctrl-C."""
    parser = argparse.ArgumentParser(description="A fake Binance on 127.0.0.1.")
    parser.add_argument("--port", type=int, default=9100)
    parser.add_argument("--rate", type=float, default=5.0, help="trades a second, of all symbols")
    options = parser.parse_args()
    with LiveBinance(port=options.port) as exchange, Printing(exchange, options.rate, *exchange.sent):
        sys.stdout.write(f"Binance's fake on {exchange.url}\n")
        sys.stdout.flush()
        with suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main()
