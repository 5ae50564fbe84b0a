"""ClickHouse's log of queries names the call for which a query ran."""

import pytest

from store.clickhouse.servers import ClickHouse, StoreUrl
from web.correlation import correlated

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("cluster")]


def test_a_query_has_the_correlation_id_and_a_number(cluster_url):
    servers = ClickHouse(StoreUrl.parsed(cluster_url))
    seen = set()
    with correlated("call-7"):
        for _ in range(2):
            [ids] = servers.columns("SELECT query_id FROM system.processes WHERE query LIKE '%processes%'")
            seen |= set(ids)
    assert len(seen) == 2
    assert all(each.startswith("call-7-") for each in seen)
    servers.close()
