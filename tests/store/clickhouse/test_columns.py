"""A dataset gets a column: tables that were made before have it from the first use on, and rows in them have no value of it."""

from typing import Any

import pytest

from store.clickhouse import ClickHouseStore
from tests.store.builders import Clock, amendment, correct, stored, trade
from tests.store.builders import batch as batch_of

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("cluster")]

TABLES = [f"{kind}_trades{suffix}" for kind in ("rows", "corrections") for suffix in ("", "_local")]


def test_tables_of_an_earlier_version_get_a_later_column(
    cluster_store: ClickHouseStore, cluster_url: str, clock: Clock
):
    cluster_store.append(batch_of(trade(1), trade(2)))
    cluster_store.correct(amendment(correct(2, price=100.0, new={"volume": 5.0})))
    servers = cluster_store.tables._servers
    servers.run_everywhere([f"ALTER TABLE conformance.{name} DROP COLUMN buyer_is_maker" for name in TABLES])
    later = ClickHouseStore(cluster_url, clock=clock)
    rows: list[dict[str, Any]] = [trade(1), trade(2, volume=5.0)]
    assert stored(later) == rows
    new = [trade(3, buyer_is_maker=False), trade(4, buyer_is_maker=True), trade(5)]
    later.append(batch_of(*new))
    assert stored(later) == rows + new
    assert stored(cluster_store) == rows + new
    later.close()
