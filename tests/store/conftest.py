"""The stores that the conformance suite runs over: another implementation is one more line here."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from store.clickhouse import ClickHouseStore
from store.csv import CsvStore
from store.market_store import MarketStore
from store.protocol import Amendment, Append, Receipt
from tests.group_servers import until_group_ends
from tests.memory_store import MemoryStore
from tests.store.builders import Clock
from tests.system.clickhouse import clickhouse
from tests.system.postgresql import postgresql

CONFORMANCE = "test_conformance_"
ON_TODAYS_CLICKHOUSE = {
    CONFORMANCE + subject
    for subject in ("append", "corrections", "duplicates", "reads", "revisions", "spans", "superseding")
}


class FoldedStore(CsvStore):
    """Folds every commit into derived files at once, in small segments: reads are from them alone."""

    def append(self, batch: Append) -> Receipt:
        receipt = super().append(batch)
        self.derive(batch.dataset, batch.symbol)
        return receipt

    def correct(self, amendment: Amendment) -> Receipt:
        receipt = super().correct(amendment)
        self.derive(amendment.dataset, amendment.symbol)
        return receipt


class PartlyFoldedStore(CsvStore):
    """Folds every other batch of rows: reads are from derived files, and from what came after them."""

    def append(self, batch: Append) -> Receipt:
        receipt = super().append(batch)
        if receipt.commit.number % 2:
            self.derive(batch.dataset, batch.symbol)
        return receipt


STORES: dict[str, Callable[[Path, Clock], MarketStore]] = {
    "memory": lambda _, clock: MemoryStore(clock=clock),
    "csv": lambda folder, clock: CsvStore(folder, clock=clock),
    "csv, folded": lambda folder, clock: FoldedStore(folder, clock=clock, segment_rows=3),
    "csv, partly folded": lambda folder, clock: PartlyFoldedStore(folder, clock=clock, segment_rows=20),
}


def pytest_itemcollected(item: pytest.Item) -> None:
    """Leave most tests over a store of servers to the soak.

    The usual run has the conformance suite over the cluster. Over today's ClickHouse it has the modules that add something
    to its SQL.
    """
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    store, module = parameters.get("store"), item.path.stem
    is_usual = module in ON_TODAYS_CLICKHOUSE if store == "chdb" else module.startswith(CONFORMANCE)
    if store in {"cluster", "chdb"} and not is_usual:
        item.add_marker("soak")


@pytest.fixture
def clock() -> Clock:
    return Clock()


IN_CLUSTER = pytest.param("cluster", marks=[pytest.mark.system, pytest.mark.xdist_group("cluster")])
IN_CHDB = pytest.param("chdb", marks=[pytest.mark.system, pytest.mark.xdist_group("cluster")])


@pytest.fixture(scope="session")
def cluster_url() -> str:
    """The URL of a store in two shards of ClickHouse and a PostgreSQL, which are started once."""
    postgres, hosts = until_group_ends(postgresql()), until_group_ends(clickhouse())
    return f"clickhouse://{hosts}/conformance?{urlencode({'postgres': postgres})}"


def _forget_all(store: ClickHouseStore) -> None:
    """Delete all commits, so that the rows in ClickHouse are seen by nobody."""
    with store.catalogue._postgres.connection() as connection:
        connection.execute("TRUNCATE logs, commits, parts")


@pytest.fixture
def cluster_store(cluster_url: str, clock: Clock) -> Iterator[ClickHouseStore]:
    """A store in the cluster, without logs. Rows of earlier tests' logs stay where they are: no log has their numbers."""
    store = ClickHouseStore(cluster_url, clock=clock)
    _forget_all(store)
    yield store
    store.close()


@pytest.fixture(scope="session")
def chdb_servers(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Today's ClickHouse in this process, which has one."""
    from tests.store.chdb_servers import ChdbServers  # noqa: PLC0415 it loads 500 MB

    return ChdbServers(tmp_path_factory.mktemp("chdb"))


@pytest.fixture
def chdb_store(
    chdb_servers: Any, cluster_url: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ClickHouseStore]:
    """A store as `cluster_store`, whose rows are in today's ClickHouse."""
    monkeypatch.setattr("store.clickhouse.store.ClickHouse", lambda _: chdb_servers)
    store = ClickHouseStore(cluster_url.replace("/conformance?", "/today?"), clock=clock)
    _forget_all(store)
    yield store
    store.close()


@pytest.fixture(params=[*STORES, IN_CLUSTER, IN_CHDB])
def store(request: Any, tmp_path: Path, clock: Clock) -> MarketStore:
    """A store."""
    if request.param not in STORES:
        found: MarketStore = request.getfixturevalue(f"{request.param}_store")
        return found
    return STORES[request.param](tmp_path / "store", clock)
