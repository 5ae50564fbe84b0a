"""Bodies of MessagePack: the JSON document's structure, or columns: `{"timestamp": […], "price": […]}`.

Times are texts, or integers: nanoseconds since the Unix epoch.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import msgspec
from msgspec import UNSET

from http_requests.exceptions import MalformedDocument
from store.declarations import Column, ColumnKind, Dataset
from trades.batches.json_columns import json_column
from trades.batches.refusals import batch_refusal
from trades.batches.row_batch import Expected, NotTyped, RowBatch, check_size
from trades.batches.typed_rows import (
    batch_of,
    check_not_rounded,
    has_largest,
    is_at_largest,
    required_values,
    row_type,
    row_values,
    typed_column,
    value_type,
)
from trades.batches.validation import Typed
from trades.exceptions import BatchRefused
from trades.formats.columns import check_names, read_columns
from trades.formats.msgpack_values import Shape, count_keys, fields_of, length_of, modest_value

_UNREADABLE = "malformed_msgpack"
_raw_list = msgspec.msgpack.Decoder(list[msgspec.Raw])

Fields = Mapping[str, msgspec.Raw]


def read_msgpack_body(body: bytes, expected: Expected) -> RowBatch:
    """The batch in a document. Raises `MalformedDocument`, `BatchRefused`."""
    try:
        fields = fields_of(body)
        if fields is None:
            raise _refusal(expected, modest_value(body), is_document=True)
        return _read_columns(fields, expected) if _is_columnar(fields) else _read_rows(fields, expected)
    except RecursionError as error:
        raise MalformedDocument(
            "nesting_too_deep", "the body is nested deeper than any batch needs"
        ) from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise MalformedDocument(_UNREADABLE, f"the body is not MessagePack: {error}") from error


def _is_columnar(fields: Fields) -> bool:
    return "timestamp" in fields and length_of(fields["timestamp"], Shape.LIST) is not None


def _read_rows(fields: Fields, expected: Expected) -> RowBatch:
    name = expected.dataset.name
    count = length_of(fields[name], Shape.LIST) if name in fields else None
    if count is None or (len(fields) > 1 and not expected.ignore_unknown):
        document = {
            field: [] if count and field == name else modest_value(raw) for field, raw in fields.items()
        }
        raise _refusal(expected, document, is_document=True)
    check_size(count, name)
    try:
        batch = batch_of(expected, _typed_rows(fields[name], expected), count)
        if has_largest(expected.dataset, batch.rows):
            check_not_rounded(expected.dataset, _document_rows(fields[name]))
    except NotTyped:
        raise _refusal(expected, _document_rows(fields[name])) from None
    return batch


def _refusal(
    expected: Expected, document: Any, *, is_document: bool = False
) -> BatchRefused | MalformedDocument:
    return batch_refusal(expected, document, unreadable=_UNREADABLE, is_document=is_document, epoch=True)


@cache
def _rows_decoder(dataset: Dataset, given: frozenset[str], lenient: bool) -> Any:
    row = row_type(dataset, given=given, lenient=lenient, epoch=True)
    return msgspec.msgpack.Decoder(list[row])  # type: ignore[valid-type]


def _typed_rows(value: msgspec.Raw, expected: Expected) -> dict[str, Iterable[Any]]:
    """The typed rows' values by field.

    Raises `NotTyped`, and `MalformedDocument` for a row that has a key twice.
    """
    decoder = _rows_decoder(expected.dataset, frozenset(expected.given), expected.ignore_unknown)
    try:
        rows: Sequence[Any] = decoder.decode(value)
    except msgspec.ValidationError as error:
        raise NotTyped(str(error)) from error
    required = required_values(rows, expected)
    raw_rows = _raw_list.decode(value)
    surplus = count_keys(raw_rows) - len(required) * len(rows)
    if not surplus:
        return required
    optional = row_values(rows, [name for name in expected.names if name not in required])
    if expected.ignore_unknown:
        for row in raw_rows:
            fields_of(row)  # looks for repeated keys
    elif surplus != sum(len(values) - values.count(UNSET) for values in optional.values()):
        raise MalformedDocument("duplicate_key", "a key is repeated in one row")
    return required | optional


def _document_rows(value: msgspec.Raw) -> list[Any]:
    """The rows, right or wrong."""
    rows: list[Any] = []
    for raw in _raw_list.decode(value):
        fields = fields_of(raw)
        if fields is None:
            rows.append(modest_value(raw))
        else:
            rows.append({name: modest_value(field) for name, field in fields.items()})
    return rows


@dataclass(frozen=True, slots=True)
class PackedColumns:
    """The columns of a document, not made yet, all of one length."""

    fields: Fields
    count: int

    @property
    def names(self) -> list[str]:
        """The document's keys."""
        return list(self.fields)

    def __len__(self) -> int:
        return self.count

    def typed(self, column: Column) -> Typed:
        packed = self.fields[column.name]
        try:
            typed = typed_column(column, _column_decoder(column).decode(packed), self.count)
        except (msgspec.ValidationError, NotTyped):
            return _careful_column(column, packed)
        is_rounded = column.kind is ColumnKind.NUMBER and is_at_largest(typed.values)
        return _careful_column(column, packed) if is_rounded else typed


def _read_columns(fields: Fields, expected: Expected) -> RowBatch:
    lengths = {name: length_of(fields[name], Shape.LIST) for name in expected.names if name in fields}
    count = lengths["timestamp"] or 0
    check_size(count, expected.dataset.name)
    check_names(list(fields), expected)
    for name, length in lengths.items():
        if length != count:
            raise BatchRefused("unequal_columns", f"{name} is not a list of {count:,} values as timestamp is")
    return read_columns(PackedColumns(fields, count), expected)


@cache
def _column_decoder(column: Column) -> Any:
    kind = value_type(column, epoch=True)
    return msgspec.msgpack.Decoder(list[kind] if column.required else list[kind | None])  # type: ignore[valid-type]


def _careful_column(column: Column, packed: msgspec.Raw) -> Typed:
    """The column of values of which one is wrong, or may be."""
    return json_column(column, [modest_value(raw) for raw in _raw_list.decode(packed)], epoch=True)
