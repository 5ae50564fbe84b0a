"""Pages that are not held: their processor time against that of held ones, and page 1,000 of a walk against page 1.

The one-minute bars are of 30 days with 20 trades a minute, the trades of an hour with 20,000 trades a minute. The
revisions are of another symbol, whose minutes have two commits each. All of them are in derived files.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import msgspec

from benchmarks.clients import Connection, header
from benchmarks.generated_trades import FIRST_DAY_NS, MINUTE_NS, SYMBOL, Stream, Unsynced, stored
from benchmarks.load import MISSING, Load, load
from benchmarks.report import Goal, Note, Ratio, Row, Sizes, UnexpectedAnswer
from benchmarks.servers import Server, our_server
from store.csv import CsvStore
from store.datasets import TRADES
from store.protocol import Append, Dedupe
from store.timestamps import DAY_NS, SECOND_NS, format_timestamp


def _root(symbol: str) -> str:
    return f"/api/v1/market-data/equities/{symbol}"


_ROOT = _root(SYMBOL)
_SPARSE_MINUTES, _SPARSE = 30 * 1440, Stream(a_minute=20, with_ids=True)
_DENSE_MINUTES, _QUICK_MINUTES = 61, 6
_DENSE = Stream(a_minute=20_000, start_ns=FIRST_DAY_NS + 60 * DAY_NS, with_ids=True)
_BARS = 1_000
_MOST_MISSES_PER_SECOND = 5_000
NOT_HELD = {
    "`/stats/ohlc`": f"/api/v1/stats/ohlc?symbol={SYMBOL}&interval=1min",
    "a page of the tree": f"{_ROOT}/ohlcv.json?resolution=1m&limit={_BARS}",
}
_ALPACAS = f"/api/v2/stocks/{SYMBOL}/bars?timeframe=1Min&limit={_BARS}"
_REVISED = "REVISED"
_COMMITS, _QUICK_COMMITS, _COMMIT_ROWS = 6_400, 400, _SPARSE.a_minute // 2
_REVISION_PAGES = (("1m", 1), ("1m", 1_000), ("1d", 1))
_REVISION_ROUNDS = 21
_WALKS_EACH = 9
_PAGES, _QUICK_PAGES = 1_000, 50


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
    quick = sizes.trades < _PAGES**2
    pages, minutes = (_QUICK_PAGES, _QUICK_MINUTES) if quick else (_PAGES, _DENSE_MINUTES)
    commits = _QUICK_COMMITS if quick else _COMMITS
    with our_server() as server:
        stored(server.folder, _SPARSE, _SPARSE_MINUTES * _SPARSE.a_minute)
        stored(server.folder, _DENSE, minutes * _DENSE.a_minute)
        _store_revised(server.folder, commits)
        yield from _measure_misses(server, sizes)
        with Connection(server) as connection:
            for walk in _WALKS:
                firsts = [walk.first(number) for number in range(_WALKS_EACH)]
                yield from _measure_walk(
                    walk, [_walked(server, connection, first, pages) for first in firsts]
                )
            yield from _measure_revisions(server, connection, commits)


def bar_window(number: int) -> str:
    """Return the query of a window of 1,000 bars, another one for each number up to 40,000."""
    start_ns = FIRST_DAY_NS + number * MINUTE_NS
    return _range(start_ns, start_ns + _BARS * MINUTE_NS)


def _measure_misses(server: Server, sizes: Sizes) -> Iterator[Row]:
    """Yield the processor time of 1,000 bars. Every request of the misses is for another window."""
    if MISSING:
        yield Note(f"Left out: answers that are not held: {MISSING}.")
        return
    count = _MOST_MISSES_PER_SECOND * sizes.seconds

    def missed(target: str) -> Load:
        requests = [server.request("GET", f"{target}&{bar_window(number)}") for number in range(count)]
        return load(server, requests, sizes.seconds, once=True)

    for name, target in NOT_HELD.items():
        hits = server.by_all_keys(f"{target}&{bar_window(40_000)}")
        load(server, hits, 1)
        miss, hit = missed(target), load(server, hits, sizes.seconds)
        label = f"{_BARS:,} bars of {name}, not held, against held: "
        yield Ratio(label + "processor time", miss.processor_us, hit.processor_us, "µs", Goal(most=4))
        yield Ratio(label + "one pinned worker", miss.per_second, hit.per_second, "answers/s")
    label = f"{_BARS:,} bars in Alpaca's form, not held, against a page of the tree: processor time"
    yield Ratio(label, missed(_ALPACAS).processor_us, miss.processor_us, "µs", Goal(most=1.3))


def _walked(server: Server, connection: Connection, target: str, pages: int) -> list[float]:
    """Request `pages` pages, each with the cursor of the page before; return the seconds of each."""
    seconds, cursor = [], ""
    for _ in range(pages):
        page_seconds, body = _timed(connection, server.request("GET", target + cursor))
        seconds.append(page_seconds)
        cursor = f"&cursor={msgspec.json.decode(body)['next_cursor']}"
    return seconds


def _measure_walk(walk: _Walk, walks: list[list[float]]) -> Iterator[Row]:
    yield Ratio(
        f"page {len(walks[0]):,} of a walk over {walk.what}, {walk.limit:,} a page, against page 1",
        here=1e3 * median(seconds[-1] for seconds in walks),
        beside=1e3 * median(seconds[0] for seconds in walks),
        unit="ms",
        goal=Goal(0.8, 1.2),
    )


def _store_revised(folder: Path, commits: int) -> None:
    """Store a log of small commits, two of each minute."""
    store = CsvStore(folder, disk=Unsynced())
    for batch in _SPARSE.batches(commits * _COMMIT_ROWS):
        for first in range(0, batch.num_rows, _COMMIT_ROWS):
            rows = batch.slice(first, _COMMIT_ROWS)
            store.append(Append(TRADES, _REVISED, rows, "bench", Dedupe.NONE))
    store.derive(TRADES, _REVISED)


def _measure_revisions(server: Server, connection: Connection, commits: int) -> Iterator[Row]:
    """Yield the time of pages of revisions against that of minute bars of the same window. Each has another limit."""
    window = _range(FIRST_DAY_NS, FIRST_DAY_NS + commits // 2 * MINUTE_NS)

    def median_ms(dataset: str, resolution: str, limit: int) -> float:
        target = f"{_root(_REVISED)}/{dataset}.json?resolution={resolution}&{window}&limit="
        requests = [server.request("GET", f"{target}{limit + more}") for more in range(_REVISION_ROUNDS)]
        return 1e3 * median(_timed(connection, request)[0] for request in requests)

    bars_ms = median_ms("ohlcv", "1m", _BARS)
    for resolution, limit in _REVISION_PAGES:
        what = f"a page of {limit:,} {'revision' if limit == 1 else 'revisions'} of {resolution}"
        yield Ratio(
            f"{what} out of {commits:,} commits, not held, against {_BARS:,} minute bars of the window",
            here=median_ms("revisions", resolution, limit),
            beside=bars_ms,
            unit="ms",
            goal=Goal(most=3),
        )


def _timed(connection: Connection, request: bytes) -> tuple[float, bytes]:
    """Return the seconds and the body of an answer. Raises `UnexpectedAnswer` unless it was computed."""
    started = time.perf_counter()
    head, body = connection.answer(request)
    seconds = time.perf_counter() - started
    if header(head, "x-cache") != "miss":
        raise UnexpectedAnswer(f"no miss: {head!r}")
    return seconds, body


def _range(start_ns: int, end_ns: int) -> str:
    return f"start={format_timestamp(start_ns)}&end={format_timestamp(end_ns)}"
