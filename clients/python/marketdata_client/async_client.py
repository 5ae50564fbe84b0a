"""The client for programs with asyncio. Its methods are those of `Client`."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

import httpx

from marketdata_client import calls, history, trading
from marketdata_client.bodies import BodyDecoder
from marketdata_client.client import (
    ERROR_BYTES,
    asked_http,
    headers_of,
    http_options,
    http_request,
)
from marketdata_client.errors import BadAnswer, Refused, Unreachable
from marketdata_client.exchange import document
from marketdata_client.history import EQUITIES, Query, Symbols
from marketdata_client.ingesting import Ingest, Ingested, Row, ingested
from marketdata_client.jobs import Job, job_call, job_result, shown_progress
from marketdata_client.journal import Journal
from marketdata_client.live import Frame, Subscription, followed, frames
from marketdata_client.site import Options, Parameter, Site, make_site
from marketdata_client.sockets import AsyncSocket
from marketdata_client.steps import (
    Answer,
    Connect,
    Emit,
    Flow,
    Hear,
    Open,
    Read,
    Request,
    Say,
    Send,
    Sleep,
    Step,
    Stepper,
)
from marketdata_client.tables import Table

T = TypeVar("T")


class AsyncClient:
    """A client of one server; see `Client`. Use it in `async with`, or await `close()`."""

    def __init__(
        self,
        base_url: str,
        key: str | None = None,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        **options: Unpack[Options],
    ) -> None:
        self.site = make_site(base_url, key, options)
        self._http = httpx.AsyncClient(transport=transport, **http_options(self.site))
        self._wires: set[_AsyncWires] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections, also those of feeds: they raise `RuntimeError` if they are read on."""
        await self._http.aclose()
        for wires in list(self._wires):
            await wires.close()

    async def get(self, path: str, **parameters: Parameter) -> Any:
        """See `Client.get`."""
        return await self.run(document(self.site, calls.get_call(path, parameters)))

    async def post(self, path: str, body: Any = None, *, idempotency_key: str | None = None) -> Any:
        """See `Client.post`."""
        call = calls.post_call(path, body, idempotency_key=idempotency_key)
        return await self.run(document(self.site, call))

    async def bars(
        self, symbol: Symbols, resolution: str = "1m", *, market: str = EQUITIES, **parameters: Parameter
    ) -> Table:
        """See `Client.bars`."""
        terms = {"resolution": resolution, **parameters}
        return await self.read("ohlcv", symbol, market=market, **terms)

    async def trades(self, symbol: Symbols, *, market: str = EQUITIES, **parameters: Parameter) -> Table:
        """See `Client.trades`."""
        return await self.read("trades", symbol, market=market, **parameters)

    async def quotes(self, symbol: Symbols, *, market: str = EQUITIES, **parameters: Parameter) -> Table:
        """See `Client.quotes`."""
        return await self.read("quotes", symbol, market=market, **parameters)

    async def read(
        self, dataset: str, symbol: Symbols, *, market: str = EQUITIES, **parameters: Parameter
    ) -> Table:
        """See `Client.read`."""
        query = Query(dataset, symbol, market, parameters)
        return await self.run(history.whole(self.site, query))

    async def page(
        self, dataset: str, symbol: Symbols, *, market: str = EQUITIES, **parameters: Parameter
    ) -> Table:
        """See `Client.page`."""
        return await self.run(history.first_page(self.site, Query(dataset, symbol, market, parameters)))

    def pages(
        self, dataset: str, symbol: Symbols, *, market: str = EQUITIES, **parameters: Parameter
    ) -> AsyncIterator[Table]:
        """See `Client.pages`."""
        return self.iterate(history.pages(self.site, Query(dataset, symbol, market, parameters)))

    def rows(
        self, dataset: str, symbol: Symbols, *, market: str = EQUITIES, **parameters: Parameter
    ) -> AsyncIterator[dict[str, Any]]:
        """See `Client.rows`."""
        return self.iterate(history.rows(self.site, Query(dataset, symbol, market, parameters)))

    def stream(
        self, dataset: str, symbol: str, *, market: str = EQUITIES, **parameters: Parameter
    ) -> AsyncIterator[Table]:
        """See `Client.stream`."""
        return self.iterate(history.stream(self.site, Query(dataset, symbol, market, parameters)))

    async def latest(self, symbols: Sequence[str], *, market: str = EQUITIES) -> list[dict[str, Any]]:
        """See `Client.latest`."""
        return await self.run(calls.cross_section(self.site, "latest", symbols, market))

    async def snapshot(self, symbols: Sequence[str], *, market: str = EQUITIES) -> list[dict[str, Any]]:
        """See `Client.snapshot`."""
        return await self.run(calls.cross_section(self.site, "snapshot", symbols, market))

    async def ingest(
        self,
        dataset: str,
        rows: Iterable[Row],
        *,
        journal: str | Path | None = None,
        batch_rows: int = 10_000,
        on_progress: Callable[[Ingested], object] = lambda _: None,
        **parameters: Parameter,
    ) -> Ingested:
        """See `Client.ingest`. Writing the journal takes the event loop a disk sync for each batch."""
        ingest = Ingest(dataset, batch_rows, parameters)
        with Journal(journal, f"{self.site.base_url}{ingest.target}") as opened:
            return await self.run(ingested(self.site, ingest, rows, opened, on_progress))

    def live(
        self, *channels: str, tokens: Mapping[str, str] | None = None, mode: str | None = None
    ) -> AsyncIterator[Frame]:
        """See `Client.live`."""
        return self.iterate(frames(self.site, Subscription(channels, dict(tokens or {}), mode)))

    def follow(
        self, dataset: str, symbol: str, *, market: str = EQUITIES, **parameters: Parameter
    ) -> AsyncIterator[Frame]:
        """See `Client.follow`."""
        query = Query(dataset, symbol, market, parameters)
        return self.iterate(followed(self.site, query, f"{dataset}:{symbol}"))

    async def job(self, job_id: str) -> dict[str, Any]:
        """See `Client.job`."""
        found: dict[str, Any] = await self.run(document(self.site, job_call(job_id)))
        return found

    async def wait(self, job_id: str, *, on_progress: Callable[[Job], object] | None = None) -> Any:
        """See `Client.wait`."""
        with shown_progress(on_progress) as tell:
            return await self.run(job_result(self.site, job_id, tell))

    async def portfolio(self, *, account: str | None = None) -> dict[str, Any]:
        """See `Client.portfolio`."""
        return await self.run(trading.portfolio(self.site, account))

    async def order(
        self,
        symbol: str,
        side: str,
        quantity: float,
        *,
        account: str | None = None,
        client_order_id: str | None = None,
        **terms: Any,
    ) -> dict[str, Any]:
        """See `Client.order`."""
        body = {"symbol": symbol, "side": side, "quantity": quantity, **terms}
        return await self.run(trading.order_placed(self.site, body, account, client_order_id))

    async def cancel(self, order_id: str, *, account: str | None = None) -> dict[str, Any]:
        """See `Client.cancel`."""
        return await self.run(trading.order_cancelled(self.site, order_id, account))

    async def backtest(
        self,
        strategy: str,
        symbols: Sequence[str],
        *,
        on_progress: Callable[[Job], object] | None = None,
        **terms: Any,
    ) -> Any:
        """See `Client.backtest`."""
        with shown_progress(on_progress) as tell:
            return await self.run(trading.backtested(self.site, strategy, symbols, terms, tell))

    async def run(self, flow: Flow[T]) -> T:
        """Do a flow's steps, and return its result."""
        stepper = Stepper(flow)
        async for _ in self._emitted(stepper):
            pass
        return stepper.result

    def iterate(self, flow: Flow[Any]) -> AsyncIterator[Any]:
        """Do a flow's steps, and give what it emits."""
        return self._emitted(Stepper(flow))

    async def _emitted(self, stepper: Stepper[Any]) -> AsyncIterator[Any]:
        wires = _AsyncWires(self._http, self.site)
        self._wires.add(wires)
        try:
            while (step := stepper.next()) is not None:
                if isinstance(step, Emit):
                    yield step.value
                    continue
                if self._http.is_closed:
                    raise RuntimeError("the client is closed")
                try:
                    stepper.outcome = await wires.do(step)
                except (Unreachable, Refused, BadAnswer) as error:
                    stepper.error = error
        finally:
            stepper.close()
            await wires.close()
            self._wires.discard(wires)


class _AsyncWires:
    """The connections of one flow."""

    def __init__(self, http: httpx.AsyncClient, site: Site) -> None:
        self._http, self._max_answer, self._seconds = http, site.max_answer, 10 * site.timeout
        self._socket = AsyncSocket(site)
        self._response: httpx.Response | None = None
        self._pieces: AsyncIterator[bytes] | None = None
        self._decoder: BodyDecoder | None = None

    async def do(self, step: Step) -> Any:
        match step:
            case Send():
                with asked_http():
                    return await self._send(step.request)
            case Open():
                with asked_http():
                    return await self._open(step.request)
            case Read():
                with asked_http():
                    return await self._read()
            case Connect():
                await self._socket.connect(step.request)
            case Say():
                await self._socket.say(step.text)
            case Hear():
                return await self._socket.hear(step.seconds)
            case Sleep():
                await asyncio.sleep(step.seconds)
        return None

    async def close(self) -> None:
        await self._socket.close()
        await self._close_response()

    async def _close_response(self) -> None:
        response, self._response = self._response, None
        if response is not None:
            await response.aclose()

    async def _send(self, request: Request) -> Answer:
        response = await self._http.send(http_request(self._http, request), stream=True)
        try:
            return await self._whole(response, self._max_answer)
        finally:
            await response.aclose()

    async def _open(self, request: Request) -> Answer:
        await self._close_response()
        response = await self._http.send(http_request(self._http, request), stream=True)
        self._response = response
        if response.status_code != 200:
            return await self._whole(response, ERROR_BYTES)
        self._pieces = response.aiter_raw()
        self._decoder = BodyDecoder(response.headers, limit=None)
        return Answer(200, headers_of(response))

    async def _whole(self, response: httpx.Response, limit: int) -> Answer:
        decoder = BodyDecoder(response.headers, limit=limit, seconds=self._seconds)
        body = b"".join([decoder.take(raw) async for raw in response.aiter_raw()])
        decoder.end()
        return Answer(response.status_code, headers_of(response), body)

    async def _read(self) -> bytes:
        assert self._decoder is not None  # noqa: S101 a flow opens before it reads
        assert self._pieces is not None  # noqa: S101 as above
        while self._decoder.has_more:
            if decoded := self._decoder.take(b""):
                return decoded
        async for raw in self._pieces:
            if decoded := self._decoder.take(raw):
                return decoded
        self._decoder.end()
        return b""
