"""What a shard has lost is told of: its tables are not made anew, and no answer lacks rows."""

import logging
from collections.abc import Iterator, Sequence

import pytest

from store.clickhouse import ClickHouseStore
from store.exceptions import DataDamaged, StoreUnavailable
from store.protocol import ALL_TIME, Window
from tests.store.builders import (
    DAY,
    MINUTE,
    NOON,
    amendment,
    batch,
    cancel,
    stored,
    trade,
    trades_of,
)

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("cluster")]
# Of four dates, which are on the two shards in turn.
ROWS = [trade(day * DAY + number) for day in range(4) for number in range(3)]


@pytest.fixture
def url(cluster_url: str, cluster_store: ClickHouseStore) -> Iterator[str]:
    """The URL of a store in a database of its own."""
    yield cluster_url.replace("/conformance?", "/lossy?")
    cluster_store.tables._servers.run_everywhere(["DROP DATABASE IF EXISTS lossy"])
    with cluster_store.catalogue._postgres.connection() as connection:
        connection.execute("DROP SCHEMA IF EXISTS lossy CASCADE")


@pytest.fixture
def lossy(url: str) -> Iterator[ClickHouseStore]:
    store = ClickHouseStore(url)
    store.append(batch(*ROWS[::2]))
    store.append(batch(*ROWS[1::2]))
    assert not store.problem()
    yield store
    store.close()


def run_on(store: ClickHouseStore, shards: Sequence[int], statement: str) -> None:
    """Run a statement on some shards only."""
    servers = store.tables._servers
    for shard in shards:
        client = servers._client([servers._url.hosts[shard]])
        client.execute(statement)
        client.disconnect()


@pytest.mark.parametrize("shards", [[0], [1], [0, 1]])
def test_tables_that_had_rows_are_not_made_anew(lossy, url, shards, caplog):
    run_on(lossy, shards, "DROP DATABASE lossy")
    for store in (lossy, ClickHouseStore(url), ClickHouseStore(url)):
        assert "lost the table lossy.corrections_trades:" in store.problem()
        with pytest.raises(StoreUnavailable):
            store.append(batch(*(trade(day * DAY) for day in range(10, 14))))
        with pytest.raises(StoreUnavailable, match=r"lacks a table on a shard|refused a query with code"):
            stored(store)
        store.close()
    restarted = ClickHouseStore(url)
    caplog.clear()
    with caplog.at_level(logging.ERROR), pytest.raises(DataDamaged, match=r"lost the table lossy\.corr"):
        restarted.append(batch(trade(20 * DAY)))
    restarted.close()
    hosts = [f"{name}:{port}" for name, port in lossy.tables._url.hosts]
    assert [hosts[each] in caplog.text for each in (0, 1)] == [each in shards for each in (0, 1)]
    assert "rows_trades_local of lossy" in caplog.text


def test_tables_that_one_shard_lacks_are_made_before_the_first_row(url):
    store = ClickHouseStore(url)
    store.append(batch(complete_until=4))
    run_on(store, [1], "DROP DATABASE lossy")
    store.close()
    store = ClickHouseStore(url)
    assert not store.problem()
    store.append(batch(*ROWS))
    assert stored(store) == ROWS
    store.close()


def _truncate(store: ClickHouseStore, kind: str) -> None:
    """Delete the rows or corrections of the shard of the second date."""
    query = (
        f"SELECT count() FROM lossy.{kind}_trades_local WHERE intDiv(timestamp, {DAY}) = {NOON // DAY + 1}"
    )
    servers = store.tables._servers
    for shard, host in enumerate(servers._url.hosts):
        client = servers._client([host])
        if client.execute(query)[0][0]:
            run_on(store, [shard], f"TRUNCATE TABLE lossy.{kind}_trades_local")
        client.disconnect()


def _bars(store: ClickHouseStore, window: Window) -> list[int]:
    bars: list[int] = trades_of(store).at().bars(window, MINUTE).trade_count.tolist()
    return bars


READS = {
    "rows": lambda store, window: trades_of(store).at().rows(window),
    "versions": lambda store, window: trades_of(store).at().versions(window, ["price"]),
    "first rows": lambda store, window: trades_of(store).at().take_window(window, 100),
    "bars": _bars,
    "rows of the first commit": lambda store, window: trades_of(store).at(1).rows(window),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
@pytest.mark.parametrize(
    "window", [ALL_TIME, Window(NOON + DAY, NOON + DAY + 3)], ids=["all", "a part of a date"]
)
def test_an_answer_without_lost_rows_is_refused(lossy, read, window):
    _truncate(lossy, "rows")
    with pytest.raises(DataDamaged, match="a shard has lost some"):
        read(lossy, window)
    read(lossy, Window(NOON, NOON + DAY // 2))


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_an_answer_without_lost_corrections_is_refused(lossy, read):
    lossy.correct(amendment(*(cancel(day * DAY) for day in range(4))))
    assert _bars(lossy, Window(NOON, NOON + 3 * DAY + MINUTE)) == [2, 2, 2, 2]
    _truncate(lossy, "corrections")
    if read is READS["rows of the first commit"]:
        read(lossy, ALL_TIME)
        return
    with pytest.raises(DataDamaged, match="corrections here"):
        read(lossy, ALL_TIME)


def test_a_refused_query_is_no_silence(cluster_store, caplog):
    cluster_store.append(batch(trade(1)))
    with pytest.raises(
        StoreUnavailable, match="ClickHouse, which has the rows, refused a query with code 60"
    ):
        cluster_store.tables._servers.columns("SELECT 1 FROM conformance.nothing")
    name, port = cluster_store.tables._url.hosts[0]
    assert f"{name}:{port} refused" in caplog.text
    assert "conformance.nothing" in caplog.text
