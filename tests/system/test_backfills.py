"""Two installations side by side: what one lacks comes from the other, once, and both end equal."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pytest

from store.arrays import Integers
from store.csv.store import CsvStore
from store.datasets import TRADES
from store.instruments import Instrument
from store.protocol import ALL_TIME, Append, Dedupe
from store.timestamps import MINUTE_NS, format_timestamp
from tests.chance import chosen_seed
from tests.front.front_server import eventually
from tests.stats.market_data.absence.quiet_market import minutes_of, schedule_of, trade_times
from tests.system.installation import WEB_ONLY, Installation, installed

DATES = 40
SCHEDULE = schedule_of(DATES)
SYMBOL = "GEN"
LOST_DATES = (22, 25, 28, 31, 34)
LOST_MINUTES = ((24, 5), (27, 200), (36, 389))
CLIENTS = 50


def spans() -> list[tuple[int, int]]:
    """What one installation lacks, ascending."""
    dates = [(int(SCHEDULE.open_ns[date]), int(SCHEDULE.close_ns[date])) for date in LOST_DATES]
    starts = [int(SCHEDULE.open_ns[date]) + minute * MINUTE_NS for date, minute in LOST_MINUTES]
    return sorted([*dates, *((start, start + MINUTE_NS) for start in starts)])


def without(times: Integers) -> Integers:
    for start, end in spans():
        times = times[(times < start) | (times >= end)]
    return times


def store_trades(store: CsvStore, times: Integers) -> None:
    """Declare the symbol, and store a trade at each instant; its price and volume follow from that."""
    store.set_instrument(Instrument(SYMBOL, exchange="XNYS"))
    values = {"timestamp": times, "price": 100 + times // MINUTE_NS % 7 / 4, "volume": 1.0 + times % 9}
    columns = [
        pa.array(values[each.name], each.type) if each.name in values else pa.nulls(len(times), each.type)
        for each in TRADES.schema
    ]
    rows = pa.record_batch(columns, schema=TRADES.schema)
    store.append(Append(TRADES, SYMBOL, rows, "tests", Dedupe.NONE))


def get(installation: Installation, path: str) -> Any:
    connection = HTTPConnection("127.0.0.1", installation.port, timeout=60)
    connection.request("GET", path, headers={"X-API-Key": installation.key})
    response = connection.getresponse()
    body = response.read()
    connection.close()
    assert response.status == 200, body
    return orjson.loads(body) if body.startswith(b"{") else body.decode()


def reads_answered(installation: Installation, route: str) -> int:
    """How often an installation was asked for trades."""
    lines = str(get(installation, "/metrics")).splitlines()
    counts = [
        float(line.rsplit(" ", 1)[1])
        for line in lines
        if line.startswith("marketdata_http_requests") and f'route="{route}"' in line
    ]
    return int(sum(counts))


# The class of a source, the end of its URL, the route of what it reads, and the rows of one answer.
SOURCES = {
    "streams": ("installation.Installation", "", "equities-trades-stream", 10**9),
    "v2": ("alpaca.Alpaca", "/api", "alpaca-equities-trades", 5_000),
}


@pytest.fixture(params=SOURCES)
def pair(
    tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[tuple[Installation, Installation, str, int]]:
    """An installation with all trades, one that lacks some and may ask the first, and the route and the most rows of what it asks."""
    backend, end, route, most_rows = SOURCES[request.param]
    for name in ("whole", "lacking"):
        (tmp_path / name).mkdir()
    times = trade_times(np.random.default_rng(chosen_seed()), minutes_of(SCHEDULE), 30.0)
    with installed(tmp_path / "whole", **WEB_ONLY, LOAD_SAMPLE="0") as whole:
        store_trades(whole.store, times)
        source = {
            "BACKEND": f"jobs.backfills.sources.{backend}",
            "OPTIONS": {"url": f"http://127.0.0.1:{whole.port}{end}"},
        }
        with installed(
            tmp_path / "lacking",
            TRADING_ENGINE="0",
            LOAD_SAMPLE="0",
            BACKFILL_SOURCES=orjson.dumps({"other": source}).decode(),
            BACKFILL_KEY_OTHER=whole.key,
            OUTBOUND_SCHEMES="http,https",
            OUTBOUND_NETWORKS="127.0.0.1",
        ) as lacking:
            store_trades(lacking.store, without(times))
            yield whole, lacking, route, most_rows


def test_what_is_missing_is_found_and_fetched_once(pair) -> None:
    whole, lacking, route, most_rows = pair
    start, end = (format_timestamp(int(each)) for each in (SCHEDULE.open_ns[0], SCHEDULE.close_ns[-1]))
    path = f"/api/v1/market-data/equities/{SYMBOL}/gaps?start={start}&end={end}&resolution=1m"
    found = [(each["start"], each["end"]) for each in get(lacking, path)["gaps"]]
    assert found == [(format_timestamp(first), format_timestamp(last)) for first, last in spans()]
    with ThreadPoolExecutor(CLIENTS) as threads:
        answers = list(threads.map(lambda _: get(lacking, path), range(CLIENTS)))
    assert all(len(each["gaps"]) <= len(spans()) for each in answers)
    assert eventually(lambda: get(lacking, path)["gaps"] == [])
    mine, theirs = (
        each.store.log(TRADES, SYMBOL).at().rows(ALL_TIME).combine_chunks() for each in (lacking, whole)
    )
    assert mine.equals(theirs)
    time.sleep(1)
    get(lacking, path)
    records = get(lacking, "/api/v1/backfills?sort=asc")["backfills"]
    assert sorted((each["start"], each["end"], each["state"]) for each in records) == [
        (first, last, "filled") for first, last in found
    ]
    assert sum(each["rows"] for each in records) == theirs.num_rows - without_count(theirs)
    assert reads_answered(whole, route) == sum(-(-each["rows"] // most_rows) for each in records)


def without_count(rows: pa.Table) -> int:
    return len(without(rows.column("timestamp").to_numpy()))
