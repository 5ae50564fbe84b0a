"""Bodies of MessagePack: the JSON document's structure, or columns: `{"timestamp": […], "price": […]}`.

Times are texts, or integers: nanoseconds since the Unix epoch. Declared lengths are checked before values are
made, since a few bytes can declare millions of objects.
Source: https://github.com/msgpack/msgpack/blob/master/spec.md.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from enum import Enum
from functools import cache
from typing import Any

import msgspec

from store.declarations import Column, ColumnKind, Dataset
from trades.batches.json_columns import json_column, rows_of_objects
from trades.batches.row_batch import BatchOptions, RowColumns, check_size
from trades.batches.typed_rows import (
    TypedRows,
    is_at_largest_number,
    joined_rows,
    row_struct,
    typed_column,
    typed_rows,
    value_type,
)
from trades.batches.validation import TypedColumn
from trades.batches.value_rules import WORDS_LIMIT
from trades.exceptions import BatchRefused
from web.requests.exceptions import MalformedDocument
from web.requests.work import WorkKind, count_work

KEYS_LIMIT = 1_000
_LAST_SMALL_MAP = 0x8F
_DECODED_BYTES_LIMIT = 16 * 2**10
# A byte becomes an object of at most 64 bytes.
_DECODED_COLUMN_LIMIT = 128 * 2**10
_map_of_raw = msgspec.msgpack.Decoder(dict[str, msgspec.Raw])
_MALFORMED = "malformed_msgpack"
_raw_list = msgspec.msgpack.Decoder(list[msgspec.Raw])

Fields = Mapping[str, msgspec.Raw]


class Shape(Enum):
    """The kinds of values with a declared length."""

    MAP = "map"
    LIST = "list"


def shape_of(value: bytes | msgspec.Raw) -> tuple[Shape | None, int]:
    """Return whether a value is a map or a list, and its declared length; (None, 0) for others."""
    data = memoryview(value)
    first = data[0] if data else 0xC0
    if 0x80 <= first <= 0x9F:
        return (Shape.MAP if first < 0x90 else Shape.LIST), first & 0x0F
    if 0xDC <= first <= 0xDF:
        width = 2 if first in {0xDC, 0xDE} else 4
        return (Shape.LIST if first <= 0xDD else Shape.MAP), int.from_bytes(data[1 : 1 + width], "big")
    return None, 0


def length_of(value: bytes | msgspec.Raw, shape: Shape) -> int | None:
    """Return the declared length of a value of this shape; None for others."""
    value_shape, length = shape_of(value)
    return length if value_shape is shape else None


def fields_of(value: bytes | msgspec.Raw) -> dict[str, msgspec.Raw] | None:
    """Return the undecoded fields of a map; None for other values.

    Raises `MalformedDocument` for repeated keys, keys that are not texts, or too many keys.
    """
    declared = length_of(value, Shape.MAP)
    if declared is None:
        return None
    if declared > KEYS_LIMIT:
        raise MalformedDocument(_MALFORMED, f"a map has more than {KEYS_LIMIT:,} keys")
    try:
        fields = _map_of_raw.decode(value)
    except msgspec.ValidationError as error:
        raise MalformedDocument(_MALFORMED, "a key of a map is not a text") from error
    if len(fields) < declared:
        raise MalformedDocument("duplicate_key", "a key is repeated in one map")
    return fields


def count_keys(maps: Sequence[msgspec.Raw]) -> int:
    """Return the total number of keys that the maps declare."""
    firsts = [memoryview(value)[0] for value in maps]
    if max(firsts) <= _LAST_SMALL_MAP:
        return sum(firsts) - 0x80 * len(firsts)
    return sum(length_of(value, Shape.MAP) or 0 for value in maps)


def bounded_value(value: bytes | msgspec.Raw) -> Any:
    """Decode a value. A large list or map is always wrong, so it is replaced by a small one that is wrong, too."""
    shape, length = shape_of(value)
    if shape is None or len(memoryview(value)) <= _DECODED_BYTES_LIMIT:
        return msgspec.msgpack.decode(value)
    return {} if shape is Shape.MAP else [None] * min(length, WORDS_LIMIT + 1)


def msgpack_document(body: bytes, options: BatchOptions) -> Any:
    """Return the document with `RowColumns` in place of its rows, or `RowColumns`, as a `BatchSerializer` takes them.

    Raises `MalformedDocument`; `BatchRefused` for too many rows, none, or columns of unequal lengths.
    """
    try:
        fields = fields_of(body)
        if fields is None:
            return bounded_value(body)
        return _packed_columns(fields, options) if _is_columnar(fields) else _document(fields, options)
    except RecursionError as error:
        raise MalformedDocument(
            "nesting_too_deep", "the body is nested deeper than any batch needs"
        ) from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise MalformedDocument(_MALFORMED, f"the body is not MessagePack: {error}") from error


def _is_columnar(fields: Fields) -> bool:
    return "timestamp" in fields and length_of(fields["timestamp"], Shape.LIST) is not None


def _document(fields: Fields, options: BatchOptions) -> Any:
    name = options.dataset.name
    count = length_of(fields[name], Shape.LIST) if name in fields else None
    if count is None or (len(fields) > 1 and not options.ignore_unknown):
        return {field: [] if count and field == name else bounded_value(raw) for field, raw in fields.items()}
    check_size(count, name)
    typed = _typed_rows(fields[name], options)
    if typed is None:
        count_work(WorkKind.ROWS, count)
        return rows_of_objects(_untyped_rows(fields[name]), options, epoch=True)
    return joined_rows([typed], options)


@cache
def _rows_decoder(dataset: Dataset, given: frozenset[str]) -> Any:
    row = row_struct(dataset, given=given, epoch=True)
    return msgspec.msgpack.Decoder(list[row])  # type: ignore[valid-type]


def _typed_rows(value: msgspec.Raw, options: BatchOptions) -> TypedRows | None:
    """Return the rows; None if they must be decoded without types, which finds repeated keys."""
    try:
        rows: Sequence[Any] = _rows_decoder(options.dataset, frozenset(options.given)).decode(value)
    except msgspec.ValidationError:
        return None
    return typed_rows(rows, options, count_keys(_raw_list.decode(value)))


def _untyped_rows(value: msgspec.Raw) -> list[Any]:
    """Decode the rows without types."""
    rows: list[Any] = []
    for raw in _raw_list.decode(value):
        fields = fields_of(raw)
        if fields is None:
            rows.append(bounded_value(raw))
        else:
            rows.append({name: bounded_value(field) for name, field in fields.items()})
    return rows


def _packed_columns(fields: Fields, options: BatchOptions) -> RowColumns:
    lengths = {name: length_of(fields[name], Shape.LIST) for name in options.names if name in fields}
    count = lengths["timestamp"] or 0
    check_size(count, options.dataset.name)
    for name, length in lengths.items():
        if length != count:
            raise BatchRefused("unequal_columns", f"{name} is not a list of {count:,} values as timestamp is")
    return RowColumns(list(fields), count, lambda column: _packed_column(column, fields[column.name], count))


def _packed_column(column: Column, packed: msgspec.Raw, count: int) -> TypedColumn:
    with suppress(msgspec.ValidationError):
        typed = typed_column(column, _column_decoder(column).decode(packed), count)
        if column.kind is not ColumnKind.NUMBER or not is_at_largest_number(typed.values):
            return typed
    # Convert value by value, to find the wrong values, and integers that were rounded to 2^53.
    if len(memoryview(packed)) <= _DECODED_COLUMN_LIMIT:
        values = msgspec.msgpack.decode(packed)
    else:
        values = map(bounded_value, _raw_list.decode(packed))
    return json_column(column, values, count, epoch=True)


@cache
def _column_decoder(column: Column) -> Any:
    type_ = value_type(column, epoch=True)
    return msgspec.msgpack.Decoder(list[type_] if column.required else list[type_ | None])  # type: ignore[valid-type]
