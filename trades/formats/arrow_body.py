"""Bodies in Arrow's IPC stream format: record batches with columns by name.

Everything is validated, and compressed buffers are refused.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa

from store.arrow_messages import is_compressed
from store.declarations import Column
from trades.batches.row_batch import ROWS_LIMIT, BatchOptions, RowColumns, check_not_repeated
from trades.batches.validation import TypedColumn
from trades.exceptions import BatchRefused
from trades.formats.arrow_values import TextBudget, one_array, typed_values
from web.requests.exceptions import MalformedDocument

COLUMNS_LIMIT = 1_000
_MESSAGES_LIMIT = 10_000
_ERROR_CHARS_LIMIT = 200
# A dictionary's text may stand in every row. All rows together have at most so many times the body's length, and so
# much more: each byte is copied about three times.
_TEXTS_FACTOR, _TEXTS_BYTES = 2, 4 * 2**20
_FILE_MAGIC = b"ARROW1"


def arrow_columns(body: bytes, options: BatchOptions) -> RowColumns:
    """Return the columns of a stream. Raises `MalformedDocument`; `BatchRefused` for too many rows."""
    with _damage_named():
        names, batches = _read(body, options)
        table = pa.Table.from_batches(batches) if batches else pa.table({})
    texts = TextBudget(_TEXTS_FACTOR * len(body) + _TEXTS_BYTES)

    def typed(column: Column) -> TypedColumn:
        with _damage_named():
            return typed_values(column, one_array(table.column(column.name)), texts)

    return RowColumns(names, table.num_rows, typed)


@contextmanager
def _damage_named() -> Iterator[None]:
    """Raise `MalformedDocument` for what Arrow cannot read."""
    try:
        yield
    except MemoryError:  # which Arrow's own is, too
        raise
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        text = str(error).encode("ascii", "replace").decode()
        raise _malformed(f"the body is not an Arrow stream: {text[:_ERROR_CHARS_LIMIT]}") from error


def _read(body: bytes, options: BatchOptions) -> tuple[list[str], list[pa.RecordBatch]]:
    """Return the names of all columns, and the record batches with the known columns, fully validated."""
    if body.startswith(_FILE_MAGIC):
        raise _malformed("the body is in Arrow's file format; send the stream format")
    _check_messages(body)
    with pa.ipc.open_stream(pa.py_buffer(body)) as reader:
        names = list(reader.schema.names)
        if len(names) > COLUMNS_LIMIT:
            raise _malformed(f"there are more than {COLUMNS_LIMIT:,} columns")
        check_not_repeated(names)
        known = [name for name in names if name in options.names]
        batches, rows = [], 0
        for batch in reader:
            rows += batch.num_rows
            if rows > ROWS_LIMIT:
                raise BatchRefused(
                    "too_many_rows", f"a batch has at most {ROWS_LIMIT:,} rows; this one has more"
                )
            of_known = batch.select(known)
            of_known.validate(full=True)
            batches.append(of_known)
    return names, batches


def _check_messages(body: bytes) -> None:
    """Refuse compressed buffers: reading them would allocate the sizes that they declare."""
    messages: Iterator[pa.ipc.Message] = iter(pa.ipc.MessageReader.open_stream(pa.py_buffer(body)))
    for number, message in enumerate(messages):
        if number > _MESSAGES_LIMIT:
            raise _malformed(f"the stream has more than {_MESSAGES_LIMIT:,} messages")
        if is_compressed(message.type, message.metadata):
            raise _malformed("the stream's buffers are compressed; send them uncompressed")


def _malformed(message: str) -> MalformedDocument:
    return MalformedDocument("malformed_arrow", message)
