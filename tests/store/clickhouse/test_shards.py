"""Rows go straight to the shard that the `Distributed` table would choose, in ClickHouse's native format."""

from typing import Any

import pyarrow as pa
import pytest

from store.clickhouse import ClickHouseStore
from store.clickhouse.native_block import native_texts
from store.datasets import TRADES
from store.timestamps import DAY_NS
from tests.store.builders import SYMBOL, batch, stored, trade

ROWS = [trade(f"{year}-0{month}-01T00:00:00Z") for year in (1950, 1969, 1970, 2025) for month in range(1, 7)]
ROWS += [trade("1969-12-31T23:59:59Z"), trade("1969-12-30T23:59:59Z"), trade("1969-12-30T00:00:00Z")]


def _both_hosts(_: ClickHouseStore) -> None:
    """Every host answers."""


def _other_hosts(store: ClickHouseStore) -> None:
    """Each shard's connections lead to another host, as if the shard could not be reached from here."""
    pools = store.tables._servers._pools
    store.tables._servers._pools = dict(zip(pools, [*pools.values()][::-1], strict=True))


def _unknown_hosts(store: ClickHouseStore) -> None:
    """No shard is known to be one of the URL's hosts."""
    store.tables._servers._slots = [None, None]


@pytest.mark.system
@pytest.mark.xdist_group("cluster")
@pytest.mark.parametrize("change", [_both_hosts, _other_hosts, _unknown_hosts])
def test_the_shard_of_a_row(cluster_store, change):
    cluster_store.append(batch(trade(0)))
    change(cluster_store)
    cluster_store.append(batch(*ROWS))
    assert stored(cluster_store) == sorted([trade(0), *ROWS], key=lambda row: row["timestamp"])
    log = cluster_store.newest.state(TRADES, SYMBOL).id
    before = _counts(cluster_store, log)
    assert all(before)
    table = "conformance.rows_trades"
    copy = f"INSERT INTO {table} SELECT * FROM {table} WHERE _log = {log}"
    with cluster_store.tables._servers._asked(cluster_store.tables._url.hosts[0]) as client:
        client.execute(copy)
    assert _counts(cluster_store, log) == [{day: 2 * count for day, count in each.items()} for each in before]


def _counts(store: ClickHouseStore, log: int) -> list[dict[int, int]]:
    """Return the number of a log's rows by date from 1970 on, for each shard."""
    query = f"SELECT intDiv(timestamp, {DAY_NS}) AS day, count() FROM conformance.rows_trades_local WHERE _log = {log} AND timestamp >= 0 GROUP BY day"
    found = list[dict[int, int]]()

    def count(client: Any) -> None:
        found.append({int(day): int(rows) for day, rows in client.execute(query)})

    store.tables._servers._on_each_host(count)
    return found


@pytest.mark.parametrize("length", [0, 1, 127, 128, 255, 16_383, 16_384])
def test_texts_in_the_native_format(length):
    texts = ["", "é" * (length // 2), "x" * length, "", "y"]
    expected = b"".join(_varint(len(each.encode())) + each.encode() for each in texts)
    assert native_texts(pa.array(["left out", *texts])[1:]) == expected
    assert native_texts(pa.array([], pa.string())) == b""


def _varint(number: int) -> bytes:
    digits = [number & 127]
    while number := number >> 7:
        digits[-1] |= 128
        digits.append(number & 127)
    return bytes(digits)
