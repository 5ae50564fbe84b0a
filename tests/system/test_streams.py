"""Streams of a real installation: what goes over the wire and when, what a broken one looks like, what clients cost that go away or stop reading."""

import hashlib
import json
import logging
import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from http.client import IncompleteRead

import numpy as np
import pyarrow as pa
import pytest

from front.sending import STREAM_THREADS
from ratelimit.limits.middleware import MOST_STREAMS
from store.csv.store import CsvStore
from store.datasets import QUOTES, TRADES
from store.protocol import Window
from store.timestamps import DAY_NS, parse_timestamp
from tests.chance import SOAK
from tests.front.front_server import eventually
from tests.hostile.gauge import MIB
from tests.patience import is_kept
from tests.stats.market_data import tapes
from tests.system.clients import connected
from tests.system.installation import UNLIMITED, WORKERS, Installation
from tests.system.streaming import (
    Webs,
    asked,
    await_folded,
    body,
    cut,
    read_until,
    streamed,
)

pytestmark = pytest.mark.xdist_group("installation")

logger = logging.getLogger(__name__)

ROWS, QUOTED = (300_000, 40_000) if SOAK else (120_000, 20_000)
SYMBOL, DAMAGED = "STREAMED", "ROTTEN"
FIRST_DAY = parse_timestamp("2025-03-03T00:00:00Z")
RANGE = "start=2025-03-03&end=2025-03-04"
BOTH_DATES = "start=2025-03-03&end=2025-03-05"
HOUR = "start=2025-03-03T12:00:00Z&end=2025-03-03T13:00:00Z"
FORMATS = ("ndjson", "csv", "arrow")
END_OF_CHUNKS = b"\r\n0\r\n\r\n"
ALLOWED_MIB = 32
# What a client that waits may hold, and what is kept of making it.
HELD_MIB = 8
# More than both processes together have threads for streams.
MANY = 40


def path(dataset: str, query: str, format_name: str = "ndjson", symbol: str = SYMBOL) -> str:
    return f"/api/v1/market-data/equities/{symbol}/{dataset}/stream.{format_name}?{query}"


@pytest.fixture(scope="module")
def tape(shared: Installation) -> None:
    """Trades and quotes of a day, in the store's files, folded."""
    assert shared.is_ready()
    store, chance, day = shared.store, np.random.default_rng(11), Window(FIRST_DAY, FIRST_DAY + DAY_NS)
    tapes.store_rows(store, TRADES, SYMBOL, tapes.trades(chance, tapes.times(chance, day, ROWS)))
    tapes.store_rows(store, QUOTES, SYMBOL, tapes.quotes(chance, tapes.times(chance, day, QUOTED)))
    for dataset in (TRADES, QUOTES):
        await_folded(store, dataset, SYMBOL)


@pytest.fixture(scope="module")
def key(shared: Installation, tape: None) -> str:
    return shared.new_key(rate=UNLIMITED)


def pages(port: int, key: str, dataset: str, query: str, format_name: str) -> Iterator[bytes]:
    """All pages, from link to link."""
    target = f"/api/v1/market-data/equities/{SYMBOL}/{dataset}.{format_name}?limit=10000&{query}"
    with connected(port, key) as client:
        while True:
            reply = client.get(target)
            assert reply.status == 200, reply.body
            yield reply.body
            link = re.search(r'<([^>]+)>; rel="next"', reply.headers.get("link", ""))
            if link is None:
                return
            target = link[1]


@pytest.fixture(scope="module")
def webs(shared: Installation, key: str) -> Webs:
    """Both processes, once they have sent a stream in every format, and rest."""
    assert shared.is_complete()
    for format_name in FORMATS:
        for _ in range(3 * WORKERS):
            body(shared.port, key, path("trades", HOUR, format_name))
    webs = Webs(shared)
    assert eventually(webs.stand_still)
    return webs


@pytest.mark.parametrize("format_name", FORMATS)
def test_the_first_row_comes_before_the_rest_is_made(
    installation: Installation, key: str, webs: Webs, format_name: str
):
    target = path("trades", RANGE, format_name)
    row = {"ndjson": b"}\n", "csv": b"\r\n2025-03-03T00:00", "arrow": b"timestamp"}[format_name]
    before = webs.written()
    with asked(installation.port, key, target, buffer=4096) as connection:
        got = read_until(connection, row)
        assert b" 200 OK" in got
        assert eventually(webs.stand_still)
        at_first_row = webs.written() - before
    assert len(body(installation.port, key, target)) > 2 * at_first_row


@pytest.mark.parametrize("format_name", FORMATS)
@pytest.mark.parametrize(
    ("dataset", "query"),
    [
        ("trades", HOUR),
        ("trades", f"{HOUR}&sort=desc&fields=price,timestamp"),
        ("quotes", HOUR),
        ("quotes", f"{HOUR}&resolution=1m"),
        ("ohlcv", f"{RANGE}&resolution=1m"),
        ("ohlcv", f"{HOUR}&resolution=1s&time=ms"),
    ],
    ids=["trades", "newest trades first", "quotes", "quote bars", "minutes", "seconds"],
)
def test_a_stream_is_all_pages(
    installation: Installation, key: str, dataset: str, query: str, format_name: str
):
    whole = body(installation.port, key, path(dataset, query, format_name))
    bodies = list(pages(installation.port, key, dataset, query, format_name))
    if format_name == "arrow":
        tables = [pa.ipc.open_stream(each).read_all().replace_schema_metadata() for each in bodies]
        assert pa.ipc.open_stream(whole).read_all() == pa.concat_tables(tables)
        return
    if format_name == "csv":
        bodies[1:] = [each.partition(b"\r\n")[2] for each in bodies[1:]]
    assert whole == b"".join(bodies)
    assert len(whole.splitlines()) > 50


def test_the_trailer_proves_the_whole(installation: Installation, key: str):
    with streamed(installation.port, key, path("trades", f"{HOUR}&trailer=1")) as response:
        *lines, last = response.read().splitlines(keepends=True)
        assert json.loads(last) == {
            "end": True,
            "rows": len(lines),
            "sha256": hashlib.sha256(b"".join(lines)).hexdigest(),
            "commit": response.headers["X-Commit"],
        }
    assert len(lines) > 1000


def test_a_trailer_that_has_no_place_is_refused(installation: Installation, key: str):
    with streamed(installation.port, key, path("trades", f"{HOUR}&trailer=1", "csv")) as response:
        problem = json.loads(response.read())
    assert (response.status, problem["code"]) == (400, "conflicting_parameters")
    assert "trailer" in problem["message"]


@pytest.fixture(scope="module")
def damaged(shared: Installation, tmp_path_factory: pytest.TempPathFactory) -> int:
    """A log of two dates, of which the second has a wrong byte, and which nobody has read before; the rows of a date."""
    folder = tmp_path_factory.mktemp("damaged")
    store, chance, count = CsvStore(folder), np.random.default_rng(12), 30_000
    for day in range(2):
        window = Window(FIRST_DAY + day * DAY_NS, FIRST_DAY + (day + 1) * DAY_NS)
        rows = tapes.trades(chance, tapes.times(chance, window, count), first=day * count)
        tapes.store_rows(store, TRADES, DAMAGED, rows)
    file = folder / "trades" / DAMAGED / "2025-03-04.csv"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0x40
    file.write_bytes(content)
    shutil.move(folder / "trades" / DAMAGED, shared.served.data_dir / "trades" / DAMAGED)
    return count


@pytest.mark.parametrize("format_name", FORMATS)
def test_damage_in_the_midst_aborts_the_connection(
    installation: Installation, key: str, damaged: int, format_name: str
):
    target = path(
        "trades", f"{BOTH_DATES}&trailer=1" if format_name == "arrow" else BOTH_DATES, format_name, DAMAGED
    )
    with streamed(installation.port, key, target) as response:
        assert response.status == 200
        with pytest.raises(IncompleteRead) as caught:
            response.read()
    with asked(installation.port, key, target) as connection:
        raw = b"".join(iter(lambda: connection.recv(65536), b""))
    assert not raw.endswith(END_OF_CHUNKS)
    if format_name == "ndjson":
        lines = caught.value.partial.splitlines()
        assert 256 <= len(lines) <= damaged
        assert json.loads(lines[-1])["trade_id"] == f"t{len(lines) - 1}"


def test_damage_before_the_first_row_is_a_problem(installation: Installation, key: str, damaged: int):
    with streamed(installation.port, key, path("trades", "start=2025-03-04", symbol=DAMAGED)) as response:
        assert (response.status, json.loads(response.read())["code"]) == (503, "data_damaged")


def test_a_stream_ends_with_its_key(installation: Installation, key: str):
    """The key has little to pay with, so that the next piece waits for its turn."""
    slow = installation.new_key(rate=1)
    with streamed(installation.port, slow, path("trades", RANGE)) as response:
        assert response.read(1000)
        installation.revoke(slow)
        with pytest.raises(ConnectionResetError):
            response.read()
    assert len(body(installation.port, key, path("trades", HOUR)).splitlines()) > 1000


@pytest.mark.seconds
def test_clients_that_go_away_leave_nothing_behind(installation: Installation, key: str, webs: Webs):
    memory, threads = webs.gauge.anonymous_mib(), webs.threads()
    for number in range(3 * MANY):
        target = path("trades", RANGE, FORMATS[number % 3])
        with asked(installation.port, key, target) as connection:
            connection.recv(1 + number * 1000)
            if number % 2:
                cut(connection)
    assert eventually(lambda: not webs.connections())
    assert eventually(webs.stand_still)
    assert len(body(installation.port, key, path("trades", HOUR)).splitlines()) > 1000
    grown = webs.gauge.anonymous_mib() - memory
    logger.info("memory after %d streams that were cut: %+.1f MiB", 3 * MANY, grown)
    assert is_kept(ALLOWED_MIB, grown)
    # The lanes' own, which there are as many of as streams were at work at once.
    assert webs.threads() - threads <= WORKERS * STREAM_THREADS
    # Indices of commits stay open, at most 64 in a process.
    left = webs.files_of(installation.served.data_dir / "trades")
    assert [file for file in left if not file.endswith("commits.sqlite")] == []


@pytest.mark.seconds
def test_clients_that_do_not_read_cost_a_piece_each_and_hold_up_nobody(
    installation: Installation, key: str, webs: Webs
):
    keys = [installation.new_key(rate=UNLIMITED) for _ in range(MANY // MOST_STREAMS)]
    memory, before = webs.gauge.anonymous_mib(), webs.written()
    with ExitStack() as stack:
        waiting = [
            stack.enter_context(asked(installation.port, each, path("trades", RANGE), buffer=4096))
            for each in keys
            for _ in range(MOST_STREAMS)
        ]
        for connection in waiting:
            read_until(connection, b"}\n")
        assert eventually(webs.stand_still)
        assert eventually(lambda: webs.connections() == MANY)
        made = (webs.written() - before) / MIB
        grown = webs.gauge.anonymous_mib() - memory
        logger.info("%d streams that nobody reads: %.1f MiB sent, memory %+.1f MiB", MANY, made, grown)
        assert is_kept(MANY * HELD_MIB, grown)
        # All threads are free.
        assert len(body(installation.port, key, path("trades", HOUR)).splitlines()) > 1000
        assert is_kept(MANY * HELD_MIB, webs.gauge.anonymous_mib() - memory)
    assert eventually(lambda: is_kept(WORKERS * ALLOWED_MIB, webs.gauge.anonymous_mib() - memory))
