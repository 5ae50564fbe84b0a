"""The formats `json` and `ndjson`: rows as JSON objects, in one document or one per line."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from stats.rendering.format import Document, Rendered, TimeForm
from stats.rendering.table import ColumnRole, OutColumn, Table
from stats.rendering.value_text import (
    dates,
    ended_integers,
    ended_volumes,
    floats,
    time_pieces,
    time_text,
    unit_ns,
    words,
)
from store.lazy_imports import compute as pc
from store.text_columns import TextPiece, ended_numbers, joined_lines, text_bytes


def _cells(column: OutColumn, values: pa.Array, form: TimeForm, before: str, end: str) -> list[TextPiece]:
    """Return the JSON texts of a column, each between `before` and `end`, an ASCII character. Needs at least one value.

    `before` and `end` are part of the column's texts where that costs nothing, because each further piece costs
    as much time as a short text.
    """
    if values.null_count == len(values):
        return [f"{before}null{end}"]
    match column.role:
        case ColumnRole.NUMBER | ColumnRole.VOLUME:
            ended = ended_volumes if column.is_integer else ended_numbers
            return [before, ended(floats(values), end)]
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
    text = text_bytes(values)
    if np.any((text < ord(" ")) | (text == ord('"')) | (text == ord("\\"))):
        return _each_distinct(values, orjson.dumps, before, end)
    return _between_quotes(values, values, before, end)


def _words(values: pa.Array, before: str, end: str) -> list[TextPiece]:
    return _each_distinct(values, lambda text: orjson.dumps(words(text)), before, end)


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


def _each_distinct(values: pa.Array, dumps: Callable[[str], bytes], before: str, end: str) -> list[TextPiece]:
    """Return the JSON text of each value. Each distinct value is encoded once."""
    encoded = values.dictionary_encode(null_encoding="encode")
    texts = ["null" if text is None else dumps(text).decode() for text in encoded.dictionary.to_pylist()]
    return [pa.array([f"{before}{text}{end}" for text in texts], pa.string()).take(encoded.indices)]


_TEXTS: dict[ColumnRole, Callable[[pa.Array, str, str], list[TextPiece]]] = {
    ColumnRole.TIME: _times,
    ColumnRole.DATE: _dates,
    ColumnRole.TEXT: _texts,
    ColumnRole.WORDS: _words,
    ColumnRole.FLAG: _flags,
}


# The number of rows that are encoded at once. Their text fits into the processor's cache, and into one Arrow array.
_BLOCK_ROWS = 16_384


def render_rows(document: Document, form: TimeForm | None) -> Rendered:
    """Write one object: the head's fields, the rows as a list of objects, the tail's fields."""
    objects = memoryview(row_objects(document.table, form or TimeForm.RFC3339, ","))
    start = orjson.dumps({**document.head, document.rows_name: []})[: -len("]}")]
    end = orjson.dumps(document.tail)[len("{") :]
    return Rendered(b"".join((start, objects[:-1], b"]," if document.tail else b"]", end)))


def render_lines(document: Document, form: TimeForm | None) -> Rendered:
    """Write one object per line. Head and tail are left out."""
    return Rendered(row_objects(document.table, form or TimeForm.RFC3339, "\n"))


@dataclass(frozen=True, slots=True)
class LinesEncoder:
    """Encodes a stream of one object per line."""

    form: TimeForm

    def begin(self) -> bytes:
        """Return no bytes."""
        return b""

    def rows(self, table: Table) -> bytes:
        """Return one line per row."""
        return row_objects(table, self.form, "\n")

    def trailer(self, fields: Mapping[str, Any]) -> bytes | None:
        """Return one line with the trailer's fields."""
        return orjson.dumps(fields, option=orjson.OPT_APPEND_NEWLINE)

    def end(self) -> bytes:
        """Return no bytes."""
        return b""


def stream_lines(_columns: Sequence[OutColumn], form: TimeForm | None) -> LinesEncoder:
    """Make the encoder of a stream of lines."""
    return LinesEncoder(form or TimeForm.RFC3339)


def row_objects(table: Table, form: TimeForm, between: str) -> bytes:
    """Return one object per row, each followed by `between`."""
    blocks = range(0, len(table), _BLOCK_ROWS)
    return b"".join(_block(table.slice(start, start + _BLOCK_ROWS), form, between) for start in blocks)


def _block(table: Table, form: TimeForm, between: str) -> bytes:
    pieces: list[TextPiece] = []
    last = len(table.columns) - 1
    for index, (column, values) in enumerate(zip(table.columns, table.arrays(), strict=True)):
        before = ("" if index else "{") + orjson.dumps(column.name).decode() + ":"
        pieces += _cells(column, values, form, before, "}" if index == last else ",")
    return joined_lines([*pieces, between], len(table))
