"""A long history of trades in one answer: memory of the web process, rows per second, time to the first row.

There are a thousand trades a minute, day and night, with ids: ten million are seven dates. Memory is counted as
the kernel counts it: the process's own, and pages of mapped files, which the kernel takes back when it needs them.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from statistics import median
from typing import Any

import orjson
import pyarrow as pa

from benchmarks.formats import frameworks_renderer
from benchmarks.generated_trades import SYMBOL, Stream, stored
from benchmarks.processes import memory_of_process
from benchmarks.report import Ratio, Row, Sizes
from benchmarks.servers import Server, UnexpectedAnswer, our_server
from store.csv import CsvStore
from store.datasets import TRADES
from store.timestamps import format_timestamp

_TRADES = f"/api/v1/market-data/equities/{SYMBOL}/trades"
_STREAM = Stream(a_minute=1_000, with_ids=True)
_HOUR = 60 * _STREAM.a_minute
_FORMATS = ("ndjson", "csv", "arrow")
_MIB = 1 << 20
_MEASURES = {"RssAnon": "own memory", "RssFile": "pages of mapped files"}
_ALLOWED_MIB = 32
_RENDERED_ROWS, _RENDERINGS = 10_000, 20
_TURNS = 15
_PATIENCE_SECONDS = 60.0


@dataclass(slots=True)
class _Measured:
    """Seconds of a row (elapsed, processor), streamed and by the framework's renderer; the peak of each measure of memory in MiB."""

    streamed: list[tuple[float, float]] = field(default_factory=list)
    rendered: list[tuple[float, float]] = field(default_factory=list)
    peak: dict[str, float] = field(default_factory=lambda: dict.fromkeys(_MEASURES, 0.0))


def measure_long_stream(sizes: Sizes) -> Iterator[Row]:
    """One client, one web process, in each format."""
    count = sizes.trades // _STREAM.a_minute * _STREAM.a_minute
    with our_server() as server:
        _await_derived(stored(server.folder, _STREAM, count))
        web, rows = server.process("marketdata_project.serve.web"), _rows(server)
        for name in _FORMATS * 3:
            with _answer(server, _target(_HOUR, name)) as response:
                response.read()
        base, measured = _memory(web), {name: _Measured() for name in _FORMATS}
        for _ in range(sizes.rounds):
            for name in _FORMATS:
                _measure_round(measured[name], server, web, rows, name=name, count=count)
        for name in _FORMATS:
            yield from _ratios(f"{count:,} trades streamed as {name}", measured[name], base)
            yield from _measure_first(server, count, name)


def _measure_round(
    measured: _Measured, server: Server, web: int, rows: list[Any], *, name: str, count: int
) -> None:
    """Read one stream and count its rows; then run the framework's renderer on the first rows.

    Raises `UnexpectedAnswer`.
    """
    began, used = time.perf_counter(), _processor_seconds(web)
    with _answer(server, _target(count, name)) as response:
        read = 0
        for found in _COUNTS[name](response):
            read += found
            for measure, held in _memory(web).items():
                measured.peak[measure] = max(measured.peak[measure], held)
    measured.streamed.append(
        ((time.perf_counter() - began) / count, (_processor_seconds(web) - used) / count)
    )
    if read != count:
        raise UnexpectedAnswer(f"{read:,} of {count:,} rows were streamed as {name}")
    render = frameworks_renderer()
    began, used, rendered = time.perf_counter(), time.thread_time(), len(rows) * _RENDERINGS
    for _ in range(_RENDERINGS):
        render(rows)
    measured.rendered.append(
        ((time.perf_counter() - began) / rendered, (time.thread_time() - used) / rendered)
    )


def _ratios(what: str, measured: _Measured, base: dict[str, float]) -> Iterator[Row]:
    for measure, kind in _MEASURES.items():
        grown = measured.peak[measure] - base[measure]
        yield Ratio(f"{what}: {kind}", here=grown, peer=_ALLOWED_MIB, unit="MiB", wanted="below 1")
    grown = sum(measured.peak.values()) - sum(base.values())
    yield Ratio(f"{what}: both", here=grown, peer=_ALLOWED_MIB, unit="MiB", wanted="below 1")
    for index, kind in enumerate(("elapsed time", "processor time of the server")):
        yield Ratio(
            f"{what}, against the framework's JSON of them, {kind}",
            here=1 / median(each[index] for each in measured.streamed),
            peer=1 / median(each[index] for each in measured.rendered),
            unit="rows/s",
            wanted="at least 5",
        )


def _measure_first(server: Server, count: int, name: str) -> Iterator[Row]:
    """Time to the first row of a stream against a page of one row, in turns, each on a new connection."""
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
        peer=1e3 * median(page),
        unit="ms",
        wanted="about 1",
    )


@contextmanager
def _answer(server: Server, target: str) -> Iterator[HTTPResponse]:
    """The answer to a GET; its connection is closed at the end. Raises `UnexpectedAnswer` unless it is 200."""
    connection = HTTPConnection(server.host, server.port, timeout=_PATIENCE_SECONDS)
    try:
        connection.request("GET", target, headers={"X-API-Key": server.key})
        response = connection.getresponse()
        if response.status != 200:
            raise UnexpectedAnswer(f"{response.status}: {response.read()[:500]!r}")
        yield response
        response.close()
    finally:
        connection.close()


def _rows(server: Server) -> list[Any]:
    """The first rows as dictionaries."""
    with _answer(server, _target(_HOUR, "ndjson")) as response:
        return [orjson.loads(response.readline()) for _ in range(_RENDERED_ROWS)]


def _lines(response: HTTPResponse, *, header: int = 0) -> Iterator[int]:
    """The number of line ends in each piece."""
    yield -header
    while piece := response.read(_MIB):
        yield piece.count(b"\n")


def _batches(response: HTTPResponse) -> Iterator[int]:
    """The number of rows of each batch."""
    with pa.ipc.open_stream(response) as batches:
        for batch in batches:
            yield batch.num_rows


_COUNTS = {"ndjson": _lines, "csv": lambda response: _lines(response, header=1), "arrow": _batches}
_FIRST_BYTES = 1_500  # more than the head of any format and a row


def _memory(web: int) -> dict[str, float]:
    """MiB of a process by measure."""
    return {measure: memory_of_process(measure, web) / _MIB for measure in _MEASURES}


def _processor_seconds(web: int) -> float:
    """Processor seconds of all threads of a process so far."""
    fields = Path(f"/proc/{web}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _await_derived(store: CsvStore) -> None:
    """Build derived files until they hold all rows; the server's worker may build them, too."""
    while store.rows_behind(TRADES, SYMBOL):
        store.derive(TRADES, SYMBOL)
        time.sleep(0.1)


def _target(count: int, format_name: str) -> str:
    return f"{_TRADES}/stream.{format_name}?{_range(0, count)}"


def _range(first: int, count: int) -> str:
    window = _STREAM.window(first, count)
    return f"start={format_timestamp(window.start_ns)}&end={format_timestamp(window.end_ns)}"
