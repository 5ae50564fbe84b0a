"""The tree over HTTP: a page that has to be made against one that is kept, page 1,000 of a walk against page 1, a stream.

Bars of a minute are of 30 days with 20 trades a minute; trades are of an hour with 20,000 a minute. All of
them are folded.
"""

import time
from dataclasses import dataclass
from http.client import HTTPConnection
from statistics import median

import orjson

from benchmarks.formats import frameworks_renderer
from benchmarks.posting import Connection, UnexpectedAnswer
from benchmarks.report import Report
from benchmarks.servers import Server, our_server
from benchmarks.sizes import Sizes
from benchmarks.stream import FIRST_DAY_NS, MINUTE_NS, SYMBOL, Stream, stored
from store.timestamps import DAY_NS, SECOND_NS, format_timestamp

_ROOT = f"/api/v1/market-data/equities/{SYMBOL}"
_SPARSE_MINUTES, _SPARSE = 30 * 1440, Stream(a_minute=20, with_ids=True)
_DENSE_MINUTES, _DENSE = 61, Stream(a_minute=20_000, start_ns=FIRST_DAY_NS + 60 * DAY_NS, with_ids=True)
_BARS = 1_000
_PAIRS = 200
_WALKS_EACH = 9
_PAGES, _QUICK_PAGES = 1_000, 100
_STREAMED_MINUTES = 50
_RENDERED_ROWS = 10_000
_LINE_BYTES = 512  # more than a line has
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class _Walk:
    """Pages of `limit` rows over a length from a start; each walk begins a step later, so that nothing of it is kept."""

    what: str
    target: str
    limit: int
    start_ns: int
    length_ns: int
    step_ns: int

    def first(self, number: int) -> str:
        """The address of the first page."""
        start_ns = self.start_ns + number * self.step_ns
        return f"{self.target}&limit={self.limit}&{_range(start_ns, start_ns + self.length_ns)}"


_WALKS = (
    _Walk(
        "trades", f"{_ROOT}/trades.columnar?fields=price", 1_000, _DENSE.start_ns, 60 * MINUTE_NS, SECOND_NS
    ),
    _Walk(
        "bars", f"{_ROOT}/ohlcv.columnar?resolution=1m", 40, _SPARSE.start_ns, 29 * DAY_NS, MINUTE_NS
    ),
)  # fmt: skip


def measure_market_data(report: Report, sizes: Sizes) -> None:
    """By one client of one web process."""
    pages = _PAGES if sizes.trades > _PAGES**2 else _QUICK_PAGES
    with our_server() as server:
        stored(server.folder, _SPARSE, _SPARSE_MINUTES * _SPARSE.a_minute)
        stored(server.folder, _DENSE, _DENSE_MINUTES * _DENSE.a_minute)
        with Connection(server) as connection:
            for format_name in ("json", "columnar"):
                _measure_misses(report, server, connection, format_name)
            for walk in _WALKS:
                firsts = [walk.first(number) for number in range(_WALKS_EACH)]
                _measure_walk(report, walk, [_walked(server, connection, first, pages) for first in firsts])
        _measure_stream(report, server, sizes.rounds)


def _measure_misses(report: Report, server: Server, connection: Connection, format_name: str) -> None:
    misses, hits = [], []
    for number in range(_PAIRS):
        start_ns = FIRST_DAY_NS + number * MINUTE_NS
        query = f"resolution=1m&limit={_BARS}&{_range(start_ns, start_ns + _BARS * MINUTE_NS)}"
        request = server.request("GET", f"{_ROOT}/ohlcv.{format_name}?{query}")
        misses.append(_timed(connection, request, "miss")[0])
        hits.append(_timed(connection, request, "hit")[0])
    report.add(
        f"a page of {_BARS:,} bars in {format_name}, made, against the same one kept",
        here=1e3 * median(misses),
        peer=1e3 * median(hits),
        unit="ms",
        wanted="at most 2",
    )


def _walked(server: Server, connection: Connection, target: str, pages: int) -> list[float]:
    """Seconds of each page of a walk."""
    seconds, cursor = [], ""
    for _ in range(pages):
        taken, body = _timed(connection, server.request("GET", target + cursor), "miss")
        seconds.append(taken)
        cursor = f"&cursor={orjson.loads(body)['next_cursor']}"
    return seconds


def _measure_walk(report: Report, walk: _Walk, walks: list[list[float]]) -> None:
    report.add(
        f"page {len(walks[0]):,} of a walk over {walk.what}, {walk.limit:,} a page, against page 1",
        here=1e3 * median(seconds[-1] for seconds in walks),
        peer=1e3 * median(seconds[0] for seconds in walks),
        unit="ms",
        wanted="0.8 to 1.2",
    )


def _timed(connection: Connection, request: bytes, outcome: str) -> tuple[float, bytes]:
    """Seconds and body of an answer that was made (`miss`) or kept (`hit`).

    Raises `UnexpectedAnswer` for another outcome.
    """
    started = time.perf_counter()
    head, body = connection.answer(request)
    taken = time.perf_counter() - started
    if b"x-cache: " + outcome.encode() not in head:
        raise UnexpectedAnswer(f"no {outcome}: {head!r}")
    return taken, body


def _measure_stream(report: Report, server: Server, rounds: int) -> None:
    """Rows of a stream of lines, and the first of them as dictionaries through the framework's renderer, in turns."""
    end_ns = _DENSE.start_ns + _STREAMED_MINUTES * MINUTE_NS
    target = f"{_ROOT}/trades/stream?{_range(_DENSE.start_ns, end_ns)}"
    render = frameworks_renderer()
    here, peer = [], []
    for _ in range(rounds):
        count, taken, beginning = _streamed(server, target)
        if count != _STREAMED_MINUTES * _DENSE.a_minute:
            raise UnexpectedAnswer(f"{count} rows were streamed")
        rows = [orjson.loads(line) for line in beginning.splitlines()[:_RENDERED_ROWS]]
        started = time.perf_counter()
        render(rows)
        here.append(count / taken)
        peer.append(len(rows) / (time.perf_counter() - started))
    report.add(
        "trades streamed as lines over loopback, against the framework's JSON of them",
        here=median(here),
        peer=median(peer),
        unit="rows/s",
        wanted="at least 5",
    )


def _streamed(server: Server, target: str) -> tuple[int, float, bytes]:
    """How many lines came, in how many seconds, and the beginning of them."""
    connection = HTTPConnection(server.host, server.port, timeout=60)
    started = time.perf_counter()
    connection.request("GET", target, headers={"X-API-Key": server.key})
    response = connection.getresponse()
    beginning, lines = b"", 0
    while piece := response.read(_CHUNK):
        lines += piece.count(b"\n")
        if len(beginning) < _RENDERED_ROWS * _LINE_BYTES:
            beginning += piece
    taken = time.perf_counter() - started
    connection.close()
    return lines, taken, beginning


def _range(start_ns: int, end_ns: int) -> str:
    return f"start={format_timestamp(start_ns)}&end={format_timestamp(end_ns)}"
