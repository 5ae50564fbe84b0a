"""The store of several hosts: rows in ClickHouse, commits in PostgreSQL."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import partial

from store.clickhouse.catalogue import TABLES, Catalogue
from store.clickhouse.cluster_log import ClusterLog, ClusterParts
from store.clickhouse.newest import NewestCommits
from store.clickhouse.row_tables import RowTables
from store.clickhouse.servers import ClickHouse, PostgreSql, StoreUrl
from store.clickhouse.writer import ClusterWriter, ComputedAppend
from store.commit_clock import AHEAD_SECONDS, CommitClock
from store.datasets import DATASETS, DECLARED_INSTRUMENTS
from store.declarations import Dataset
from store.exceptions import StoreUnavailable
from store.market_store import MarketStore
from store.protocol import Amendment, Append, Receipt
from store.walk import CommitHook, call_hooks


class ClickHouseStore(MarketStore):
    """A `MarketStore` in a ClickHouse cluster and a PostgreSQL database; any number of processes may use it at once.

    It connects at the first use. Methods raise `StoreUnavailable` if a server does not answer.
    """

    def __init__(
        self,
        url: str,
        *,
        postgres: str = "",
        clock: Callable[[], int] = time.time_ns,
        clock_ahead_seconds: int = AHEAD_SECONDS,
    ) -> None:
        """Create it.

        url: see `StoreUrl`. postgres: the URL of the database with the commits, if `url` does not have it. clock,
        clock_ahead_seconds: see `CommitClock`. Raises `ValueError` if a URL is none.
        """
        parsed = StoreUrl.parsed(url, postgres)
        self.committed: list[CommitHook] = []
        commits, rows = PostgreSql(parsed, TABLES), ClickHouse(parsed)
        self.catalogue = Catalogue(commits)
        self.newest = NewestCommits(commits, self.catalogue)
        self.tables = RowTables(parsed, rows)
        stamps = CommitClock(clock, clock_ahead_seconds)
        self.writer = ClusterWriter(self.catalogue, self.newest, self.tables, stamps)
        self._servers = commits, rows
        self._identity = ""

    def close(self) -> None:
        """Close the connections that are not in use, and stop listening for commits."""
        self.newest.close()
        for server in self._servers:
            server.close()

    def identity(self) -> str:
        """See `MarketStore.identity`. It is read once. Raises `StoreUnavailable`."""
        if not self._identity:
            self._identity = self.catalogue.identity()
        return self._identity

    def log(self, dataset: Dataset, symbol: str) -> ClusterLog:
        parts = ClusterParts(self.catalogue, self.newest, self.tables, self.writer)
        return ClusterLog(self.log, dataset, symbol, parts)

    def prepare_rows(self, batch: Append) -> Callable[[], Receipt]:
        """See `MarketStore.prepare_rows`."""
        return partial(self._append, ComputedAppend.of(batch))

    def _append(self, prepared: ComputedAppend) -> Receipt:
        return call_hooks(self.committed, prepared.batch, self.writer.append(prepared))

    def correct(self, amendment: Amendment) -> Receipt:
        return call_hooks(self.committed, amendment, self.writer.correct(amendment))

    def heads(self, dataset: Dataset, symbols: Sequence[str] | None = None) -> dict[str, Hashable]:
        """See `MarketStore.heads`. A token is the newest commit."""
        logs = self.newest.logs(dataset)
        names = logs if symbols is None else symbols
        return {symbol: logs[symbol].head for symbol in names if symbol in logs}

    def change_stamp(self, logs: Iterable[tuple[Dataset, str]]) -> Callable[[], Hashable]:
        """See `MarketStore.change_stamp`. It asks no server: without current memory each result is another one."""
        names = [DECLARED_INSTRUMENTS, *logs]

        def stamp() -> Hashable:
            if not self.newest.is_current:
                return object()
            states = (self.newest.state(*name) for name in names)
            return tuple(None if state is None else state.head for state in states)

        return stamp

    def remove_expired(self, dataset: Dataset, symbol: str) -> int:
        return self.writer.remove_expired((dataset, symbol))

    def bytes_before(self, dataset: Dataset, symbol: str, before_ns: int) -> int:
        return self.writer.bytes_before((dataset, symbol), before_ns)

    def problem(self) -> str:
        try:
            self.tables.check(self.catalogue.stored_datasets())
        except StoreUnavailable as error:
            return str(error)
        return ""

    def catalogue_stamp(self) -> Hashable:
        """See `MarketStore.catalogue_stamp`."""
        counts = (len(self.newest.logs(each)) for each in DATASETS.values())
        return self.log(*DECLARED_INSTRUMENTS).end().head, *counts

    def symbols(self, dataset: Dataset) -> list[str]:
        return sorted(self.newest.logs(dataset))
