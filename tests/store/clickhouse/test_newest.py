"""The newest commits are in each process's memory, and soon those of other processes, too."""

from collections.abc import Iterator
from contextlib import suppress

import pytest

from store.clickhouse import ClickHouseStore
from store.clickhouse.catalogue import CHANNEL, StoredLog
from store.clickhouse.servers import PostgreSql
from store.datasets import TRADES
from store.exceptions import StoreUnavailable
from store.protocol import CommitId
from tests.front.front_server import eventually
from tests.store.builders import SYMBOL, Clock, batch, stored, trade, trades_of

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("cluster")]


@pytest.fixture
def other(cluster_url: str, cluster_store: ClickHouseStore, clock: Clock) -> Iterator[ClickHouseStore]:
    """The store as another process has it."""
    store = ClickHouseStore(cluster_url, clock=clock)
    assert eventually(lambda: store.newest.is_current)
    yield store
    store.close()


def test_a_commit_of_another_process_changes_heads_and_stamps(cluster_store, other):
    stamp = other.change_stamp([(TRADES, SYMBOL)])
    before = stamp()
    assert stamp() == before
    head = cluster_store.append(batch(trade(1))).commit
    assert eventually(lambda: stamp() != before)
    assert other.heads(TRADES) == {SYMBOL: head}
    assert stored(other) == [trade(1)]


def test_a_store_whose_servers_answer_has_no_problem(other):
    assert not other.problem()


def test_own_commits_are_seen_at_once(other):
    for number in range(1, 9):
        head = other.append(batch(trade(number))).commit
        assert other.heads(TRADES, [SYMBOL]) == {SYMBOL: head}
        assert trades_of(other).head == head


def test_heads_and_stamps_ask_no_server(cluster_store, other, monkeypatch):
    head = cluster_store.append(batch(trade(1))).commit
    assert eventually(lambda: other.heads(TRADES) == {SYMBOL: head})
    stamp = other.change_stamp([(TRADES, SYMBOL)])

    def refuse(*_: object, **__: object) -> None:
        raise StoreUnavailable("it was asked")

    monkeypatch.setattr(PostgreSql, "rows", refuse)
    assert other.heads(TRADES, [SYMBOL]) == {SYMBOL: head}
    assert stamp() == stamp()


def test_after_a_lost_connection_memory_is_read_again(cluster_store, other):
    end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
    other.append(batch(trade(0)))
    cluster_store.append(batch(trade(3)))
    other._servers[0].rows(end)
    heads = list[CommitId]()

    def is_written() -> bool:
        with suppress(StoreUnavailable):  # of what was under way
            heads.append(cluster_store.append(batch(trade(1))).commit)
        return bool(heads)

    assert eventually(is_written)
    assert eventually(lambda: other.heads(TRADES) == {SYMBOL: heads[0]})


@pytest.mark.parametrize("payload", ["x", "[]", '["later", "A"]'])
def test_after_an_odd_notification_commits_are_noted(cluster_store, other, payload):
    other._servers[0].rows("SELECT pg_notify(%s || ' ' || current_schema, %s)", (CHANNEL, payload))
    head = cluster_store.append(batch(trade(1))).commit
    assert eventually(lambda: other.heads(TRADES) == {SYMBOL: head})
    assert other.newest._thread.is_alive()


def test_while_all_logs_are_read_again_an_own_commit_is_seen(cluster_store, other, monkeypatch):
    read, heads, seen = other.catalogue.all_logs, list[CommitId](), list[bool]()

    class Noted(list[tuple[str, str, StoredLog]]):
        def __iter__(self):
            for each in super().__iter__():
                seen.append(other.newest._logs[TRADES.name][SYMBOL].head == heads[-1])
                yield each

    def all_logs():
        found = list(read())
        heads.append(other.append(batch(trade(len(heads)))).commit)
        other.newest._noted = Noted(other.newest._noted)
        return found

    monkeypatch.setattr(other.catalogue, "all_logs", all_logs)
    other.newest.load()
    assert all(seen)
    assert other.heads(TRADES) == {SYMBOL: heads[-1]}


def test_memory_that_is_too_old_is_not_trusted(cluster_store, other):
    stamp = other.change_stamp([(TRADES, SYMBOL)])
    other.newest.close()
    assert stamp() != stamp()
    head = cluster_store.append(batch(trade(1))).commit
    assert other.heads(TRADES) == {SYMBOL: head}


def test_a_store_in_another_database_has_another_identity(cluster_url, cluster_store, other):
    """A backup is copied into another database."""
    restored = ClickHouseStore(cluster_url.replace("/conformance?", "/restored?"))
    assert cluster_store.identity() == other.identity()
    assert restored.identity() not in (other.identity(), "")
    restored.close()
