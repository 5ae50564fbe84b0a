"""The market store of tests that go through the API: files, or by `STORE` the store in memory or a cluster.

A backend must pass them with what every backend must do alone: `STORE=memory`. For `STORE=clickhouse` see
`tests.system.run_on_servers`.
"""

import os
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from store.clickhouse import ClickHouseStore
from tests.memory_store import MemoryStore

_BACKENDS = {
    "csv": "store.csv.CsvStore",
    "memory": f"{__name__}.memory_store",
    "clickhouse": f"{__name__}.cluster_store",
}
_BACKEND = _BACKENDS[os.environ.get("STORE", "csv")]
IS_OF_FILES = _BACKENDS["csv"] == _BACKEND
# More than a test has.
LOGS = 10_000
_numbers = count()
_clusters: list[ClickHouseStore] = []


def stores_at(path: Path) -> dict[str, Any]:
    """The setting `MARKET_STORES` for the store of a folder."""
    return {"default": {"BACKEND": _BACKEND, "OPTIONS": {"path": path}}}


@cache
def memory_store(path: Path) -> MemoryStore:
    """The store in memory that goes by a path: the same one when settings come back to it."""
    return MemoryStore()


@cache
def cluster_store(path: Path) -> ClickHouseStore:
    """The store that goes by a path. All have the tables of one database in ClickHouse, which takes long to make some.

    Its commits are in a schema of their own, where no log has the number of another store's log. Only the newest store
    listens for commits.
    """
    while _clusters:
        _clusters.pop().close()
    database = os.environ.get("PYTEST_XDIST_WORKER", "main")
    servers = urlencode({"postgres": os.environ["DATABASE_URL"]})
    store = ClickHouseStore(f"clickhouse://{os.environ['CLICKHOUSE']}/{database}?{servers}")
    commits, first_log = store.catalogue._postgres, 1 + LOGS * next(_numbers)
    commits.schema = f"{database}_{first_log}"
    with commits.connection() as connection:
        connection.execute(f"ALTER TABLE logs ALTER COLUMN id RESTART WITH {first_log}")
    _clusters.append(store)
    return store
