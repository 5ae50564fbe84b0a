"""Today's ClickHouse in this process (chdb), in place of the servers with the rows.

It has no cluster: over each local table stands one of the engine `Merge`, which only reads, so rows are inserted below it.
"""

import os
import re
from collections.abc import Iterator, Sequence, Set
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import Any

import numpy as np
import pyarrow as pa
from chdb.session import Session

from store.exceptions import DataDamaged

_DISTRIBUTED = re.compile(r"ENGINE = Distributed\(\w+, (\w+), (\w+), .*\)$")
_lock = RLock()


class ChdbServers:
    """The methods of `store.clickhouse.servers.ClickHouse`. A process has one."""

    def __init__(self, folder: Path) -> None:
        self._session = Session(str(folder / "chdb"))
        self._rows = folder / "rows.arrow"
        self._process = os.getpid()

    def close(self) -> None:
        """Leave the session to the next store."""

    def check(self, tables: Set[str]) -> None:
        found = self.columns("SELECT name FROM system.tables")
        if not tables <= {each for names in found for each in names}:
            raise DataDamaged("a table is lost")

    def columns(self, query: str, settings: dict[str, int] | None = None) -> list[Any]:
        with _lock:
            found = self._session.query(query, "ArrowTable")
        return [_numpy(column) for column in found.columns] if found.num_rows else []

    def columns_of(self, table: str) -> Set[str]:
        database, _, name = table.partition(".")
        where = f"database = '{database}' AND table = '{name}'"
        return {
            each for names in self.columns(f"SELECT name FROM system.columns WHERE {where}") for each in names
        }

    @contextmanager
    def inserting(self, table: str, rows: pa.Table, _: Any) -> Iterator[None]:
        names = ", ".join(rows.column_names)
        with _lock:
            with pa.OSFile(str(self._rows), "wb") as file, pa.ipc.new_file(file, rows.schema) as writer:
                writer.write_table(rows)
            self._run(
                f"INSERT INTO {table}_local ({names}) SELECT {names} FROM file('{self._rows}', 'Arrow')"
            )
        yield

    def run_everywhere(self, statements: Sequence[str]) -> None:
        for statement in statements:
            own = statement.replace("ADD COLUMN", "ADD COLUMN IF NOT EXISTS")
            self._run(_DISTRIBUTED.sub(r"ENGINE = Merge(\1, '^\2$')", own))

    def _run(self, statement: str) -> None:
        with _lock:
            self._session.query(statement)


def _numpy(column: pa.ChunkedArray) -> Any:
    if pa.types.is_binary(column.type) or pa.types.is_string(column.type):
        return np.array(column.cast(pa.string()).to_pylist(), np.object_)
    return column.to_numpy()
