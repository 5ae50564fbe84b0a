"""Pages of the market-data tree over HTTP: a computed page against a cached one, and page 1,000 against page 1.

The one-minute bars are of 30 days with 20 trades a minute, the trades of an hour with 20,000 trades a minute. All of
them are in derived files.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

import orjson

from benchmarks.generated_trades import FIRST_DAY_NS, MINUTE_NS, SYMBOL, Stream, stored
from benchmarks.report import Ratio, Row, Sizes
from benchmarks.servers import Connection, Server, UnexpectedAnswer, our_server
from store.timestamps import DAY_NS, SECOND_NS, format_timestamp

_ROOT = f"/api/v1/market-data/equities/{SYMBOL}"
_SPARSE_MINUTES, _SPARSE = 30 * 1440, Stream(a_minute=20, with_ids=True)
_DENSE_MINUTES, _DENSE = 61, Stream(a_minute=20_000, start_ns=FIRST_DAY_NS + 60 * DAY_NS, with_ids=True)
_BARS = 1_000
_PAIRS = 200
_WALKS_EACH = 9
_PAGES, _QUICK_PAGES = 1_000, 100


@dataclass(frozen=True, slots=True)
class _Walk:
    """A query that is read page by page, `limit` rows a page.

    Each walk (one reading of all pages) begins `step_ns` later, so that none of its pages is cached.
    """

    what: str
    target: str
    limit: int
    start_ns: int
    length_ns: int
    step_ns: int

    def first(self, number: int) -> str:
        """Return the path and query of the first page of walk `number`."""
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


def measure_market_data(sizes: Sizes) -> Iterator[Row]:
    """Yield the ratios, for one client and one web process."""
    pages = _PAGES if sizes.trades > _PAGES**2 else _QUICK_PAGES
    with our_server() as server:
        stored(server.folder, _SPARSE, _SPARSE_MINUTES * _SPARSE.a_minute)
        stored(server.folder, _DENSE, _DENSE_MINUTES * _DENSE.a_minute)
        with Connection(server) as connection:
            for format_name in ("json", "columnar"):
                yield from _measure_misses(server, connection, format_name)
            for walk in _WALKS:
                firsts = [walk.first(number) for number in range(_WALKS_EACH)]
                yield from _measure_walk(
                    walk, [_walked(server, connection, first, pages) for first in firsts]
                )


def _measure_misses(server: Server, connection: Connection, format_name: str) -> Iterator[Row]:
    misses, hits = [], []
    for number in range(_PAIRS):
        start_ns = FIRST_DAY_NS + number * MINUTE_NS
        query = f"resolution=1m&limit={_BARS}&{_range(start_ns, start_ns + _BARS * MINUTE_NS)}"
        request = server.request("GET", f"{_ROOT}/ohlcv.{format_name}?{query}")
        misses.append(_timed(connection, request, "miss")[0])
        hits.append(_timed(connection, request, "hit")[0])
    yield Ratio(
        f"a page of {_BARS:,} bars in {format_name}, computed, against the same one cached",
        here=1e3 * median(misses),
        peer=1e3 * median(hits),
        unit="ms",
        wanted="at most 2",
    )


def _walked(server: Server, connection: Connection, target: str, pages: int) -> list[float]:
    """Request `pages` pages, each with the cursor of the page before; return the seconds of each."""
    seconds, cursor = [], ""
    for _ in range(pages):
        page_seconds, body = _timed(connection, server.request("GET", target + cursor), "miss")
        seconds.append(page_seconds)
        cursor = f"&cursor={orjson.loads(body)['next_cursor']}"
    return seconds


def _measure_walk(walk: _Walk, walks: list[list[float]]) -> Iterator[Row]:
    yield Ratio(
        f"page {len(walks[0]):,} of a walk over {walk.what}, {walk.limit:,} a page, against page 1",
        here=1e3 * median(seconds[-1] for seconds in walks),
        peer=1e3 * median(seconds[0] for seconds in walks),
        unit="ms",
        wanted="0.8 to 1.2",
    )


def _timed(connection: Connection, request: bytes, outcome: str) -> tuple[float, bytes]:
    """Return the seconds and the body of an answer that was computed (`miss`) or cached (`hit`).

    Raises `UnexpectedAnswer` for another outcome.
    """
    started = time.perf_counter()
    head, body = connection.answer(request)
    seconds = time.perf_counter() - started
    if b"x-cache: " + outcome.encode() not in head:
        raise UnexpectedAnswer(f"no {outcome}: {head!r}")
    return seconds, body


def _range(start_ns: int, end_ns: int) -> str:
    return f"start={format_timestamp(start_ns)}&end={format_timestamp(end_ns)}"
