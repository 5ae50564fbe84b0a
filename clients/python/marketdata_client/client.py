"""The client for programs with threads."""

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack

import httpx

from marketdata_client import calls, history, trading
from marketdata_client.bodies import BodyDecoder
from marketdata_client.errors import BadAnswer, Refused, Unreachable
from marketdata_client.exchange import document
from marketdata_client.history import EQUITIES, Query, Symbols
from marketdata_client.ingesting import Ingest, Ingested, Row, ingested
from marketdata_client.jobs import Job, job_call, job_result, shown_progress
from marketdata_client.journal import Journal
from marketdata_client.live import Frame, Subscription, followed, frames
from marketdata_client.site import Options, Parameter, Site, make_site
from marketdata_client.sockets import Socket
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

if TYPE_CHECKING:
    from store.copies import CopyProgress

T = TypeVar("T")
# Errors may be read in whole, whatever the limit of streams.
ERROR_BYTES = 2**20


class Client:
    """A client of one server. Threads may share it. Use it in `with`, or call `close()`.

    base_url: the URL before `/api/v1`. key: an API key. options: see `Options`. Raises ValueError if the URL is not of http or https, or a credential is not visible ASCII.
    """

    def __init__(
        self,
        base_url: str,
        key: str | None = None,
        *,
        transport: httpx.BaseTransport | None = None,
        **options: Unpack[Options],
    ) -> None:
        self.site = make_site(base_url, key, options)
        self._http = httpx.Client(transport=transport, **http_options(self.site))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections but those of feeds, which end with their iterators."""
        self._http.close()

    def get(self, path: str, **parameters: Parameter) -> Any:
        """Return the JSON document at a path such as `/api/v1/limits`."""
        return self.run(document(self.site, calls.get_call(path, parameters)))

    def post(self, path: str, body: Any = None, *, idempotency_key: str | None = None) -> Any:
        """POST a JSON document; return the answer's. It is retried only with an idempotency key."""
        return self.run(document(self.site, calls.post_call(path, body, idempotency_key=idempotency_key)))

    def bars(
        self, symbol: Symbols, resolution: str = "1m", *, market: str = EQUITIES, **parameters: Parameter
    ) -> Table:
        """Return the bars of a range (`start=`, `end=`) or the newest ones (`last=`), as `read` does."""
        terms = {"resolution": resolution, **parameters}
        return self.read("ohlcv", symbol, market=market, **terms)

    def trades(self, symbol: Symbols, *, market: str = EQUITIES, **parameters: Parameter) -> Table:
        """Return the trades of a range or the newest ones, as `read` does."""
        return self.read("trades", symbol, market=market, **parameters)

    def quotes(self, symbol: Symbols, *, market: str = EQUITIES, **parameters: Parameter) -> Table:
        """Return the quotes of a range or the newest ones, as `read` does."""
        return self.read("quotes", symbol, market=market, **parameters)

    def read(
        self, dataset: str, symbol: Symbols, *, market: str = EQUITIES, **parameters: Parameter
    ) -> Table:
        """Return all rows of a query in one table.

        The range of one symbol, of any length, is read by a verified stream; several symbols, or `last=`, by pages.
        """
        return self.run(history.whole(self.site, Query(dataset, symbol, market, parameters)))

    def page(
        self, dataset: str, symbol: Symbols, *, market: str = EQUITIES, **parameters: Parameter
    ) -> Table:
        """Return one page, of any dataset and with any parameter of pages."""
        return self.run(history.first_page(self.site, Query(dataset, symbol, market, parameters)))

    def pages(
        self, dataset: str, symbol: Symbols, *, market: str = EQUITIES, **parameters: Parameter
    ) -> Iterator[Table]:
        """Iterate over the pages of a query. All are of one snapshot."""
        return self.iterate(history.pages(self.site, Query(dataset, symbol, market, parameters)))

    def rows(
        self, dataset: str, symbol: Symbols, *, market: str = EQUITIES, **parameters: Parameter
    ) -> Iterator[dict[str, Any]]:
        """Iterate over the rows of all pages, as the API's JSON has them."""
        return self.iterate(history.rows(self.site, Query(dataset, symbol, market, parameters)))

    def stream(
        self, dataset: str, symbol: str, *, market: str = EQUITIES, **parameters: Parameter
    ) -> Iterator[Table]:
        """Iterate over a range in bounded memory.

        The rows count only if the iteration comes to its end: it raises `IncompleteStream` if not all came.
        """
        return self.iterate(history.stream(self.site, Query(dataset, symbol, market, parameters)))

    def latest(self, symbols: Sequence[str], *, market: str = EQUITIES) -> list[dict[str, Any]]:
        """Return the newest trade and quote of each symbol."""
        return self.run(calls.cross_section(self.site, "latest", symbols, market))

    def snapshot(self, symbols: Sequence[str], *, market: str = EQUITIES) -> list[dict[str, Any]]:
        """Return the newest trade, quote, minute bar and daily bars of each symbol."""
        return self.run(calls.cross_section(self.site, "snapshot", symbols, market))

    def ingest(
        self,
        dataset: str,
        rows: Iterable[Row],
        *,
        journal: str | Path | None = None,
        batch_rows: int = 10_000,
        on_progress: Callable[[Ingested], object] = lambda _: None,
        **parameters: Parameter,
    ) -> Ingested:
        """Store rows (as docs/ingest.md has them, each with its symbol) in batches.

        journal: a file that survives the process. If it is killed, start again with the same rows from the beginning
        and the same journal: every row is stored once. Raises `JournalConflict` if the rows are others.
        """
        ingest = Ingest(dataset, batch_rows, parameters)
        with Journal(journal, f"{self.site.base_url}{ingest.target}") as opened:
            return self.run(ingested(self.site, ingest, rows, opened, on_progress))

    def live(
        self, *channels: str, tokens: Mapping[str, str] | None = None, mode: str | None = None
    ) -> Iterator[Frame]:
        """Iterate over frames of the live feed (docs/live.md) as they come, for ever.

        tokens: from which each channel continues; by default with what is stored from now on. A broken connection is
        opened again, and nothing is missed; only bars may come again.
        """
        return self.iterate(frames(self.site, Subscription(channels, dict(tokens or {}), mode)))

    def follow(
        self, dataset: str, symbol: str, *, market: str = EQUITIES, **parameters: Parameter
    ) -> Iterator[Frame]:
        """Iterate over the stored rows (`start=` or `last=`) in one frame, then over each that is stored later."""
        query = Query(dataset, symbol, market, parameters)
        return self.iterate(followed(self.site, query, f"{dataset}:{symbol}"))

    def mirror(
        self, folder: str | Path, symbols: Sequence[str], *, follow: bool = True, anew: bool = False
    ) -> "Generator[CopyProgress, None, None]":
        """Copy the logs of symbols into a local store, and iterate over how far each is (docs/mirror.md).

        follow: go on with what is stored later, for ever; failures that may pass are tried again. anew: copy a log that was restored again, from the beginning.
        Needs the server's package `store`, and a key with the scope `market:copy`. Raises `store.copies.MirrorError`.
        """
        from marketdata_client.mirroring import ServerLogs, mirrored  # noqa: PLC0415 optional

        source = ServerLogs(self.site, self.run, self.iterate)
        return mirrored(source, Path(folder), symbols, follow=follow, anew=anew)

    def job(self, job_id: str) -> dict[str, Any]:
        """Return a job's document."""
        found: dict[str, Any] = self.run(document(self.site, job_call(job_id)))
        return found

    def wait(self, job_id: str, *, on_progress: Callable[[Job], object] | None = None) -> Any:
        """Return a job's result when it has ended. Shows a bar, unless `on_progress` takes the job's states.

        Raises `JobFailed`.
        """
        with shown_progress(on_progress) as tell:
            return self.run(job_result(self.site, job_id, tell))

    def portfolio(self, *, account: str | None = None) -> dict[str, Any]:
        """Return an account's positions, equity and cash. account: None for the only one that the key sees."""
        return self.run(trading.portfolio(self.site, account))

    def order(
        self,
        symbol: str,
        side: str,
        quantity: float,
        *,
        account: str | None = None,
        client_order_id: str | None = None,
        **terms: Any,
    ) -> dict[str, Any]:
        """Place an order, and return it as it was accepted. Raises `InvalidRequest` if a check of risk fails.

        side: `buy` or `sell`. terms: `type` (`market`), `limit_price`, `stop_loss` and others of docs/trading.md. It is
        placed once, also if the call is sent again; with a `client_order_id` also if the program is started again.
        """
        body = {"symbol": symbol, "side": side, "quantity": quantity, **terms}
        return self.run(trading.order_placed(self.site, body, account, client_order_id))

    def cancel(self, order_id: str, *, account: str | None = None) -> dict[str, Any]:
        """Ask for the cancel of an order, and return it; the engine cancels it."""
        return self.run(trading.order_cancelled(self.site, order_id, account))

    def backtest(
        self,
        strategy: str,
        symbols: Sequence[str],
        *,
        on_progress: Callable[[Job], object] | None = None,
        **terms: Any,
    ) -> Any:
        """Run a strategy over the past, and return the result: `performance`, `trades`, `signals`, `inputs`.

        terms: `start`, `end`, `parameters` and others of docs/strategies.md; without a period all that is stored. Shows
        a bar, as `wait` does. Raises `JobFailed`, and `InvalidRequest` for wrong terms.
        """
        with shown_progress(on_progress) as tell:
            return self.run(trading.backtested(self.site, strategy, symbols, terms, tell))

    def run(self, flow: Flow[T]) -> T:
        """Do a flow's steps, and return its result."""
        stepper = Stepper(flow)
        for _ in self._emitted(stepper):
            pass
        return stepper.result

    def iterate(self, flow: Flow[Any]) -> Generator[Any, None, None]:
        """Do a flow's steps, and give what it emits."""
        return self._emitted(Stepper(flow))

    def _emitted(self, stepper: Stepper[Any]) -> Generator[Any, None, None]:
        wires = _Wires(self._http, self.site)
        try:
            while (step := stepper.next()) is not None:
                if isinstance(step, Emit):
                    yield step.value
                    continue
                try:
                    stepper.outcome = wires.do(step)
                except (Unreachable, Refused, BadAnswer) as error:
                    stepper.error = error
        finally:
            stepper.close()
            wires.close()


class _Wires:
    """The connections of one flow."""

    def __init__(self, http: httpx.Client, site: Site) -> None:
        self._http, self._max_answer, self._seconds = http, site.max_answer, 10 * site.timeout
        self._socket = Socket(site)
        self._response: httpx.Response | None = None
        self._pieces: Iterator[bytes] = iter(())
        self._decoder: BodyDecoder | None = None

    def do(self, step: Step) -> Any:
        match step:
            case Send():
                with asked_http():
                    return self._send(step.request)
            case Open():
                with asked_http():
                    return self._open(step.request)
            case Read():
                with asked_http():
                    return self._read()
            case Connect():
                self._socket.connect(step.request)
            case Say():
                self._socket.say(step.text)
            case Hear():
                return self._socket.hear(step.seconds)
            case Sleep():
                time.sleep(step.seconds)
        return None

    def close(self) -> None:
        self._socket.close()
        self._close_response()

    def _close_response(self) -> None:
        if self._response is not None:
            self._response.close()
            self._response = None

    def _send(self, request: Request) -> Answer:
        response = self._http.send(http_request(self._http, request), stream=True)
        try:
            return self._whole(response, self._max_answer)
        finally:
            response.close()

    def _open(self, request: Request) -> Answer:
        self._close_response()
        response = self._http.send(http_request(self._http, request), stream=True)
        self._response = response
        if response.status_code != 200:
            return self._whole(response, ERROR_BYTES)
        self._pieces = response.iter_raw()
        self._decoder = BodyDecoder(response.headers, limit=None)
        return Answer(200, headers_of(response))

    def _whole(self, response: httpx.Response, limit: int) -> Answer:
        decoder = BodyDecoder(response.headers, limit=limit, seconds=self._seconds)
        body = b"".join([decoder.take(raw) for raw in response.iter_raw()])
        decoder.end()
        return Answer(response.status_code, headers_of(response), body)

    def _read(self) -> bytes:
        assert self._decoder is not None  # noqa: S101 a flow opens before it reads
        while self._decoder.has_more:
            if decoded := self._decoder.take(b""):
                return decoded
        for raw in self._pieces:
            if decoded := self._decoder.take(raw):
                return decoded
        self._decoder.end()
        return b""


@contextmanager
def asked_http() -> Iterator[None]:
    """Raise httpx's errors as those of the client."""
    try:
        yield
    except httpx.TransportError as error:
        raise Unreachable(f"{type(error).__name__}: {error}") from error
    except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL) as error:
        raise BadAnswer(f"{type(error).__name__}: {error}") from error


def http_options(site: Site) -> dict[str, Any]:
    """Return what both kinds of httpx's clients are made with: no redirects, no cookies."""
    no_cookies = CookieJar(policy=DefaultCookiePolicy(allowed_domains=[]))
    verify: Any = True if site.ssl_context is None else site.ssl_context
    return {
        "timeout": site.timeout,
        "verify": verify,
        "follow_redirects": False,
        "cookies": no_cookies,
        "trust_env": site.trust_env,
    }


def http_request(http: httpx.Client | httpx.AsyncClient, request: Request) -> httpx.Request:
    return http.build_request(
        request.method, request.url, headers={**request.headers}, content=request.body or None
    )


def headers_of(response: httpx.Response) -> Mapping[str, str]:
    return {name.lower(): value for name, value in response.headers.items()}
