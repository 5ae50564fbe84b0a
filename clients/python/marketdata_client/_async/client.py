"""The client for programs with asyncio."""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, Unpack

import httpx

from marketdata_client._async.downloads import download
from marketdata_client._async.history import stream, walk, whole
from marketdata_client._async.live import followed, frames
from marketdata_client._async.session import AsyncSession
from marketdata_client._async.uploads import send
from marketdata_client.config import Options, make_config
from marketdata_client.errors import BadAnswer
from marketdata_client.exports import account_export_request, export_request
from marketdata_client.history import EQUITIES, Query, Symbols, cross_section, page_rows, page_table
from marketdata_client.ingesting import Ingest, Ingested, Row, batches
from marketdata_client.jobs import Job, confirm_request, has_succeeded, job_request, pauses, shown_progress
from marketdata_client.journal import Journal
from marketdata_client.live import Frame, Subscription
from marketdata_client.requests import (
    Parameter,
    Request,
    get_request,
    post_once,
    post_request,
    put_request,
    segment,
)
from marketdata_client.tables import Table
from marketdata_client.uploads import upload_request


class AsyncClient:
    """A client of one server. Use it in `async with`, or await `close()`.

    base_url: the URL before `/api/v1`. key: an API key. options: see `Options`. Raises ValueError if the URL is not of http or https, or a credential is not visible ASCII.
    """

    def __init__(
        self,
        base_url: str,
        key: str | None = None,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        **options: Unpack[Options],
    ) -> None:
        self._session = AsyncSession(make_config(base_url, key, options), transport)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections, also those of feeds: they raise `RuntimeError` if they are read on."""
        await self._session.close()

    async def get(self, path: str, **params: Parameter) -> Any:
        """Return the JSON document at a path such as `/api/v1/limits`."""
        return await self._session.json(get_request(path, params))

    async def post(self, path: str, body: Any = None, *, idempotency_key: str | None = None) -> Any:
        """POST a JSON document; return the answer's. It is retried only with an idempotency key."""
        return await self._session.json(post_request(path, body, idempotency_key=idempotency_key))

    async def put(self, path: str, body: Any) -> Any:
        """PUT a JSON document, such as an instrument; return the answer's. It is retried: a repeated PUT changes nothing."""
        return await self._session.json(put_request(path, body))

    async def bars(
        self, symbol: Symbols, resolution: str = "1m", *, market: str = EQUITIES, **params: Parameter
    ) -> Table:
        """Return the bars of a range (`start=`, `end=`) or the newest ones (`last=`), as `read` does."""
        return await self.read("ohlcv", symbol, market=market, **{"resolution": resolution, **params})

    async def trades(self, symbol: Symbols, *, market: str = EQUITIES, **params: Parameter) -> Table:
        """Return the trades of a range or the newest ones, as `read` does."""
        return await self.read("trades", symbol, market=market, **params)

    async def quotes(self, symbol: Symbols, *, market: str = EQUITIES, **params: Parameter) -> Table:
        """Return the quotes of a range or the newest ones, as `read` does."""
        return await self.read("quotes", symbol, market=market, **params)

    async def read(
        self, dataset: str, symbol: Symbols, *, market: str = EQUITIES, **params: Parameter
    ) -> Table:
        """Return all rows of a query in one table.

        The range of one symbol, of any length, is read by a verified stream; several symbols, or `last=`, by pages.
        """
        return await whole(self._session, Query(dataset, symbol, market, params))

    async def page(
        self, dataset: str, symbol: Symbols, *, market: str = EQUITIES, **params: Parameter
    ) -> Table:
        """Return one page, of any dataset and with any parameter of pages."""
        query = Query(dataset, symbol, market, params)
        answer = await self._session.answer(query.table_page(params.get("cursor")))
        return page_table(answer)[0]

    def pages(
        self, dataset: str, symbol: Symbols, *, market: str = EQUITIES, **params: Parameter
    ) -> AsyncIterator[Table]:
        """Iterate over the pages of a query. All are of one snapshot."""
        query = Query(dataset, symbol, market, params)
        return walk(self._session, query, query.table_page, page_table)

    async def rows(
        self, dataset: str, symbol: Symbols, *, market: str = EQUITIES, **params: Parameter
    ) -> AsyncIterator[dict[str, Any]]:
        """Iterate over the rows of all pages, as the API's JSON has them."""
        query = Query(dataset, symbol, market, params)
        async for page in walk(self._session, query, query.row_page, page_rows):
            for row in page:
                yield row

    def stream(
        self, dataset: str, symbol: str, *, market: str = EQUITIES, **params: Parameter
    ) -> AsyncIterator[Table]:
        """Iterate over a range in bounded memory.

        The rows count only if the iteration comes to its end: it raises `IncompleteStream` if not all came.
        """
        return stream(self._session, Query(dataset, symbol, market, params))

    async def latest(self, symbols: Sequence[str], *, market: str = EQUITIES) -> list[dict[str, Any]]:
        """Return the newest trade and quote of each symbol."""
        return await self._cross_section("latest", symbols, market)

    async def snapshot(self, symbols: Sequence[str], *, market: str = EQUITIES) -> list[dict[str, Any]]:
        """Return the newest trade, quote, minute bar and daily bars of each symbol."""
        return await self._cross_section("snapshot", symbols, market)

    async def ingest(
        self,
        dataset: str,
        rows: Iterable[Row],
        *,
        journal: str | Path | None = None,
        batch_rows: int = 10_000,
        on_progress: Callable[[Ingested], object] = lambda _: None,
        **params: Parameter,
    ) -> Ingested:
        """Store rows (as docs/ingest.md has them, each with its symbol) in batches.

        rows: dictionaries, or a frame of pandas, polars or pyarrow with these columns; the index of a frame is left out.
        journal: a file that survives the process. If it is killed, start again with the same rows from the beginning
        and the same journal: every row is stored once. Raises `JournalConflict` if the rows are others.
        """
        ingest, total = Ingest(dataset, params), Ingested()
        with Journal(journal, f"{self._session.config.base_url}{ingest.target}") as opened:
            for number, (symbol, body) in enumerate(batches(rows, batch_rows), start=1):
                stored = opened.begin(number, f"{symbol}\n".encode() + body)
                answer = stored
                if answer is None:
                    answer = await self._session.json_object(ingest.request(symbol, body, opened.key(number)))
                total = total.plus(answer, resumed=stored is not None)
                if stored is None:
                    opened.end(number, answer)
                on_progress(total)
        return total

    async def upload(
        self,
        path: str | Path,
        *,
        upload_id: str | None = None,
        on_progress: Callable[[Job], object] | None = None,
        **params: Any,
    ) -> Any:
        """Upload a file of rows (docs/uploads.md) and return what became of them: `symbols` has an item for each symbol, `bad_rows` the first bad rows.

        params: `format`, if the name does not tell it, `dataset`, `symbol`, `options` and others. Shows a bar. With
        `on_progress` it shows none, and calls this with documents: `id` and the state `uploading`, later the job's states. If the
        program is killed, a call with this id as `upload_id` goes on. Raises `JobFailed` for a bad row, whose rows before
        it may be stored, or a file that cannot be read, and `ConfirmationNeeded` if the server asks whether it reads the file rightly.
        """
        file = Path(path)
        if upload_id is None:
            upload_id = await self._submitted(upload_request(file, params))
        with shown_progress(on_progress) as tell:
            await send(self._session, file, upload_id, tell)
        return await self.wait(upload_id, on_progress=on_progress)

    def live(
        self, *channels: str, tokens: Mapping[str, str] | None = None, mode: str | None = None
    ) -> AsyncIterator[Frame]:
        """Iterate over frames of the live feed (docs/live.md) as they come, for ever.

        tokens: from which each channel continues; by default with what is stored from now on. A broken connection is
        opened again, and nothing is missed; only bars may come again.
        """
        return frames(self._session, Subscription(channels, dict(tokens or {}), mode))

    def follow(
        self, dataset: str, symbol: str, *, market: str = EQUITIES, **params: Parameter
    ) -> AsyncIterator[Frame]:
        """Iterate over the stored rows (`start=` or `last=`) in one frame, then over each that is stored later."""
        return followed(self._session, Query(dataset, symbol, market, params), symbol)

    async def job(self, job_id: str) -> dict[str, Any]:
        """Return a job's document."""
        return await self._session.json_object(job_request(job_id))

    async def wait(self, job_id: str, *, on_progress: Callable[[Job], object] | None = None) -> Any:
        """Return a job's result when it has ended. Polls each second at first, every ten seconds later.

        Shows a bar, unless `on_progress` takes the job's states.

        Raises `JobFailed`, `ConfirmationNeeded`.
        """
        with shown_progress(on_progress) as tell:
            polls = pauses()
            while True:
                job = await self.job(job_id)
                tell(job)
                if has_succeeded(job):
                    return job.get("result")
                await self._session.sleep(next(polls))

    async def confirm(self, job_id: str, *, on_progress: Callable[[Job], object] | None = None) -> Any:
        """Confirm a job that asked (`ConfirmationNeeded`), and return its result, as `wait` does."""
        await self._session.answer(confirm_request(job_id))
        return await self.wait(job_id, on_progress=on_progress)

    async def export(
        self,
        dataset: str,
        symbols: Symbols,
        folder: str | Path,
        *,
        market: str = EQUITIES,
        on_progress: Callable[[Job], object] | None = None,
        **params: Any,
    ) -> dict[str, Any]:
        """Export rows as files (docs/exports.md) and download them into a folder. Return the manifest, with the data set's `id`.

        params: `format` (`parquet`), `start`, `end` and others of the dataset's stream. Shows a bar, unless `on_progress` takes
        the job's states, and then documents with the state `downloading`. Raises `JobFailed`. If the program is killed, `download` goes on.
        """
        job = await self._submitted(export_request(dataset, symbols, market, params))
        await self.wait(job, on_progress=on_progress)
        return await self.download(job, folder, on_progress=on_progress)

    async def export_account(
        self,
        account: str,
        table: str,
        folder: str | Path,
        *,
        on_progress: Callable[[Job], object] | None = None,
        **params: Any,
    ) -> dict[str, Any]:
        """Export an account's `orders`, `executions`, `transactions`, `ledger` or `positions`, as `export` does. params: `format`, `as_of`."""
        job = await self._submitted(account_export_request(account, table, params))
        await self.wait(job, on_progress=on_progress)
        return await self.download(job, folder, on_progress=on_progress)

    async def download(
        self, job_id: str, folder: str | Path, *, on_progress: Callable[[Job], object] | None = None
    ) -> dict[str, Any]:
        """Download what is missing in a folder of an export that has succeeded, as `export` does. Each file is checked by its SHA-256."""
        job = await self.job(job_id)
        with shown_progress(on_progress) as tell:
            return await download(self._session, job, Path(folder), tell)

    async def portfolio(self, *, account: str | None = None) -> dict[str, Any]:
        """Return an account's positions, equity and cash. account: None for the only one that the key sees."""
        return await self._session.json_object(get_request("/api/v1/portfolio", {"account": account}))

    async def order(
        self,
        symbol: str,
        side: str,
        quantity: float,
        *,
        account: str | None = None,
        client_order_id: str | None = None,
        **params: Any,
    ) -> dict[str, Any]:
        """Place an order, and return it as it was accepted. Raises `InvalidRequest` if a check of risk fails.

        side: `buy` or `sell`. params: `type` (`market`), `limit_price`, `stop_loss` and others of docs/trading.md. It is
        placed once, also if the call is sent again; with a `client_order_id` also if the program is started again.
        """
        body = {
            "symbol": symbol,
            "side": side,
            "quantity": quantity,
            **params,
            "client_order_id": client_order_id,
        }
        return await self._session.json_object(post_once("/api/v1/orders", body, {"account": account}))

    async def cancel(self, order_id: str, *, account: str | None = None) -> dict[str, Any]:
        """Ask for the cancel of an order, and return it; the engine cancels it."""
        path = f"/api/v1/orders/{segment(order_id)}"
        return await self._session.json_object(Request("DELETE", path, {"account": account}))

    async def orders_batch(
        self,
        orders: Sequence[Mapping[str, Any]],
        *,
        account: str | None = None,
    ) -> dict[str, Any]:
        """Place up to 500 orders in turn, and return a verdict for each in `items`: `accepted`, `repeated` or `refused`.

        orders: with the fields of `order`. They are placed once, also if the call is sent again; those with a
        `client_order_id` also if the program is started again.
        """
        body = {"orders": [dict(each) for each in orders]}
        job = await self._session.json_object(post_once("/api/v1/orders/batch", body, {"account": account}))
        if not isinstance(job.get("result"), dict):
            raise BadAnswer("the answer has no result")
        return dict(job["result"])

    async def cancel_batch(self, order_ids: Sequence[str], *, account: str | None = None) -> dict[str, Any]:
        """Ask for the cancel of up to 500 orders, and return an answer for each in `items`."""
        body = {"orders": list(order_ids)}
        return await self._session.json_object(
            post_once("/api/v1/orders/batch/cancel", body, {"account": account})
        )

    async def backtest(
        self,
        strategy: str,
        symbols: Sequence[str],
        *,
        on_progress: Callable[[Job], object] | None = None,
        **params: Any,
    ) -> Any:
        """Run a strategy over the past, and return the result: `performance`, `trades`, `signals`, `inputs`.

        params: `start`, `end`, `parameters` and others of docs/strategies.md; without a period all that is stored. Shows
        a bar, as `wait` does. Raises `JobFailed`, and `InvalidRequest` for wrong parameters.
        """
        if isinstance(symbols, str):
            raise TypeError("give the symbols in a list")
        body = {"strategy": strategy, "symbols": list(symbols), **params}
        job = await self._submitted(post_once("/api/v1/backtests", body))
        return await self.wait(job, on_progress=on_progress)

    async def _submitted(self, request: Request) -> str:
        """Return the id of what a call submits."""
        job = await self._session.json_object(request)
        if not isinstance(job.get("id"), str):
            raise BadAnswer("the answer has no id")
        return str(job["id"])

    async def _cross_section(self, name: str, symbols: Sequence[str], market: str) -> list[dict[str, Any]]:
        found = (await self._session.json_object(cross_section(name, symbols, market))).get(name)
        if not isinstance(found, list):
            raise BadAnswer(f"the answer has no list {name}")
        return found
