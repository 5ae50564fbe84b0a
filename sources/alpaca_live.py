"""Live trades by Alpaca's market-data stream, or by an installation that speaks it (`/api/v2/stream`)."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any

import msgspec
import pyarrow as pa
from websockets.exceptions import InvalidStatus, WebSocketException

from ops.outbound.exceptions import DestinationRefused, DestinationUnavailable
from ops.outbound.web_socket import CONNECT_SECONDS, ClientConnection, checked_connect
from sources.protocol import LiveNews, SourceFailed, SourceRefused

# What codes mean. The server's own words are not repeated: they may have the key in them.
_REFUSALS = {
    402: "it does not know the key",
    405: "the plan has fewer symbols",
    409: "the plan lacks this feed",
    410: "this feed has no trades",
}
_FAILURES = {
    404: "the login took too long",
    406: "the plan has no other connection",
    407: "we read too slowly",
}
_TAKE_SECONDS, _NEWS_SECONDS = 0.2, 1.0
_Message = dict[str, Any]


async def live_trades(
    name: str,
    url: str,
    key: Sequence[str],
    symbols: Sequence[str],
    rows_of: Callable[[list[_Message]], pa.RecordBatch],
) -> AsyncGenerator[LiveNews, None]:
    """See `Source`. key: its id and secret. rows_of: makes rows of trades in Alpaca's form. Rows are by Alpaca's symbols."""
    try:
        async with await checked_connect(name, url) as socket:
            await _heard(name, socket, "connected")
            await socket.send(
                msgspec.json.encode({"action": "auth", "key": key[0], "secret": key[1]}).decode()
            )
            await _heard(name, socket, "authenticated")
            await socket.send(msgspec.json.encode({"action": "subscribe", "trades": list(symbols)}).decode())
            await _heard(name, socket, "subscription")
            is_new, heard, latency = True, time.monotonic(), socket.latency
            while True:
                messages = await _taken(name, socket)
                trades: dict[str, list[_Message]] = {}
                for each in messages:
                    if each["T"] == "t":
                        trades.setdefault(each["S"], []).append(each)
                if messages or socket.latency != latency:
                    heard, latency = time.monotonic(), socket.latency
                yield LiveNews({symbol: rows_of(rows) for symbol, rows in trades.items()}, is_new, heard)
                is_new = False
    except DestinationRefused as error:
        raise SourceRefused(str(error)) from error
    except InvalidStatus as error:
        raise SourceFailed(f"{name} refuses a live connection ({error.response.status_code})") from error
    except (DestinationUnavailable, OSError, WebSocketException, msgspec.DecodeError, KeyError) as error:
        raise SourceFailed(f"{name}'s live connection failed or was lost") from error


async def _heard(name: str, socket: ClientConnection, word: str) -> None:
    """Wait for the answer with a word."""
    async with asyncio.timeout(CONNECT_SECONDS):
        while True:
            for message in _messages(name, await socket.recv()):
                if word in (message["T"], message.get("msg")):
                    return


async def _taken(name: str, socket: ClientConnection) -> list[_Message]:
    """Return the messages that came in some tenths of a second; none after a second without one."""
    messages: list[_Message] = []
    until = time.monotonic() + _NEWS_SECONDS
    while (rest := until - time.monotonic()) > 0:
        try:
            async with asyncio.timeout(rest):
                messages += _messages(name, await socket.recv())
        except TimeoutError:
            break
        until = min(until, time.monotonic() + _TAKE_SECONDS)
    return messages


def _messages(name: str, frame: str | bytes) -> list[_Message]:
    """Return the messages of a frame. Raises `SourceError`s for those that report one."""
    messages = msgspec.json.decode(frame, type=list[_Message])
    for each in messages:
        if each["T"] == "error":
            code = int(each["code"])
            error = SourceRefused if code in _REFUSALS else SourceFailed
            told = (_REFUSALS | _FAILURES).get(code, "it gives no reason")
            raise error(f"{name} ends the live connection: {told} ({code})")
    return messages
