"""How long a thread that ticks each millisecond stands still beside single requests."""

import gc
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import product
from typing import Any

import pytest

from front.warm import tune_garbage_collector
from stats.caching.response_cache import RESPONSE_CACHE
from tests.api_client import Api, trade
from tests.installation import shared_installation
from tests.patience import is_kept
from tests.system.abuses import large_batch
from trades.decoder import LARGE_BYTES
from web.requests.parsers import DOCUMENT_BYTES

# Its rows are stored once, and so in one process.
pytestmark = [
    pytest.mark.soak,
    pytest.mark.seconds,
    pytest.mark.django_db,
    pytest.mark.xdist_group("lock_gaps"),
]

MOST_SECONDS = 0.05

TREE = "/api/v1/market-data/equities/AAPL"
ROWS, OTHER_ROWS = 100_000, 49_900
DAY = datetime(2025, 1, 2, 14, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def api(django_db_setup, django_db_blocker, tmp_path_factory) -> Iterator[Api]:
    with shared_installation(django_db_blocker, tmp_path_factory.mktemp("gaps")) as api:
        for start in range(0, ROWS, min(ROWS, 50_000)):
            api.ingest(
                *(
                    trade(
                        timestamp=f"{DAY + timedelta(seconds=number):%Y-%m-%dT%H:%M:%SZ}",
                        price=100 + number % 1000 / 100,
                        trade_id=str(number),
                        conditions=["odd_lot"] if number % 7 == 0 else ["regular"],
                    )
                    for number in range(start, start + min(ROWS, 50_000))
                )
            )
        api.ingest(
            *(
                trade(symbol="MSFT", timestamp=f"{DAY + timedelta(minutes=number):%Y-%m-%dT%H:%M:%SZ}")
                for number in range(OTHER_ROWS)
            )
        )
        yield api


@contextmanager
def ticking() -> Iterator[list[float]]:
    """The longest time between two ticks of a thread, in seconds."""
    longest, stop = [0.0], threading.Event()

    def tick() -> None:
        last = time.perf_counter()
        while not stop.is_set():
            time.sleep(0.001)
            now = time.perf_counter()
            longest[0] = max(longest[0], now - last)
            last = now

    thread = threading.Thread(target=tick)
    before, thresholds = sys.getswitchinterval(), gc.get_threshold()
    # Python code gives the lock back so soon; a longer gap is one of C code.
    sys.setswitchinterval(0.0005)
    tune_garbage_collector()
    thread.start()
    try:
        yield longest
    finally:
        stop.set()
        thread.join()
        sys.setswitchinterval(before)
        gc.set_threshold(*thresholds)


WINDOW = "start=2025-01-02T14:30&end=2025-01-02T15:30&limit=10000"
LONG = "start=2025-01-02T14:30&end=2025-01-02T17:00&resolution=1s&limit=10000"
READS = [
    *(f"{TREE}/trades{suffix}?{WINDOW}" for suffix in ("", ".csv", ".arrow", ".ndjson")),
    *(f"{TREE}/trades?{WINDOW}&format={name}" for name in ("columnar", "msgpack")),
    f"{TREE}/ohlcv?{LONG}",
    f"{TREE}/revisions?{LONG}",
    f"{TREE}/gaps?{LONG.removesuffix('&limit=10000')}",
    f"{TREE}/ohlcv/explain?at=2025-01-02T15:00:00Z&resolution=1d",
    "/v1/stats/ohlc?symbol=MSFT",
    f"{TREE}/trades/stream.ndjson",
    f"{TREE}/trades/stream.arrow",
]
ROW = b'{"symbol":"A","timestamp":"2025-01-02T15:04:05Z","price":1,"volume":1}'
LARGEST, IN_PROCESS = DOCUMENT_BYTES, LARGE_BYTES


def filled(start: bytes, piece: bytes, end: bytes, size: int) -> bytes:
    """A body of almost so many bytes."""
    return start + piece * ((size - len(start) - len(end)) // len(piece)) + end


BODIES: dict[str, tuple[str, str, Callable[[], bytes]]] = {
    f"{name} of {size >> 10} KiB": (media_type, query, partial(filled, start, piece, end, size))
    for size in (IN_PROCESS, 2 * IN_PROCESS, LARGEST)
    for name, media_type, query, start, piece, end in (
        ("rows", "application/json", "", b'{"trades":[', ROW + b",", ROW + b"]}"),
        ("numbers", "application/json", "", b'{"trades":[', b"1,", b"1]}"),
        ("lists", "application/json", "", b'{"trades":[', b"[],", b"[]]}"),
        ("escapes", "application/json", "", b'{"trades":[{"symbol":"', rb"\u0041", b'"}]}'),
        ("emoji", "application/json", "", b'{"trades":[{"symbol":"', "\U0001f600".encode(), b'"}]}'),
        ("ignored", "application/json", "?unknown=ignore", b'{"trades":[' + ROW[:-1] + b',"x":[', b"1.5,", b"1]}]}"),
        ("lines", "application/x-ndjson", "", b"", ROW + b"\n", b""),
        ("cells", "text/csv", "", b"timestamp,symbol,price,volume\n", b"2025-01-02T15:04:05Z,A,1,1\n", b""),
        ("empty cells", "text/csv", "", b"timestamp,symbol,price,volume\n", b",,,\n", b""),
        ("nulls", "application/msgpack", "?unknown=ignore", b"\x82\xa6trades\x90\xa1x\xdd" + (size - 15).to_bytes(4, "big"), b"\xc0", b""),
    )
}  # fmt: skip


BODIES["a batch of 16 MiB"] = "application/json", "", large_batch


def gap_beside(call: Callable[[], Any]) -> float:
    """The longest time between two ticks beside a call, in seconds: of three calls the one that other programs disturbed least."""
    found = []
    for _ in range(3):
        RESPONSE_CACHE.local.clear()
        with ticking() as longest:
            call()
        found.append(longest[0])
    return min(found)


@pytest.mark.parametrize(("path", "encoding"), tuple(product(READS, ("identity", "gzip"))))
def test_a_read_holds_nobody_up(api: Api, path: str, encoding: str):
    def read() -> None:
        response = api.get(path, accept_encoding=encoding)
        assert response.status_code == 200
        deque(response.streaming_content if response.streaming else [response.content], maxlen=0)

    assert is_kept(MOST_SECONDS, gap_beside(read))


@pytest.mark.parametrize("name", BODIES)
def test_a_body_holds_nobody_up(api: Api, name: str):
    media_type, query, make = BODIES[name]
    body = make()
    statuses = {200} if name.startswith("a batch") else {200, 400, 422}

    def ingest() -> None:
        response = api.call("POST", f"/api/v1/trades/ingest{query}", body, content_type=media_type)
        assert response.status_code in statuses, response.content

    assert is_kept(MOST_SECONDS, gap_beside(ingest))
