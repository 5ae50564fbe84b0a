"""Rows as JSON objects: a document of them, or one a line."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from stats.rendering.document import Document, TimeForm
from stats.rendering.format import Rendered
from stats.rendering.json_cells import json_cells
from stats.rendering.table import OutColumn, Table
from store.text_columns import Piece, joined_lines

# So many rows at a time: their text stays in the processor's cache, and far below what one array can hold.
_BLOCK_ROWS = 16_384


def render_rows(document: Document, form: TimeForm | None) -> Rendered:
    """`head`, the rows as a list of objects, `tail`, in one object."""
    objects = memoryview(row_objects(document.table, form or TimeForm.RFC3339, ","))
    before = orjson.dumps({**document.head, document.rows_name: []})[: -len("]}")]
    behind = orjson.dumps(document.tail)[len("{") :]
    return Rendered(b"".join((before, objects[:-1], b"]," if document.tail else b"]", behind)))


def render_lines(document: Document, form: TimeForm | None) -> Rendered:
    """One object a line. Head and tail are not in it."""
    return Rendered(row_objects(document.table, form or TimeForm.RFC3339, "\n"))


@dataclass(frozen=True, slots=True)
class LinesEncoder:
    """A stream of one object a line."""

    form: TimeForm

    def begin(self) -> bytes:
        """Nothing."""
        return b""

    def rows(self, table: Table) -> bytes:
        """A line per row."""
        return row_objects(table, self.form, "\n")

    def trailer(self, said: Mapping[str, Any]) -> bytes | None:
        """A last line."""
        return orjson.dumps(said, option=orjson.OPT_APPEND_NEWLINE)

    def end(self) -> bytes:
        """Nothing."""
        return b""


def stream_lines(_columns: Sequence[OutColumn], form: TimeForm | None) -> LinesEncoder:
    """The encoder of a stream of lines."""
    return LinesEncoder(form or TimeForm.RFC3339)


def row_objects(table: Table, form: TimeForm, between: str) -> bytes:
    """An object per row, each followed by `between`."""
    blocks = range(0, len(table), _BLOCK_ROWS)
    return b"".join(_block(table.slice(start, start + _BLOCK_ROWS), form, between) for start in blocks)


def _block(table: Table, form: TimeForm, between: str) -> bytes:
    pieces: list[Piece] = []
    last = len(table.columns) - 1
    for place, (column, values) in enumerate(zip(table.columns, table.arrays(), strict=True)):
        before = ("" if place else "{") + orjson.dumps(column.name).decode() + ":"
        pieces += json_cells(column, values, form, before, "}" if place == last else ",")
    return joined_lines([*pieces, between], len(table))
