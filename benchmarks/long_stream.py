"""All trades of a long history in one answer: what the web process holds meanwhile, how fast rows come, when the first is there.

Trades are day and night a thousand a minute, with ids, and folded: ten million of them are seven dates. What
a process holds is told apart as the kernel does: memory of its own, and pages of mapped files, which the
kernel takes back when it wants them.
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
_MEASURES = {"RssAnon": "memory of its own", "RssFile": "pages of mapped files"}
_ALLOWED_MIB = 32
_ALLOWED_SECONDS = 1.0
# Of what a client has cost that goes away so much may stay, as it comes and goes in a process at rest.
_SLACK_MIB = 6
_TAKEN_BYTES = 20 * _MIB
_RENDERED_ROWS, _RENDERINGS = 10_000, 20
_TURNS = 15
_PATIENCE_SECONDS = 60.0
_LISTENING = "0A"


@dataclass(slots=True)
class _Measured:
    """What a format's streams gave: seconds of a row by the clock and of the processor, of the stream and of the framework beside it.

    most: of each measure of memory, in MiB.
    """

    streamed: list[tuple[float, float]] = field(default_factory=list)
    rendered: list[tuple[float, float]] = field(default_factory=list)
    most: dict[str, float] = field(default_factory=lambda: dict.fromkeys(_MEASURES, 0.0))


def measure_long_stream(sizes: Sizes) -> Iterator[Row]:
    """By one client of one web process."""
    count = sizes.trades // _STREAM.a_minute * _STREAM.a_minute
    with our_server() as server:
        _await_folded(stored(server.folder, _STREAM, count))
        web, rows = server.process("marketdata_project.serve.web"), _rows(server)
        for name in _FORMATS * 3:
            with _answer(server, _target(_HOUR, name)) as response:
                response.read()
        base, measured = _held(web), {name: _Measured() for name in _FORMATS}
        for _ in range(sizes.rounds):
            for name in _FORMATS:
                _measure_round(measured[name], server, web, rows, name=name, count=count)
        for name in _FORMATS:
            yield from _tell(f"{count:,} trades streamed as {name}", measured[name], base)
            yield from _measure_first(server, count, name)
            yield from _measure_leaving(server, web, _target(count, name), name)


def _measure_round(
    measured: _Measured, server: Server, web: int, rows: list[Any], *, name: str, count: int
) -> None:
    """One stream, counted row by row, and the framework's renderer on some of its rows.

    Raises `UnexpectedAnswer`.
    """
    began, used = time.perf_counter(), _processor_seconds(web)
    with _answer(server, _target(count, name)) as response:
        read = 0
        for found in _COUNTS[name](response):
            read += found
            for measure, held in _held(web).items():
                measured.most[measure] = max(measured.most[measure], held)
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


def _tell(what: str, measured: _Measured, base: dict[str, float]) -> Iterator[Row]:
    for measure, kind in _MEASURES.items():
        grown = measured.most[measure] - base[measure]
        yield Ratio(f"{what}: {kind}", here=grown, peer=_ALLOWED_MIB, unit="MiB", wanted="below 1")
    grown = sum(measured.most.values()) - sum(base.values())
    yield Ratio(f"{what}: both", here=grown, peer=_ALLOWED_MIB, unit="MiB", wanted="below 1")
    for place, kind in enumerate(("by the clock", "of the processor, all of the server's")):
        yield Ratio(
            f"{what}, against the framework's JSON of them, {kind}",
            here=1 / median(each[place] for each in measured.streamed),
            peer=1 / median(each[place] for each in measured.rendered),
            unit="rows/s",
            wanted="at least 5",
        )


def _measure_first(server: Server, count: int, name: str) -> Iterator[Row]:
    """From the request to the first row, each on a connection of its own, against a page of one row, in turns."""
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


def _measure_leaving(server: Server, web: int, target: str, name: str) -> Iterator[Row]:
    """From a client's going away amid a stream until the server has neither its connection nor its memory.

    Raises `UnexpectedAnswer`.
    """
    time.sleep(_ALLOWED_SECONDS)
    seconds, base = [], _held(web)["RssAnon"]
    for _ in range(_TURNS):
        with _answer(server, target) as response:
            response.read(_TAKEN_BYTES)
        began = time.perf_counter()
        while _connections(server) or _held(web)["RssAnon"] > base + _SLACK_MIB:
            if time.perf_counter() - began > _PATIENCE_SECONDS:
                kept = _held(web)["RssAnon"] - base
                raise UnexpectedAnswer(
                    f"{_connections(server)} connections and {kept:.0f} MiB were kept of a client that went away"
                )
            time.sleep(0.002)
        seconds.append(time.perf_counter() - began)
    yield Ratio(
        f"what the slowest of {_TURNS} clients as {name} held that went away: free again",
        here=max(seconds),
        peer=_ALLOWED_SECONDS,
        unit="s",
        wanted="below 1",
    )


@contextmanager
def _answer(server: Server, target: str) -> Iterator[HTTPResponse]:
    """An answer that is a 200; its connection is closed behind it. Raises `UnexpectedAnswer`."""
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
    """How many lines each piece ends."""
    yield -header
    while piece := response.read(_MIB):
        yield piece.count(b"\n")


def _batches(response: HTTPResponse) -> Iterator[int]:
    """How many rows each batch has."""
    with pa.ipc.open_stream(response) as batches:
        for batch in batches:
            yield batch.num_rows


_COUNTS = {"ndjson": _lines, "csv": lambda response: _lines(response, header=1), "arrow": _batches}
_FIRST_BYTES = 1_500  # more than the head of any format and a row


def _held(web: int) -> dict[str, float]:
    """MiB of a process by each measure."""
    return {measure: memory_of_process(measure, web) / _MIB for measure in _MEASURES}


def _processor_seconds(web: int) -> float:
    """What all threads of a process have used so far."""
    fields = Path(f"/proc/{web}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _connections(server: Server) -> int:
    """How many connections of clients the server has open."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    here = f"0100007F:{server.port:04X}"
    return sum(row[1] == here and row[3] != _LISTENING and row[9] != "0" for row in rows)


def _await_folded(store: CsvStore) -> None:
    """Return when the derived files hold all rows; makes them, unless the server's worker does."""
    while store.rows_behind(TRADES, SYMBOL):
        store.derive(TRADES, SYMBOL)
        time.sleep(0.1)


def _target(count: int, format_name: str) -> str:
    return f"{_TRADES}/stream.{format_name}?{_range(0, count)}"


def _range(first: int, count: int) -> str:
    window = _STREAM.window(first, count)
    return f"start={format_timestamp(window.start_ns)}&end={format_timestamp(window.end_ns)}"
