"""The formats `json` and `ndjson`: rows as JSON objects, in one document or one per line."""

from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from stats.rendering.format import FormatRenderer, RowsDocument, TimeForm
from stats.rendering.table import ColumnRole, OutColumn, Table
from stats.rendering.value_text import (
    dates,
    ended_integers,
    ended_volumes,
    floats,
    json_values,
    listable,
    time_pieces,
    time_text,
    unit_ns,
    words,
)
from store.lazy_imports import compute as pc
from store.text_columns import TextPiece, each_distinct, ended_columns, line_blocks, text_bytes


def _cells(column: OutColumn, values: pa.Array, form: TimeForm, before: str, end: str) -> list[TextPiece]:
    """Return the JSON texts of a column, each between `before` and `end`, an ASCII character. Needs at least one value.

    Not for columns that are `listable`. `before` and `end` are part of the column's texts where that costs nothing, because each further piece costs
    as much time as a short text.
    """
    if values.null_count == len(values):
        return [f"{before}null{end}"]
    match column.role:
        case ColumnRole.VOLUME:
            return [before, ended_volumes(floats(values), end)]
        case ColumnRole.INTEGER:
            return [before, ended_integers(values, null="null", end=end)]
        case ColumnRole.TIME if form is not TimeForm.RFC3339:
            return [before, ended_integers(values, null="null", end=end, unit=unit_ns(form))]
    return _TEXTS[column.role](values, before, end)


def _times(values: pa.Array, before: str, end: str) -> list[TextPiece]:
    if not values.null_count:
        return time_pieces(values.to_numpy(), f'{before}"', f'Z"{end}')
    return _between_quotes(values, time_text(values.fill_null(0).to_numpy()), before, end)


def _dates(values: pa.Array, before: str, end: str) -> list[TextPiece]:
    return _between_quotes(values, dates(values).cast(pa.string()), before, end)


def _texts(values: pa.Array, before: str, end: str) -> list[TextPiece]:
    if isinstance(values, pa.DictionaryArray) or _needs_escapes(values):
        return [before, each_distinct(values, _quoted, null="null"), end]
    return _between_quotes(values, values, before, end)


def _needs_escapes(values: pa.Array) -> bool:
    text = text_bytes(values)
    return bool(np.any((text < ord(" ")) | (text == ord('"')) | (text == ord("\\"))))


def _quoted(values: pa.Array) -> pa.Array:
    if not _needs_escapes(values):
        return pc.binary_join_element_wise('"', values, '"', "")
    return pa.array([orjson.dumps(text).decode() for text in values.to_pylist()], pa.string())


def _words(values: pa.Array, before: str, end: str) -> list[TextPiece]:
    return [before, each_distinct(values, _word_lists, null="null"), end]


def _word_lists(values: pa.Array) -> pa.Array:
    return pa.array([orjson.dumps(words(text)).decode() for text in values.to_pylist()], pa.string())


def _flags(values: pa.Array, before: str, end: str) -> list[TextPiece]:
    if values.true_count == len(values):
        return [f"{before}true{end}"]  # the usual case: all bars are final, except perhaps the last
    text = pc.if_else(values, f"{before}true{end}", f"{before}false{end}")
    return [text.fill_null(f"{before}null{end}") if values.null_count else text]


def _between_quotes(values: pa.Array, text: pa.Array, before: str, end: str) -> list[TextPiece]:
    """Return the texts in quotes, `null` for null values. The texts must need no escapes."""
    if not values.null_count:
        return [f'{before}"', text, f'"{end}']
    return [
        before,
        pc.if_else(values.is_valid(), pc.binary_join_element_wise('"', text, '"', ""), "null"),
        end,
    ]


_TEXTS: dict[ColumnRole, Callable[[pa.Array, str, str], list[TextPiece]]] = {
    ColumnRole.TIME: _times,
    ColumnRole.DATE: _dates,
    ColumnRole.TEXT: _texts,
    ColumnRole.WORDS: _words,
    ColumnRole.FLAG: _flags,
}


# The number of rows that are encoded at once. Their text fits into the processor's cache, and into one Arrow array.
_BLOCK_ROWS = 16_384
# Up to this number, rows are faster to write one by one than by column: twice as fast if the processor's cache is cold.
_FEW_ROWS = 100


class RowsRenderer(FormatRenderer):
    """One object: the head's fields, the rows as a list of objects, the tail's fields."""

    def write(self, document: RowsDocument, headers: MutableMapping[str, str]) -> bytes:
        start = orjson.dumps({**document.head, document.rows_name: 0})[: -len("0}")]
        end = orjson.dumps(document.tail)[len("{") :]
        return b"".join((start, *_lists(document), b"," if document.tail else b"", end))


def _lists(document: RowsDocument) -> Iterator[bytes | memoryview]:
    """Yield the rows as a list, or the document's groups as an object of lists."""
    form = document.time_form or TimeForm.RFC3339
    if document.groups is None:
        yield from _list(document.table, form)
        return
    begin, before = 0, b"{"
    for name, count in document.groups:
        yield before + orjson.dumps(name) + b":"
        yield from _list(document.table.slice(begin, begin + count), form)
        begin, before = begin + count, b","
    yield b"}" if begin else b"{}"


def _list(table: Table, form: TimeForm) -> list[bytes | memoryview]:
    *parts, last = _parts(table, form, ",")
    return [b"[", *parts, last[:-1], b"]"]


@dataclass(frozen=True, slots=True)
class LinesEncoder:
    """Encodes a stream of one object per line."""

    form: TimeForm

    def begin(self) -> bytes:
        """Return no bytes."""
        return b""

    def rows(self, table: Table) -> list[memoryview]:
        """Return one line per row."""
        return list(_parts(table, self.form, "\n"))

    def trailer(self, fields: Mapping[str, Any]) -> bytes | None:
        """Return one line with the trailer's fields."""
        return orjson.dumps(fields, option=orjson.OPT_APPEND_NEWLINE)

    def end(self) -> bytes:
        """Return no bytes."""
        return b""


class LinesRenderer(FormatRenderer):
    """One object per line. Head and tail are left out."""

    format, media_type, has_envelope = "ndjson", "application/x-ndjson", False
    stream = staticmethod(lambda _columns, form: LinesEncoder(form or TimeForm.RFC3339))

    def write(self, document: RowsDocument, headers: MutableMapping[str, str]) -> bytes:
        return row_objects(document.table, document.time_form or TimeForm.RFC3339, "\n")


def row_objects(table: Table, form: TimeForm, between: str) -> bytes:
    """Return one object per row, each followed by `between`."""
    return b"".join(_parts(table, form, between))


def _parts(table: Table, form: TimeForm, between: str) -> Iterator[memoryview]:
    if len(table) <= _FEW_ROWS:
        yield memoryview(_few_objects(table, form, between))
        return
    for start in range(0, len(table), _BLOCK_ROWS):
        yield from _block(table.slice(start, start + _BLOCK_ROWS), form, between)


def _few_objects(table: Table, form: TimeForm, between: str) -> bytes:
    pairs = zip(table.columns, table.arrays(), strict=True)
    columns = [json_values(column, values, form) for column, values in pairs]
    names, after = [column.name for column in table.columns], between.encode()
    rows = [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
    if rows and between == ",":
        return orjson.dumps(rows)[1:-1] + after
    return b"".join(orjson.dumps(row) + after for row in rows)


def _block(table: Table, form: TimeForm, between: str) -> Iterator[memoryview]:
    columns = list(zip(table.columns, table.coded_arrays(), strict=True))
    ends = [","] * (len(columns) - 1) + ["}"]
    listed = _listed_texts(columns, form, ends)
    pieces: list[TextPiece] = []
    for index, ((column, values), end) in enumerate(zip(columns, ends, strict=True)):
        before = ("" if index else "{") + _field_text(column.name)
        text = listed.get(index)
        pieces += _cells(column, values, form, before, end) if text is None else [before, text]
    return line_blocks([*pieces, between], len(table))


@cache
def _field_text(name: str) -> str:
    return orjson.dumps(name).decode() + ":"


def _listed_texts(
    columns: Sequence[tuple[OutColumn, pa.Array]], form: TimeForm, ends: Sequence[str]
) -> dict[int, pa.Array]:
    """Return the JSON texts of columns that are `listable`, each followed by its column's end, by index.

    Written together they take two thirds of the time.
    """
    listed = {index: listable(column, values, form) for index, (column, values) in enumerate(columns)}
    arrays = {index: array for index, array in listed.items() if array is not None}
    if not arrays:
        return {}
    return dict(
        zip(arrays, ended_columns(list(arrays.values()), [ends[index] for index in arrays]), strict=True)
    )
