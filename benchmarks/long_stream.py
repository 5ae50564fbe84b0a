"""A long history of trades in one answer: memory of the web process, rows per second, time to the first row.

There are a thousand trades with ids in each minute of the day, so ten million trades are on seven dates. Memory is
the process's own. Pages of mapped files are not counted, because the kernel takes them back when it needs them.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPResponse
from statistics import median

import pyarrow as pa

from benchmarks.generated_trades import SYMBOL, Stream, stored
from benchmarks.processes import memory_of_process
from benchmarks.report import Goal, Ratio, Row, Sizes, UnexpectedAnswer
from benchmarks.servers import WEB, Server, our_server
from store.csv import CsvStore
from store.datasets import TRADES
from store.timestamps import format_timestamp

_TRADES = f"/api/v1/market-data/equities/{SYMBOL}/trades"
_STREAM = Stream(a_minute=1_000, with_ids=True)
_HOUR = 60 * _STREAM.a_minute
_FORMATS = ("ndjson", "csv", "arrow")
_MIB = 1 << 20
_TURNS = 15
_PATIENCE_SECONDS = 60.0


def measure_long_stream(sizes: Sizes) -> Iterator[Row]:
    """Yield memory, rows per second and the time to the first row, by format, for one client and one web process."""
    count = sizes.trades // _STREAM.a_minute * _STREAM.a_minute
    with our_server() as server:
        _await_derived(stored(server.folder, _STREAM, count))
        web = next(pid for pid, name in server.processes().items() if name == WEB)
        for name in _FORMATS * 3:
            with _answer(server, _target(_HOUR, name)) as response:
                response.read()
        base = _memory(web)
        for name in _FORMATS:
            seconds, peak = _measure_round(server, web, name=name, count=count)
            what = f"{count:,} trades streamed as {name}"
            yield Ratio(f"{what}: growth of own memory", peak - base, None, "MiB", Goal(most=32, unit="MiB"))
            yield Ratio(what, count / seconds, None, "rows/s")
            yield from _measure_first(server, count, name)


def _measure_round(server: Server, web: int, *, name: str, count: int) -> tuple[float, float]:
    """Read one stream; return its seconds, and the peak of the process's own memory in MiB.

    Raises `UnexpectedAnswer` if rows are missing.
    """
    began, rows, peak = time.perf_counter(), 0, 0.0
    with _answer(server, _target(count, name)) as response:
        for new_rows in _COUNTS[name](response):
            rows += new_rows
            peak = max(peak, _memory(web))
    if rows != count:
        raise UnexpectedAnswer(f"{rows:,} of {count:,} rows were streamed as {name}")
    return time.perf_counter() - began, peak


def _measure_first(server: Server, count: int, name: str) -> Iterator[Row]:
    """Yield the time to the first row of a stream against a page of one row. They alternate, on new connections."""
    first, page = [], []
    for turn in range(_TURNS):
        began = time.perf_counter()
        with _answer(server, _target(count, name)) as response:
            response.read(_FIRST_BYTES)
            first.append(time.perf_counter() - began)
        began = time.perf_counter()
        with _answer(server, f"{_TRADES}.{name}?limit=1&{_range(turn * _HOUR, _HOUR)}") as response:
            response.read()
            page.append(time.perf_counter() - began)
    yield Ratio(
        f"the first row as {name}, against a page of one",
        here=1e3 * median(first),
        beside=1e3 * median(page),
        unit="ms",
        goal=Goal(0.5, 2),
    )


@contextmanager
def _answer(server: Server, target: str) -> Iterator[HTTPResponse]:
    """Yield the answer to a GET, and close its connection at the end. Raises `UnexpectedAnswer` unless it is 200."""
    connection = HTTPConnection(server.host, server.port, timeout=_PATIENCE_SECONDS)
    try:
        connection.request("GET", target, headers={"X-API-Key": server.next_key()})
        response = connection.getresponse()
        if response.status != 200:
            raise UnexpectedAnswer(f"{response.status}: {response.read()[:500]!r}")
        yield response
        response.close()
    finally:
        connection.close()


def _lines(response: HTTPResponse, *, header: int = 0) -> Iterator[int]:
    """Yield the number of rows (line ends) in each piece. First yields minus the number of header lines."""
    yield -header
    while piece := response.read(_MIB):
        yield piece.count(b"\n")


def _batches(response: HTTPResponse) -> Iterator[int]:
    """Yield the number of rows of each batch."""
    with pa.ipc.open_stream(response) as batches:
        for batch in batches:
            yield batch.num_rows


_COUNTS = {"ndjson": _lines, "csv": lambda response: _lines(response, header=1), "arrow": _batches}
_FIRST_BYTES = 1_500  # more than any format's header and first row


def _memory(web: int) -> float:
    """Return the MiB of a process's own memory."""
    return memory_of_process("RssAnon", web) / _MIB


def _await_derived(store: CsvStore) -> None:
    """Build derived files until they hold all rows. The server's worker may build them at the same time."""
    while store.rows_behind(TRADES, SYMBOL):
        store.derive(TRADES, SYMBOL)
        time.sleep(0.1)


def _target(count: int, format_name: str) -> str:
    return f"{_TRADES}/stream.{format_name}?{_range(0, count)}"


def _range(first: int, count: int) -> str:
    window = _STREAM.window(first, count)
    return f"start={format_timestamp(window.start_ns)}&end={format_timestamp(window.end_ns)}"
