"""Bodies of MessagePack: the JSON document's structure, or columns: `{"timestamp": […], "price": […]}`.

Times are texts, or integers: nanoseconds since the Unix epoch.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

import msgspec
from msgspec import UNSET

from http_requests.exceptions import MalformedDocument
from store.declarations import Column, Dataset, Kind
from store.timestamps import EARLIEST_NS, LATEST_NS, format_timestamp
from trades.batches.refusals import batch_refusal
from trades.batches.row_batch import Expected, NotTyped, RowBatch, check_size
from trades.batches.typed_rows import (
    batch_of,
    check_not_rounded,
    has_largest,
    required_values,
    row_type,
    row_values,
    value_type,
)
from trades.exceptions import BatchRefused
from trades.formats.columns import check_names
from trades.formats.msgpack_values import Shape, count_keys, fields_of, length_of, modest_value

_UNREADABLE = "malformed_msgpack"
_FAR = "9999-12-31"  # stands for any time that is out of range
_raw_list = msgspec.msgpack.Decoder(list[msgspec.Raw])

Fields = Mapping[str, msgspec.Raw]


def read_msgpack_body(body: bytes, expected: Expected) -> RowBatch:
    """The batch in a document. Raises `MalformedDocument`, `BatchRefused`."""
    try:
        fields = fields_of(body)
        if fields is None:
            raise batch_refusal(expected, modest_value(body), unreadable=_UNREADABLE, is_document=True)
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
        raise batch_refusal(expected, document, unreadable=_UNREADABLE, is_document=True)
    check_size(count, name)
    try:
        batch = batch_of(expected, _typed_rows(fields[name], expected), count)
        if has_largest(expected.dataset, batch.rows):
            check_not_rounded(expected.dataset, _said_rows(fields[name], expected))
    except NotTyped:
        raise batch_refusal(expected, _said_rows(fields[name], expected), unreadable=_UNREADABLE) from None
    return batch


@cache
def _rows_decoder(dataset: Dataset, given: frozenset[str], lenient: bool) -> Any:
    row = row_type(dataset.with_any_price, given=given, lenient=lenient, epoch=True)
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


def _said_rows(value: msgspec.Raw, expected: Expected) -> list[Any]:
    """The rows as JSON would have them."""
    rows: list[Any] = []
    for raw in _raw_list.decode(value):
        fields = fields_of(raw)
        if fields is None:
            rows.append(modest_value(raw))
        else:
            rows.append({name: _said(expected, name, modest_value(field)) for name, field in fields.items()})
    return rows


def _said(expected: Expected, name: str, value: object) -> object:
    """A value as JSON would have it: a time as text."""
    if isinstance(value, bool) or not isinstance(value, int) or name not in _times_of(expected.dataset):
        return value
    return format_timestamp(value) if EARLIEST_NS <= value <= LATEST_NS else _FAR


@cache
def _times_of(dataset: Dataset) -> frozenset[str]:
    return frozenset(column.name for column in dataset.columns if column.kind is Kind.TIME)


def _read_columns(fields: Fields, expected: Expected) -> RowBatch:
    lengths = {name: length_of(fields[name], Shape.LIST) for name in expected.names if name in fields}
    count = lengths["timestamp"] or 0
    check_size(count, expected.dataset.name)
    check_names(list(fields), expected)
    for name, length in lengths.items():
        if length != count:
            raise BatchRefused("unequal_columns", f"{name} is not a list of {count:,} values as timestamp is")
    try:
        values = {name: _typed_column(expected.dataset, name, fields[name]) for name in lengths}
        batch = batch_of(expected, values, count)
        if has_largest(expected.dataset, batch.rows):
            check_not_rounded(expected.dataset, _transposed(fields, lengths, expected))
    except NotTyped:
        said = _transposed(fields, lengths, expected)
        raise batch_refusal(expected, said, unreadable=_UNREADABLE) from None
    return batch


@cache
def _column_decoder(dataset: Dataset, name: str) -> Any:
    column = Column("symbol", Kind.TEXT, required=True)
    if name != "symbol":
        column = dataset.with_any_price.column(name)
    kind = str if name == "symbol" else value_type(column, epoch=True)
    return msgspec.msgpack.Decoder(list[kind] if column.required else list[kind | None])  # type: ignore[valid-type]


def _typed_column(dataset: Dataset, name: str, value: msgspec.Raw) -> list[Any]:
    try:
        found: list[Any] = _column_decoder(dataset, name).decode(value)
    except msgspec.ValidationError as error:
        raise NotTyped(str(error)) from error
    return found


def _transposed(fields: Fields, names: Iterable[str], expected: Expected) -> list[dict[str, Any]]:
    """The columns' rows as JSON would have them; optional fields without a value are left out."""
    columns = [
        [_said(expected, name, modest_value(raw)) for raw in _raw_list.decode(fields[name])] for name in names
    ]
    needed = set(expected.required)
    return [
        {name: value for name, value in zip(names, row, strict=True) if value is not None or name in needed}
        for row in zip(*columns, strict=True)
    ]
