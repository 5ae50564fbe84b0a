"""Two installations side by side: what one lacks comes from the other, once, and both end equal."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
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
from tests.ops.outbound.hostile_server import Behaviour, Call, hangs, says, served
from tests.patience import PATIENCE_SECONDS
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


def store_trades(store: CsvStore, times: Integers, symbol: str = SYMBOL) -> None:
    """Declare the symbol, and store a trade at each instant; its price and volume follow from that."""
    store.set_instrument(Instrument(symbol, exchange="XNYS"))
    values = {"timestamp": times, "price": 100 + times // MINUTE_NS % 7 / 4, "volume": 1.0 + times % 9}
    columns = [
        pa.array(values[each.name], each.type) if each.name in values else pa.nulls(len(times), each.type)
        for each in TRADES.schema
    ]
    rows = pa.record_batch(columns, schema=TRADES.schema)
    store.append(Append(TRADES, symbol, rows, "tests", Dedupe.NONE))


def get(installation: Installation, path: str) -> Any:
    return call(installation, "GET", path)


def call(installation: Installation, method: str, path: str, body: Any = None) -> Any:
    connection = HTTPConnection("127.0.0.1", installation.port, timeout=PATIENCE_SECONDS)
    headers = {"X-API-Key": installation.key, "Content-Type": "application/json"}
    connection.request(method, path, None if body is None else orjson.dumps(body), headers)
    response = connection.getresponse()
    answer = response.read()
    connection.close()
    assert response.status in (200, 202), answer
    return orjson.loads(answer)


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Installation, Installation]]:
    """An installation with all trades, and one that lacks some and may ask the first."""
    for name in ("whole", "lacking"):
        (tmp_path / name).mkdir()
    times = trade_times(np.random.default_rng(chosen_seed()), minutes_of(SCHEDULE), 30.0)
    with installed(tmp_path / "whole", **WEB_ONLY, LOAD_SAMPLE="0") as whole:
        store_trades(whole.store, times)
        other = {"kind": "installation", "url": f"http://127.0.0.1:{whole.port}"}
        with lacking_trades(tmp_path / "lacking", {"other": other}, SOURCE_KEY_OTHER=whole.key) as lacking:
            store_trades(lacking.store, without(times))
            yield whole, lacking


def lacking_trades(
    folder: Path, sources: dict[str, Any], **environment: str
) -> AbstractContextManager[Installation]:
    """An installation that may ask sources of this machine."""
    return installed(
        folder,
        data_dir=None,
        TRADING_ENGINE="0",
        LOAD_SAMPLE="0",
        SOURCES=orjson.dumps(sources).decode(),
        OUTBOUND_SCHEMES="http,https",
        OUTBOUND_NETWORKS="127.0.0.1",
        **environment,
    )


def test_what_is_missing_is_found_and_fetched_once(pair) -> None:
    whole, lacking = pair
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

    def backfills() -> Any:
        return get(lacking, "/api/v1/backfills?sort=asc")["backfills"]

    assert eventually(lambda: {each["state"] for each in backfills()} == {"filled"})
    records = backfills()
    assert sorted((each["start"], each["end"], each["state"]) for each in records) == [
        (first, last, "filled") for first, last in found
    ]
    assert sum(each["rows"] for each in records) == theirs.num_rows - without_count(theirs)


def without_count(rows: pa.Table) -> int:
    return len(without(rows.column("timestamp").to_numpy()))


# The first source, by the symbol that it is asked for.
FIRST: dict[str, Behaviour] = {
    "AWAY": says(b"", 503, Retry_After="60"),
    "WRONG": says(b"<html>no market data</html>"),
    "SLOW": hangs,
    "EMPTY": says(b'{"datasets":[]}'),
}
SAID = {
    "AWAY": "503",
    "WRONG": "not JSON",
    "SLOW": "no answer",
    "EMPTY": "has no rows here, and does not know that there are none",
}


def first_source(call: Call) -> None:
    FIRST[next(symbol for symbol in FIRST if f"/{symbol}/" in call.path)](call)


def test_the_second_source_fills_what_the_first_cannot_and_the_history_says_why(tmp_path: Path) -> None:
    """The second lacks one of two dates of the symbol EMPTY: that one is exhausted, with what both said."""
    dates = [(int(SCHEDULE.open_ns[date]), int(SCHEDULE.close_ns[date])) for date in (25, 30)]
    times = minutes_of(SCHEDULE) + 1
    is_lost = np.logical_or.reduce([(times >= start) & (times < end) for start, end in dates])
    (tmp_path / "second").mkdir()
    for symbol in FIRST:
        for start, end in dates if symbol != "EMPTY" else dates[:1]:
            lines = [
                f"{format_timestamp(each)},10,1" for each in times[(times >= start) & (times < end)].tolist()
            ]
            text = "\n".join(["timestamp,price,volume", *lines, ""])
            (tmp_path / "second" / f"{symbol}.{format_timestamp(start)[:10]}.csv").write_text(text)
    quick = {"connect": 10, "read": 4, "total": 20, "attempts": 1, "failures": 100}
    with served(first_source) as first:
        sources = {
            "first": {"kind": "installation", "url": first.url, "limits": quick},
            "second": {"kind": "folder", "path": str(tmp_path / "second"), "pattern": "{symbol}.{date}.csv"},
        }
        (tmp_path / "lacking").mkdir()
        with lacking_trades(tmp_path / "lacking", sources, BACKFILL_AUTOMATIC="0") as lacking:
            for symbol in FIRST:
                store_trades(lacking.store, times[~is_lost], symbol)
                body = {
                    "symbol": symbol,
                    "start": format_timestamp(dates[0][0]),
                    "end": format_timestamp(dates[1][1]),
                }
                call(lacking, "POST", "/api/v1/backfills", body)
            assert eventually(lambda: len(get(lacking, "/api/v1/backfills")["backfills"]) == 2 * len(FIRST))
            for symbol, said in SAID.items():
                _check_history(lacking, symbol, said, dates)
                missing = 390 if symbol == "EMPTY" else 0
                stored = lacking.store.log(TRADES, symbol).at()
                assert stored.rows(ALL_TIME).num_rows == len(times) - missing
                assert {fill.source for _, fill in stored.fills(ALL_TIME)} == {"second"}


def _check_history(installation: Installation, symbol: str, said: str, dates: list[tuple[int, int]]) -> None:
    records = get(installation, f"/api/v1/backfills?symbol={symbol}&sort=asc")["backfills"]
    assert [(each["start"], each["end"]) for each in records] == [
        tuple(map(format_timestamp, each)) for each in dates
    ]
    states = ["filled", "exhausted" if symbol == "EMPTY" else "filled"]
    assert [each["state"] for each in records] == states
    assert [each["source"] for each in records] == ["second" if state == "filled" else "" for state in states]
    for each in records:
        assert each["told"][0]["source"] == "first"
        assert said in each["told"][0]["said"]
        assert len(each["told"]) == (1 if each["state"] == "filled" else 2)
