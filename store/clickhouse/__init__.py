"""The store for several hosts: rows in ClickHouse, commits in PostgreSQL."""

from store.clickhouse.store import ClickHouseStore

__all__ = ["ClickHouseStore"]
