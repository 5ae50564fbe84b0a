"""The format `arrow`: rows as an Arrow IPC stream."""

import io
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from stats.rendering.format import FormatRenderer, RowsDocument, TimeForm
from stats.rendering.table import ColumnRole, OutColumn, Table
from stats.rendering.value_text import dates, floats, time_text, unit_ns, words
from store.lazy_imports import compute as pc

_INSTANT = pa.timestamp("ns", "UTC")
_TYPES = {ColumnRole.DATE: pa.date32(), ColumnRole.WORDS: pa.list_(pa.string())}
_TIME_TYPES = {None: _INSTANT, TimeForm.RFC3339: pa.string()}
_STREAM_END = b"\xff\xff\xff\xff\0\0\0\0"


@dataclass(frozen=True, slots=True)
class ArrowEncoder:
    """Encodes a stream of record batches. Equal rows have equal bytes, however they are stored.

    form: the form of times; None for Arrow timestamps. metadata: the schema's metadata.
    """

    columns: Sequence[OutColumn]
    form: TimeForm | None
    metadata: Mapping[str, str]

    def begin(self) -> bytes:
        """Return the schema."""
        return self.schema().serialize().to_pybytes()  # type: ignore[no-any-return]

    def rows(self, table: Table) -> list[memoryview]:
        """Return a record batch; no bytes if there are no rows."""
        return [memoryview(self.batch(table).serialize())] if len(table) else []

    def trailer(self, fields: Mapping[str, Any]) -> bytes | None:
        """Return a batch without rows whose metadata is `fields`. Readers that ignore metadata see no rows in it."""
        sink, empty = io.BytesIO(), self.batch(Table.empty(self.columns))
        with pa.ipc.new_stream(sink, empty.schema) as writer:
            writer.write_batch(empty)
            start = sink.tell()
            writer.write_batch(empty, custom_metadata=_texts(fields))
            return sink.getvalue()[start:]

    def end(self) -> bytes:
        """Return the end-of-stream marker."""
        return _STREAM_END

    def schema(self) -> pa.Schema:
        """Return the columns' names and types."""
        fields = [pa.field(column.name, _type(column, self.form)) for column in self.columns]
        return pa.schema(fields, self.metadata or None)

    def batch(self, table: Table) -> pa.RecordBatch:
        """Return the rows with the types of the schema."""
        pairs = zip(table.columns, table.coded_arrays(), strict=True)
        return pa.record_batch(
            [_values(column, values, self.form) for column, values in pairs], schema=self.schema()
        )


class ArrowRenderer(FormatRenderer):
    """One record batch. The head becomes the schema's metadata; values other than texts become JSON."""

    format, media_type, has_envelope = "arrow", "application/vnd.apache.arrow.stream", False
    stream = staticmethod(lambda columns, form: ArrowEncoder(columns, form, {}))

    def write(self, document: RowsDocument, headers: MutableMapping[str, str]) -> bytes:
        encoder = ArrowEncoder(document.table.columns, document.time_form, _texts(document.head))
        return b"".join((encoder.begin(), *encoder.rows(document.table), encoder.end()))


def _texts(fields: Mapping[str, Any]) -> dict[str, str]:
    return {
        name: value if isinstance(value, str) else msgspec.json.encode(value).decode()
        for name, value in fields.items()
    }


def _type(column: OutColumn, form: TimeForm | None) -> pa.DataType:
    if column.role is ColumnRole.TIME:
        return _TIME_TYPES.get(form, pa.int64())
    return _TYPES.get(column.role, column.role.arrow_type)


def _values(column: OutColumn, values: pa.Array, form: TimeForm | None) -> pa.Array:
    """Return the values with their type in the schema, in buffers as `_copied` makes them."""
    # The first two are new, and have no text under nulls.
    if column.role is ColumnRole.WORDS:
        return _lists(values)
    if isinstance(values, pa.DictionaryArray):
        return values.dictionary_decode()
    return _copied(_converted(column, values, form))


def _copied(values: pa.Array) -> pa.Array:
    """Return the values in new buffers, without the neighbours of a slice, and with zeros under nulls.

    A slice of texts or flags would be written with neighbours in its padding, and what is under nulls depends on the store.
    """
    if not values.null_count:
        return pa.concat_arrays([values])
    if values.null_count == len(values):
        return pa.nulls(len(values), values.type)
    # `take` writes zeros under nulls, and costs ten times as much as the others.
    return values.take(np.arange(len(values)))


def _converted(column: OutColumn, values: pa.Array, form: TimeForm | None) -> pa.Array:
    match column.role:
        case ColumnRole.NUMBER | ColumnRole.VOLUME:
            is_finite = np.isfinite(floats(values))
            return values if is_finite.all() else pc.if_else(pa.array(is_finite), values, None)
        case ColumnRole.TIME:
            return _times(values, form)
        case ColumnRole.DATE:
            return dates(values)
    return values


def _times(values: pa.Array, form: TimeForm | None) -> pa.Array:
    if form is None:
        return values.cast(_INSTANT)
    instants = values.fill_null(0).to_numpy()
    times = time_text(instants) if form is TimeForm.RFC3339 else pa.array(instants // unit_ns(form))
    return pc.if_else(values.is_valid(), times, None)


def _lists(values: pa.Array) -> pa.Array:
    encoded = values if isinstance(values, pa.DictionaryArray) else values.dictionary_encode()
    lists = [words(text) for text in encoded.dictionary.to_pylist()]
    return pa.array(lists, pa.list_(pa.string())).take(encoded.indices)
