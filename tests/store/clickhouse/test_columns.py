"""A table gets an optional column when a row has a value of it; rows that are stored already have none."""

from functools import partial
from typing import Any

import pytest

from store.clickhouse import ClickHouseStore
from store.datasets import TRADES
from store.exceptions import StoreUnavailable
from tests.front.front_server import eventually
from tests.store.builders import Clock, amendment, correct, stored, trade
from tests.store.builders import batch as batch_of

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("cluster")]

TABLES = [f"{kind}_trades{suffix}" for kind in ("rows", "corrections") for suffix in ("", "_local")]
OPTIONAL = {"_identity", "sequence", "trade_id", "exchange", "conditions", "received_at", "buyer_is_maker"}


def _drop_optional(store: ClickHouseStore) -> None:
    """Make the tables as they are before any row has a value."""
    servers = store.tables._servers
    for table in TABLES:
        known = store.tables._read_columns(f"conformance.{table}")
        assert known >= {column.name for column in TRADES.columns} - OPTIONAL
        dropped = [f"ALTER TABLE conformance.{table} DROP COLUMN {name}" for name in known & OPTIONAL]
        servers.run_everywhere(dropped)


def _has(store: ClickHouseStore, rows: list[dict[str, Any]]) -> bool:
    return stored(store) == rows


def test_columns_are_added_by_the_first_row_with_a_value(
    cluster_store: ClickHouseStore, cluster_url: str, clock: Clock
):
    cluster_store.append(batch_of(trade(1), trade(2)))
    cluster_store.correct(amendment(correct(2, price=100.0, new={"volume": 5.0})))
    _drop_optional(cluster_store)
    reader, writer = ClickHouseStore(cluster_url, clock=clock), ClickHouseStore(cluster_url, clock=clock)
    rows: list[dict[str, Any]] = [trade(1), trade(2, volume=5.0)]
    assert stored(reader) == rows
    for new in (
        [trade(3, buyer_is_maker=False), trade(4, buyer_is_maker=True), trade(5)],
        [trade(6, trade_id="a", exchange="XNAS", sequence=3, conditions="x;y", received_at=7), trade(7)],
    ):
        writer.append(batch_of(*new))
        rows += new
        assert stored(writer) == rows
        assert eventually(partial(_has, reader, [*rows]))
    assert not OPTIONAL & writer.tables._columns["conformance.corrections_trades"]
    writer.correct(amendment(correct(6, price=100.0, new={"conditions": "z"})))
    rows[5] = rows[5] | {"conditions": "z"}
    assert eventually(partial(_has, reader, [*rows]))
    reader.close()
    writer.close()


def test_the_log_of_a_new_database_is_read_before_it_has_rows(cluster_url: str, clock: Clock):
    store = ClickHouseStore(cluster_url.replace("/conformance?", "/new?"), clock=clock)
    store.append(batch_of(complete_until=4))
    assert stored(store) == []
    store.append(batch_of(trade(5)))
    assert stored(store) == [trade(5)]
    store.close()


def test_a_column_that_one_host_lacks_is_added_by_the_next_process(
    cluster_store: ClickHouseStore, cluster_url: str, clock: Clock
):
    rows: list[dict[str, Any]] = [trade(1, exchange="XNAS")]
    cluster_store.append(batch_of(*rows))
    hosts = cluster_store.tables._url.hosts
    with cluster_store.tables._servers._asked(hosts[1]) as client:
        client.execute("ALTER TABLE conformance.rows_trades DROP COLUMN exchange")
    names = [f"{name}:{port}" for name, port in hosts]
    reader = ClickHouseStore(cluster_url.replace(",".join(names), ",".join(reversed(names))), clock=clock)
    with pytest.raises(StoreUnavailable, match="lacks a column"):
        stored(reader)
    writer = ClickHouseStore(cluster_url, clock=clock)
    writer.append(batch_of(trade(2, exchange="XNYS")))
    assert eventually(partial(_has, reader, [*rows, trade(2, exchange="XNYS")]))
    reader.close()
    writer.close()
