"""Reads files of Parquet. Child processes decompress them, because a page may be a million times as large as in the file."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from trades.children import MEMORY_BYTES
from trades.exceptions import ImportRefused
from trades.imports.apart import tables_apart
from trades.imports.blocks import check_names
from trades.imports.compressed import damage_refused
from trades.imports.record_files import (
    ROWS_AT_ONCE,
    RecordFile,
    row_parts,
)

# A page of each column is in memory, with its dictionary, and has a MiB each if its writer has no other wishes.
COLUMN_BYTES = 2 * 2**20
# A large page is seldom so many times as large as it is compressed.
MEMORY_FACTOR = 20
# What reading a file takes at most, however large it is, and however many columns are read.
MEMORY_LIMIT = 2**30
# A thread of Arrow has a stack. It is counted by the limit, but hardly a page of it is used.
_STACK_BYTES = 8 * 2**20
# Bytes of a column that are read at a time, and cells of all columns.
_BUFFER_BYTES, _CELLS_AT_ONCE = 2**18, 2**20
# More rows have no bytes of their own.
_ROWS_PER_BYTE, _LEAST_ROWS = 20, 1_000_000
_ROWS = "rows"


class ParquetFile(RecordFile):
    """A Parquet file."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        with damage_refused(f"{path}: "):
            head = next(tables_apart(_head, path, memory=self._memory(0)))
        self.schema = head.schema.remove_metadata()
        self._rows = int(head.schema.metadata[_ROWS.encode()])
        if self._rows > max(_ROWS_PER_BYTE * self.size, _LEAST_ROWS):
            raise ImportRefused(
                f"{path}: has {self._rows:,} rows in {self.size:,} bytes; they have no values of their own"
            )
        self.names = tuple(self.schema.names)
        check_names(path, self.names)

    def tables(self, names: Sequence[str]) -> Iterator[tuple[pa.Table, int]]:
        row, plain = 0, pa.schema([(name, self._plain(name)) for name in names])
        for table in tables_apart(_tables, self.path, plain, memory=self._memory(len(names))):
            row += table.num_rows
            if row > self._rows:
                raise ImportRefused(
                    f"{self.path}: has more rows than the {self._rows:,} that its footer tells"
                )
            yield table, self.size * row // self._rows

    def _memory(self, columns: int) -> int:
        """Return how much memory reading so many columns takes at most, by the limit's count."""
        return (
            min(MEMORY_FACTOR * self.size + COLUMN_BYTES * columns, MEMORY_LIMIT)
            + MEMORY_BYTES
            + _STACK_BYTES
        )


def _head(path: Path) -> Iterator[pa.Table]:
    """Yield an empty table with the schema, and the number of rows in its metadata."""
    with pq.ParquetFile(path) as file:
        schema = file.schema_arrow.with_metadata({_ROWS: str(file.metadata.num_rows)})
        yield schema.empty_table()


def _tables(path: Path, plain: pa.Schema) -> Iterator[pa.Table]:
    """Yield the columns of a schema, some rows at a time."""
    rows_at_once = min(ROWS_AT_ONCE, max(_CELLS_AT_ONCE // max(len(plain), 1), 1))
    with pq.ParquetFile(path, buffer_size=_BUFFER_BYTES) as file:
        # Arrow joins no dictionaries of two row groups inside lists.
        for group in range(file.num_row_groups):
            for batch in file.iter_batches(
                rows_at_once, row_groups=[group], columns=plain.names, use_threads=False
            ):
                for rows in row_parts(batch):
                    yield pa.Table.from_batches([rows]).select(plain.names).cast(plain)
