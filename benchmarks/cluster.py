"""The store of ClickHouse and PostgreSQL: two shards on this machine, against ClickHouse asked directly and the CSV store."""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from clickhouse_driver import Client

from benchmarks.generated_trades import BATCH_ROWS, MINUTE_NS, SYMBOL, Stream, stored
from benchmarks.processes import CORES, on_cores
from benchmarks.report import Goal, Note, Ratio, Row, Sizes, UnexpectedAnswer
from store.bar_policies import EVERY_PRINT
from store.bars.aggregates import Aggregates
from store.clickhouse import ClickHouseStore
from store.clickhouse.servers import ClickHouse, StoreUrl
from store.csv import CsvStore
from store.datasets import TRADES
from store.market_store import MarketStore
from store.protocol import Append, Dedupe
from store.timestamps import DAY_NS
from store.window_list import WindowList
from tests.system.clickhouse import clickhouse
from tests.system.postgresql import postgresql

_DAYS = 32
_WARM_UP = 3
_FILLED_ROWS = 200_000
_BARS = """
SELECT intDiv(timestamp, {minute}) AS bar, argMin(price, timestamp), max(price), min(price), argMax(price, timestamp),
    sum(volume), sum(price * volume), count()
FROM market.rows_trades WHERE _log = {log} AND timestamp >= {start} AND timestamp < {end} GROUP BY bar ORDER BY bar
"""


def measure_cluster(sizes: Sizes) -> Iterator[Row]:
    """Yield the times of bars and of appends. PostgreSQL syncs each commit; ClickHouse never syncs rows."""
    if shutil.which("clickhouse-server") is None:
        yield Note("Left out: the store of ClickHouse: there is no clickhouse-server.")
        return
    stream = Stream(a_minute=max(sizes.cluster_trades // (_DAYS * 24 * 60), 1))
    with on_cores(CORES), ExitStack() as stack:
        postgres, hosts = (
            stack.enter_context(postgresql(("listen_addresses=",))),
            stack.enter_context(clickhouse()),
        )
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))

        def opened(database: str) -> tuple[ClickHouseStore, ClickHouse]:
            url = f"clickhouse://{hosts}/{database}"
            store = ClickHouseStore(url, postgres=postgres)
            stack.callback(store.close)
            return store, ClickHouse(StoreUrl.parsed(url))

        # Appends first: the disk is busy long after the trades of the bars are stored.
        for symbol in ("WITHOUT", "WITH"):
            place = f"clickhouse://{hosts.partition(',')[0]}/{symbol}"
            direct = Client.from_url(f"{place}?use_numpy=1&insert_distributed_sync=1")
            stack.callback(direct.disconnect)
            yield from _measure_appends(*opened(symbol), direct, folder, symbol, rounds=sizes.batches * 5)
        yield from _measure_bars(*opened("market"), folder, stream, sizes)


def _measure_bars(
    cluster: ClickHouseStore, servers: ClickHouse, folder: Path, stream: Stream, sizes: Sizes
) -> Iterator[Row]:
    count = stream.a_minute * _DAYS * 24 * 60
    files = stored(folder / "bars", stream, count)
    for start in range(0, count, _FILLED_ROWS):
        rows = list(stream.batches(min(_FILLED_ROWS, count - start), first=start))
        cluster.append(_batch(SYMBOL, rows, Dedupe.NONE))
    log = cluster.newest.logs(TRADES)[SYMBOL].id
    for days, rounds in ((1, sizes.rounds * 4), (30, sizes.rounds)):
        start = stream.start_ns + DAY_NS
        window = WindowList(np.array([start]), np.array([start + days * DAY_NS]))
        query = _BARS.format(minute=MINUTE_NS, log=log, start=start, end=start + days * DAY_NS)
        _check(_bars(cluster, window), _bars(files, window), days)
        calls = (
            partial(_bars, cluster, window),
            partial(servers.columns, query),
            partial(_bars, files, window),
        )
        times = [[_seconds(call) * 1e3 for call in calls] for _ in range(rounds)]
        here, direct, csv = map(median, zip(*times, strict=True))
        name = f"one-minute bars of {days} of {_DAYS} days of {count:,} trades in two shards"
        yield Ratio(f"{name}, against ClickHouse asked directly", here, direct, "ms", Goal(most=1.5))
        yield Ratio(f"{name}, against the CSV store", here, csv, "ms")


def _bars(store: MarketStore, window: WindowList) -> Aggregates:
    return store.log(TRADES, SYMBOL).at().aggregates(window, MINUTE_NS, EVERY_PRINT)


def _check(found: Aggregates, expected: Aggregates, days: int) -> None:
    for name in ("time", "open", "high", "low", "close", "volume", "notional", "notional_mid", "trade_count"):
        if not np.array_equal(getattr(found, name), getattr(expected, name)) or len(found) != days * 24 * 60:
            raise UnexpectedAnswer(f"{name} of bars differs between the stores")


def _measure_appends(
    cluster: ClickHouseStore, servers: ClickHouse, direct: Client, folder: Path, symbol: str, *, rounds: int
) -> Iterator[Row]:
    """Yield rows per second of batches, against bare inserts of their columns, which are ready as numpy arrays."""
    files = CsvStore(folder / "appends")
    seconds = dict[str, list[float]](here=[], bare=[], csv=[])
    for chunk in Stream(a_minute=1_000, with_ids=symbol == "WITH").batches(rounds * BATCH_ROWS):
        for start in range(0, len(chunk), BATCH_ROWS):
            batch = _batch(symbol, [chunk.slice(start, BATCH_ROWS)], Dedupe.ROWS)
            columns = _numpy_columns(batch.rows)
            if not seconds["here"]:
                _make_table(servers, symbol, columns)
            calls: dict[str, Callable[[], object]] = {
                "here": partial(cluster.append, batch),
                "bare": partial(_insert, direct, columns),
                "csv": partial(files.append, batch),
            }
            for name, call in calls.items():
                seconds[name].append(_seconds(call))
    here, bare, csv = (BATCH_ROWS / median(each[_WARM_UP:]) for each in seconds.values())
    name = f"batches of 10,000 trades {symbol.lower()} ids in two shards"
    yield Ratio(f"{name}, against bare inserts", here, bare, "rows/s", Goal(least=0.5))
    yield Ratio(f"{name}, against the CSV store", here, csv, "rows/s")


def _insert(client: Client, columns: Mapping[str, npt.NDArray[Any]]) -> None:
    query = f"INSERT INTO bare ({', '.join(columns)}) VALUES"
    client.execute(query, [*columns.values()], columnar=True)


def _numpy_columns(rows: pa.RecordBatch) -> dict[str, npt.NDArray[Any]]:
    columns = {name: rows.column(name) for name in rows.schema.names}
    return {
        name: np.array(column.fill_null("").to_pylist(), np.object_)
        if column.type == "string"
        else column.to_numpy()
        for name, column in columns.items()
        if column.null_count < len(column)
    }


def _make_table(servers: ClickHouse, name: str, columns: Mapping[str, npt.NDArray[Any]]) -> None:
    types = {"int64": "Int64", "float64": "Float64", "object": "String"}
    declared = ", ".join(f"{column} {types[str(values.dtype)]}" for column, values in columns.items())
    cluster = f"Distributed(market, {name}, bare_local, intDiv(timestamp, {DAY_NS}))"
    servers.run_everywhere(
        [
            f"CREATE DATABASE IF NOT EXISTS {name}",
            f"CREATE TABLE {name}.bare_local ({declared}) ENGINE = MergeTree ORDER BY timestamp",
            f"CREATE TABLE {name}.bare ({declared}) ENGINE = {cluster}",
        ]
    )


def _batch(symbol: str, parts: Sequence[pa.RecordBatch], dedupe: Dedupe) -> Append:
    (rows,) = pa.Table.from_batches(parts).combine_chunks().to_batches()
    return Append(TRADES, symbol, rows, "bench", dedupe)


def _seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began
