"""A segment's file of columns: stored rows in order, one record batch, mapped without a copy."""

from collections.abc import Collection
from pathlib import Path

import pyarrow as pa

from store.csv.derived.ipc import NotUsable, map_batches, write_batches
from store.csv.files.mapping import Mapping
from store.declarations import Dataset
from store.rows.visible import stored_schema

# A text column is kept as a dictionary if its texts repeat this often.
_REPEATS = 4

# What bars are made of.
PRINT_COLUMNS = frozenset(
    ("timestamp", "price", "volume", "sequence", "conditions", "arrival", "commit", "until")
)


def write_columns(path: Path, rows: pa.Table) -> int:
    """Write stored rows, which are in order; returns the file's checksum.

    Columns that are empty are left out.
    """
    columns = {
        name: _compact(column.combine_chunks())
        for name, column in zip(rows.column_names, rows.columns, strict=True)
        if column.null_count < len(column)
    }
    batch = pa.record_batch(columns)
    return write_batches(path, batch.schema, [batch])


def map_columns(path: Path, checksum: int) -> tuple[pa.RecordBatch, Mapping]:
    """The stored rows of a file, texts as dictionaries where that is how they are kept, and where they lie.

    Raises `NotUsable`.
    """
    batches, mapping = map_batches(path, checksum)
    if len(batches) != 1:
        raise NotUsable(f"{path.name} does not hold one batch of rows")
    return batches[0], mapping


def plain_rows(dataset: Dataset, rows: pa.RecordBatch, names: Collection[str] = ()) -> pa.Table:
    """Mapped rows, or a slice of them, in the schema of stored rows: empty columns back, texts as texts.

    names: only these columns, in the schema's order; all of them without.
    """
    schema = stored_schema(dataset)
    if names:
        schema = pa.schema([field for field in schema if field.name in names])
    columns = [
        pa.nulls(rows.num_rows, field.type)
        if field.name not in rows.schema.names
        else _plain(rows.column(field.name))
        for field in schema
    ]
    return pa.table(columns, schema=schema)


def _compact(column: pa.Array) -> pa.Array:
    if not pa.types.is_string(column.type):
        return column
    encoded = column.dictionary_encode()
    return encoded if len(encoded.dictionary) * _REPEATS <= len(column) else column


def _plain(column: pa.Array) -> pa.Array:
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
