"""The format `csv`: rows as CSV (RFC 4180) with a header line."""

from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa

from stats.rendering.format import FormatRenderer, RowsDocument, TimeForm
from stats.rendering.table import ColumnRole, OutColumn, Table
from stats.rendering.value_text import dates, ended_integers, ended_volumes, floats, time_pieces, unit_ns
from store.arrays import Floats
from store.lazy_imports import compute as pc
from store.text_columns import TextPiece, each_distinct, ended_numbers, escaped, line_blocks, quoted

# The number of rows that are encoded at once; see `stats.rendering.json_rows`.
_BLOCK_ROWS = 16_384
_LINE_END = "\r\n"


@dataclass(frozen=True, slots=True)
class CsvEncoder:
    """Encodes a stream of CSV. form: the form of times."""

    columns: Sequence[OutColumn]
    form: TimeForm

    def begin(self) -> bytes:
        """Return the header line."""
        return (",".join(column.name for column in self.columns) + _LINE_END).encode()

    def rows(self, table: Table) -> list[memoryview]:
        """Return one line per row. Nulls are empty cells."""
        starts = range(0, len(table), _BLOCK_ROWS)
        blocks = (_block(table.slice(start, start + _BLOCK_ROWS), self.form) for start in starts)
        return list(chain.from_iterable(blocks))

    def trailer(self, fields: Mapping[str, Any]) -> bytes | None:
        """Return None: CSV has no trailer."""
        return None

    def end(self) -> bytes:
        """Return no bytes."""
        return b""


class CsvRenderer(FormatRenderer):
    """A header line and one line per row. Head and tail are left out."""

    format, media_type, charset, has_envelope = "csv", "text/csv", "utf-8", False
    stream = staticmethod(lambda columns, form: CsvEncoder(columns, form or TimeForm.RFC3339))

    def write(self, document: RowsDocument, headers: MutableMapping[str, str]) -> bytes:
        encoder = self.stream(document.table.columns, document.time_form)
        return b"".join((encoder.begin(), *encoder.rows(document.table)))


def _block(table: Table, form: TimeForm) -> Iterator[memoryview]:
    pieces: list[TextPiece] = []
    last = len(table.columns) - 1
    null = "" if last else '""'  # most readers skip empty lines
    for index, (column, values) in enumerate(zip(table.columns, table.coded_arrays(), strict=True)):
        pieces += _cells(column, values, form, null=null, end="\r" if index == last else ",")
    return line_blocks([*pieces, "\n"], len(table))


def _cells(column: OutColumn, values: pa.Array, form: TimeForm, *, null: str, end: str) -> list[TextPiece]:
    """Return the cells of a column, each followed by `end`, an ASCII character. Needs at least one value."""
    if values.null_count == len(values):
        return [null + end]
    match column.role:
        case ColumnRole.NUMBER | ColumnRole.VOLUME:
            return [_numbers(column, floats(values), null=null, end=end)]
        case ColumnRole.INTEGER:
            return [ended_integers(values, null=null, end=end)]
        case ColumnRole.TIME if form is not TimeForm.RFC3339:
            return [ended_integers(values, null=null, end=end, unit=unit_ns(form))]
        case ColumnRole.TIME:
            return _times(values, always_point=not column.is_integer, null=null, end=end)
    return [_texts(values, _TEXTS[column.role], null), end]


def _texts(values: pa.Array, convert: Callable[[pa.Array], pa.Array], null: str) -> pa.Array:
    if isinstance(values, pa.DictionaryArray):
        return each_distinct(values, convert, null=null)
    return convert(values).fill_null(null)


def _numbers(column: OutColumn, numbers: Floats, *, null: str, end: str) -> pa.Array:
    text = ended_volumes(numbers, end) if column.is_integer else ended_numbers(numbers, end)
    is_finite = np.isfinite(numbers)
    return text if is_finite.all() else pc.if_else(pa.array(is_finite), text, null + end)


def _times(values: pa.Array, *, always_point: bool, null: str, end: str) -> list[TextPiece]:
    pieces = time_pieces(values.fill_null(0).to_numpy(), "", f"Z{end}", always_point=always_point)
    if not values.null_count:
        return pieces
    return [pc.if_else(values.is_valid(), pc.binary_join_element_wise(*pieces, ""), null + end)]


_TEXTS: dict[ColumnRole, Callable[[pa.Array], pa.Array]] = {
    ColumnRole.DATE: lambda values: dates(values).cast(pa.string()),
    ColumnRole.TEXT: lambda values: quoted(escaped(values)),
    ColumnRole.WORDS: lambda values: quoted(escaped(values)),
    ColumnRole.FLAG: lambda values: values.cast(pa.string()),
}
