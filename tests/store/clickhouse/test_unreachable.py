"""A server that does not answer is named, and nothing is stored or answered without it."""

from urllib.parse import urlencode

import pytest

from store import open_store
from store.backends import NoSuchStore, store_at
from store.clickhouse import ClickHouseStore
from store.clickhouse.servers import ClickHouse, StoreUrl
from store.exceptions import StoreUnavailable
from tests.store.builders import batch, stored, trade

NOBODY = f"clickhouse://127.0.0.1:1/market?{urlencode({'postgres': 'postgres://nobody@127.0.0.1:1/none'})}"


@pytest.mark.parametrize(
    "use",
    [
        pytest.param(lambda store: store.append(batch(trade(1))), id="append"),
        pytest.param(stored, id="rows"),
        pytest.param(lambda store: store.set_instruments([]) or store.instrument("A"), id="instrument"),
    ],
)
def test_postgresql_is_named(use):
    with pytest.raises(StoreUnavailable, match="PostgreSQL, which has the commits"):
        use(ClickHouseStore(NOBODY))


def test_clickhouse_is_named():
    with pytest.raises(StoreUnavailable, match="ClickHouse, which has the rows"):
        ClickHouse(StoreUrl.parsed(NOBODY)).columns("SELECT 1")


def test_clickhouse_is_named_by_what_runs_on_each_host():
    servers = ClickHouse(StoreUrl.parsed(NOBODY))
    with pytest.raises(StoreUnavailable, match="ClickHouse, which has the rows"):
        servers.run_everywhere(["SELECT 1"])


def test_a_reader_of_it_is_opened_without_asking_a_server():
    reader = open_store(NOBODY)
    with pytest.raises(StoreUnavailable):
        reader.symbols()


def test_what_does_not_answer_is_a_problem():
    assert ClickHouseStore(NOBODY).problem().startswith("PostgreSQL")


def test_the_parts_of_a_url():
    url = StoreUrl.parsed("clickhouse://a,b:9001/m_1?cluster=c", "postgres://x")
    assert url == StoreUrl((("a", 9000), ("b", 9001)), "m_1", "c", "postgres://x")
    assert StoreUrl.parsed("clickhouse://me:p%40ss@a/m").login == ("me", "p@ss")


@pytest.mark.parametrize("rest", ["a:x/m", "a/m-1", "a", "a/m?size=1", "a/m?postgres=hidden"])
def test_a_url_that_is_none_is_refused_without_its_password(rest):
    with pytest.raises(NoSuchStore) as refused:
        store_at(f"clickhouse://me:hidden@{rest}")
    assert "hidden" not in str(refused.value)
