"""Live trades of an exchange, by ccxt's WebSockets. ccxt is loaded by the first call: see `ExchangeClient`."""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import pyarrow as pa

from sources.exchange_client import ExchangeClient
from sources.exchange_pages import trade_of, trade_rows
from sources.protocol import LiveNews, Wanted

# Binance numbers its history by aggregated trades: its live trades must be these. ccxt keeps trades that were not taken
# yet, and drops the oldest without a word when there are more.
_AGGREGATED = {"name": "aggTrade"}
_OPTIONS = {"tradesLimit": 100_000, "watchTrades": _AGGREGATED, "watchTradesForSymbols": _AGGREGATED}
# After two of these without an answer ccxt ends the connection.
_PING_MS = 20_000
# Trades are taken some times a second: to await each one costs more than to read it.
_TAKE_SECONDS, _NEWS_SECONDS = 0.2, 1.0


async def live_trades(client: ExchangeClient, wanteds: Sequence[Wanted]) -> AsyncGenerator[LiveNews, None]:
    """See `Source`. All markets are spot, or all are contracts."""
    exchange = await asyncio.to_thread(client.live, _OPTIONS, is_contract=":" in wanteds[0].name)
    exchange.streaming = {**exchange.streaming, "keepAlive": min(exchange.streaming["keepAlive"], _PING_MS)}
    connections: list[Any] = []
    exchange.on_connected = lambda connection, *_: connections.append(connection)
    names, heard, spoken = [each.name for each in wanteds], time.monotonic(), (0, 0)
    watching = asyncio.ensure_future(_next_trade(exchange, names))
    try:
        while True:
            await asyncio.wait([watching], timeout=_NEWS_SECONDS)
            if watching.done():
                watching.result()
                watching = asyncio.ensure_future(_next_trade(exchange, names))
            rows = {name: rows for name in names if (rows := _taken(exchange, name)) is not None}
            before, spoken = spoken, (len(connections), sum(each.lastPong or 0 for each in connections))
            if rows or before != spoken:
                heard = time.monotonic()
            yield LiveNews(rows, before[0] != spoken[0], heard)
            await asyncio.sleep(_TAKE_SECONDS)
    except Exception as error:
        if not type(error).__module__.startswith("ccxt"):
            raise
        answer = error.args[0] if error.args else None
        raise client.failure(
            error, getattr(answer, "status", 0), getattr(answer, "headers", None) or {}
        ) from error
    finally:
        watching.cancel()
        await exchange.close()


async def _next_trade(exchange: Any, names: Sequence[str]) -> None:
    """Wait for a trade of a market; subscribe to those that are not yet. Raises ccxt's errors."""
    if exchange.has.get("watchTradesForSymbols"):
        await exchange.watch_trades_for_symbols(list(names))
        return
    watching = [asyncio.ensure_future(exchange.watch_trades(name)) for name in names]
    try:
        done, _ = await asyncio.wait(watching, return_when=asyncio.FIRST_COMPLETED)
        for each in done:
            each.result()
    finally:
        for each in watching:
            each.cancel()


def _taken(exchange: Any, name: str) -> pa.RecordBatch | None:
    """Return the trades that came of a market since the last call, and let ccxt forget them."""
    cached = exchange.trades.get(name)
    if not cached:
        return None
    trades = [trade_of(row) for row in cached]
    cached.clear()
    return trade_rows(trades)
