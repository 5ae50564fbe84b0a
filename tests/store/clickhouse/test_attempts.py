"""Rows whose commit has no record are seen by nobody, and do no harm to the commit that gets their number."""

import time
from functools import partial

import pytest

from store.clickhouse import ClickHouseStore, writer
from store.clickhouse.catalogue import LockedLog
from store.copying import copy_log
from store.csv import CsvStore
from store.datasets import TRADES
from store.exceptions import StoreUnavailable
from store.protocol import Window
from tests.front.front_server import eventually
from tests.store.builders import (
    MINUTE,
    NOON,
    SYMBOL,
    amendment,
    batch,
    cancel,
    correct,
    fill_of,
    stored,
    trade,
    trades_of,
)
from tests.store.walking import flat, walk

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("cluster")]


def fail(*_: object) -> None:
    raise StoreUnavailable("PostgreSQL was stopped")


def test_rows_without_a_record_are_not_seen_and_their_number_is_free(cluster_store, monkeypatch):
    cluster_store.append(batch(trade(1, trade_id="a")))
    monkeypatch.setattr(LockedLog, "commit", fail)
    with pytest.raises(StoreUnavailable):
        cluster_store.append(batch(trade(2, trade_id="b"), trade(3, 7.0)))
    monkeypatch.undo()
    assert stored(cluster_store) == [trade(1, trade_id="a")]
    receipt = cluster_store.append(batch(trade(2, 9.0, trade_id="b")))
    assert (receipt.stored, receipt.commit.number) == (1, 2)
    rows = [trade(1, trade_id="a"), trade(2, 9.0, trade_id="b")]
    assert stored(cluster_store) == rows
    assert [each[2] for each in flat(walk(cluster_store)) if isinstance(each, tuple)] == rows
    assert trades_of(cluster_store).at().bars(Window(NOON, NOON + MINUTE), MINUTE).close.tolist() == [9.0]


def test_ids_that_another_process_stored_are_found(cluster_store, cluster_url, clock):
    other = ClickHouseStore(cluster_url, clock=clock)
    for number in range(4):
        store = (cluster_store, other)[number % 2]
        assert store.append(batch(trade(number, trade_id=f"{number}"))).stored == 1
    assert cluster_store.append(batch(*(trade(n, trade_id=f"{n}") for n in range(5)))).stored == 1
    other.close()


def test_a_log_keeps_its_hashes_on_the_way_into_the_cluster_and_back(cluster_store, tmp_path, clock):
    origin, back = CsvStore(tmp_path / "origin", clock=clock), CsvStore(tmp_path / "back", clock=clock)
    origin.append(batch(trade(1, trade_id="a", conditions="x;y"), trade(2, 5.0, sequence=3), request_key="k"))
    origin.append(batch(trade(3), fill=fill_of(0, 9)))
    origin.correct(amendment(cancel(2, price=5.0), correct(1, price=100.0, new={"volume": 8.0})))
    origin.append(batch(trade(-5, 2.0), complete_until=4))
    for source, target in ((origin, cluster_store), (cluster_store, back)):
        copy_log(source.log(TRADES, SYMBOL), target.log(TRADES, SYMBOL))
        assert trades_of(target).end() == trades_of(origin).end()
        assert flat(walk(target)) == flat(walk(origin))
        assert stored(target) == stored(origin)


def test_what_a_failed_attempt_inserted_is_removed_later(cluster_store, cluster_url, monkeypatch):
    def has(rows: int) -> bool:
        query = f"SELECT count() FROM conformance.rows_trades WHERE _log = {log}"
        (found,) = cluster_store.tables._servers.columns(query)
        return int(found[0]) == rows

    cluster_store.append(batch(trade(1)))
    log = cluster_store.newest.state(TRADES, SYMBOL).id
    long_ago = (time.time_ns() // 1_000_000 - 25 * 3_600_000) << 20
    monkeypatch.setattr(LockedLog, "commit", fail)
    cluster_store.writer._attempts.clear()
    monkeypatch.setattr(writer, "new_attempt", lambda: long_ago)
    with pytest.raises(StoreUnavailable):
        cluster_store.append(batch(trade(2), trade(3)))
    monkeypatch.undo()
    assert has(3)
    for number in (4, 5):
        other = ClickHouseStore(cluster_url)
        other.append(batch(trade(number)))
        other.close()
        assert eventually(partial(has, number - 2))
    assert long_ago not in cluster_store.catalogue.state(TRADES, SYMBOL).attempts
    assert eventually(lambda: len(stored(cluster_store)) == 3)


def test_a_check_finds_rows_that_no_commit_stored(cluster_store):
    for number in range(3):
        cluster_store.append(batch(trade(number), trade(number + 10)))
    check = cluster_store.check(TRADES, SYMBOL)
    assert list(check.findings()) == []
    assert (check.checked.commits, check.checked.rows) == (3, 6)
    rows, log = "conformance.rows_trades", cluster_store.newest.state(TRADES, SYMBOL).id
    cluster_store.tables._servers.run_everywhere(
        [f"INSERT INTO {rows}_local SELECT * FROM {rows}_local WHERE _log = {log} AND _commit = 2"]
    )
    surplus, damaged = cluster_store.check(TRADES, SYMBOL).findings()
    assert damaged.commit == 2
    assert "6 rows, and 8 are stored" in surplus.message
