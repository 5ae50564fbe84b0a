"""Sends requests until they are answered: retries, pauses, errors. Opens streams and WebSockets."""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from itertools import count
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection

from marketdata_client.bodies import BodyDecoder, json_in, object_in
from marketdata_client.config import ClientConfig
from marketdata_client.connections import (
    AsyncDirect,
    check_status,
    http_errors,
    http_options,
    websocket_errors,
    websocket_options,
)
from marketdata_client.errors import Refused, Unreachable
from marketdata_client.requests import Answer, Request

# Errors may be read in whole, whatever the limit of streams.
_ERROR_BYTES = 2**20


class AsyncStream:
    """A response whose body is read piece by piece."""

    def __init__(self, response: httpx.Response) -> None:
        self._response, self.headers = response, response.headers

    async def pieces(self, *, limit: float = math.inf, seconds: float = math.inf) -> AsyncIterator[bytes]:
        """Iterate over the body, decompressed. Raises `Unreachable` if it breaks off, and `BadAnswer`."""
        decoder = BodyDecoder(self.headers, limit=limit, seconds=seconds)
        with http_errors():
            async for raw in self._response.aiter_raw():
                for piece in decoder.pieces(raw):
                    yield piece
        decoder.end()


class AsyncSession:
    """The connections of a client."""

    def __init__(self, config: ClientConfig, transport: httpx.AsyncBaseTransport | None) -> None:
        self.config = config
        self._http = httpx.AsyncClient(transport=transport, **http_options(config))
        self._websockets: set[ClientConnection] = set()

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()
        for each in list(self._websockets):
            await each.close()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def json(self, request: Request) -> Any:
        """Return the JSON document of an answer; None without a body."""
        answer = await self.answer(request)
        return json_in(answer.body) if answer.body else None

    async def json_object(self, request: Request) -> dict[str, Any]:
        """Return the JSON object of an answer."""
        return object_in((await self.answer(request)).body)

    async def answer(self, request: Request) -> Answer:
        """Return a successful answer, after retries. Raises `MarketDataError`."""
        response, body = await self._sent(request, is_streamed=False)
        return Answer(response.headers, body)

    @asynccontextmanager
    async def open(self, request: Request) -> AsyncIterator[AsyncStream]:
        """Give a successful answer before its body is read, after retries. Raises `MarketDataError`."""
        response, _ = await self._sent(request, is_streamed=True)
        async with aclosing(response):
            yield AsyncStream(response)

    async def _sent(self, request: Request, *, is_streamed: bool) -> tuple[httpx.Response, bytes]:
        retries = self.config.retries
        for attempt in count(1):
            try:
                return await self._attempt(request, is_streamed=is_streamed)
            except (Refused, Unreachable) as error:
                pause = retries.pause(attempt, error) if request.is_repeatable else None
                if pause is None:
                    raise
                retries.on_pause(error, pause)
            await self.sleep(pause)
        raise AssertionError("count() has no end")

    async def _attempt(self, request: Request, *, is_streamed: bool) -> tuple[httpx.Response, bytes]:
        url, headers = self.config.target(request)
        with http_errors():
            built = self._http.build_request(
                request.method, url, headers=headers, content=request.body or None
            )
            response = await self._http.send(built, stream=True)
        if is_streamed and response.status_code in {200, 206}:
            return response, b""
        limit = _ERROR_BYTES if is_streamed else self.config.max_answer
        async with aclosing(response):
            pieces = AsyncStream(response).pieces(limit=limit, seconds=10 * self.config.timeout)
            body = b"".join([piece async for piece in pieces])
        check_status(response.status_code, response.headers, body)
        return response, body

    @asynccontextmanager
    async def websocket(self, path: str) -> AsyncIterator[ClientConnection]:
        """Give an open WebSocket. Its errors become `Unreachable`, `Refused`, and `BadAnswer` for a redirect.

        Raises RuntimeError if the client is closed, also meanwhile.
        """
        self._check_open()
        try:
            with websocket_errors():
                async with AsyncDirect(**websocket_options(self.config, path)) as opened:
                    self._websockets.add(opened)
                    try:
                        yield opened
                    finally:
                        self._websockets.discard(opened)
        except Unreachable:
            self._check_open()
            raise

    def _check_open(self) -> None:
        if self._http.is_closed:
            raise RuntimeError("the client is closed")
