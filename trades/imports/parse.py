"""A block of lines as checked rows, in the dataset's schema."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from store.arrays import Mask
from store.declarations import ARROW_TYPES, Column, ColumnForm, ColumnKind
from store.symbols import InvalidSymbol, parse_symbol
from trades.batches.validation import Broken, Typed, faults_at, validated
from trades.batches.value_rule import NO_TIME, Fault
from trades.formats.text_cells import typed_cells, unescaped
from trades.imports.exceptions import BadRow, ImportRefused
from trades.imports.lines import Lines, Table, line_count, line_numbers, read_lines, without_unclosed_quotes
from trades.imports.reading import SYMBOL, Layout, Reading
from trades.imports.times import Style, careful_instants, instants, style_of
from trades.services.instruments import symbol_canonical, takes_any_price

_SYMBOLS = pa.dictionary(pa.int32(), pa.string())
_NO_TIME = "not a time: ISO 8601, or an epoch integer of 10, 13, 16 or 19 digits"


@dataclass(frozen=True, slots=True)
class Parsed:
    """Rows in the file's order, symbol and line of each, lines that are wrong, how many there are."""

    rows: pa.RecordBatch
    symbols: pa.DictionaryArray
    lines: Lines
    bad: tuple[BadRow, ...]
    line_count: int


class Parser:
    """Parses the blocks of one file. The styles of its times are those of its first row."""

    def __init__(
        self, path: Path, layout: Layout, reading: Reading, *, symbol: str | None, skip_bad: bool
    ) -> None:
        self.dataset = reading.dataset
        self.skips_bad = skip_bad
        self._path = path
        self._layout = layout
        self._reading = reading
        self._symbol = symbol
        self._limit = None if skip_bad else 1
        self._styles: dict[str, Style] = {}
        self._columns = [c for c in reading.dataset.columns if c.name in layout.sources]

    def parse(self, text: bytes, first_line: int) -> Parsed:
        """The rows of whole lines. Raises the first `BadRow` unless bad rows are skipped."""
        bad: list[BadRow] = []
        count = line_count(text)
        table, cells = self._read(text)
        numbers = line_numbers(text, count, table)
        if numbers is None:
            text, unclosed = without_unclosed_quotes(text)
            bad += [self._bad(first_line + at, None, "a quotation mark is not closed") for at in unclosed]
            table, cells = self._read(text)
            numbers = line_numbers(text, count, table)
        if numbers is None:
            raise ImportRefused(f"{self._path}: from line {first_line} on, lines cannot be told apart")
        lines = first_line + numbers[0]
        wanted = f"instead of {len(self._layout.names)}"
        for line, (_, found) in zip(numbers[1].tolist(), table.torn, strict=True):
            bad.append(self._bad(first_line + line, None, f"has {found} cells {wanted}"))
        rows, symbols, kept = self._checked(table.cells, cells, lines, bad)
        if bad and self._limit is not None:
            raise min(bad, key=lambda row: row.line)
        if not kept.all():
            mask = pa.array(kept)
            rows, symbols, lines = rows.filter(mask), symbols.filter(mask), lines[kept]
        bad.sort(key=lambda row: row.line)
        return Parsed(rows.cast(self._reading.dataset.schema), symbols, lines, tuple(bad), count)

    def _checked(
        self, table: pa.Table, cells: dict[str, Typed] | None, lines: Lines, bad: list[BadRow]
    ) -> tuple[pa.RecordBatch, pa.DictionaryArray, Mask]:
        """Rows and their symbols, and which rows may be stored; adds to `bad` those that may not."""
        dataset, wrong = self._reading.dataset, np.zeros(table.num_rows, dtype=bool)
        if cells is None:
            cells = {column.name: self._careful(table, column) for column in self._columns}
        columns = {c.name: self._finished(cells.get(c.name), c, table.num_rows) for c in dataset.columns}
        symbols = self._symbols(table, lines, wrong, bad)
        values, found = validated(dataset, columns, any_price=partial(self._any_price, symbols))
        for broken in found:
            fresh = np.flatnonzero(broken.rows & ~wrong)[: self._limit].tolist()
            bad += [
                self._bad(int(lines[row]), broken.column, self._message(table, columns, broken, row))
                for row in fresh
            ]
            wrong |= broken.rows
        return pa.record_batch(list(values.values()), names=list(values)), symbols, ~wrong

    def _message(self, table: pa.Table, columns: Mapping[str, Typed], broken: Broken, row: int) -> str:
        """What is said of a row, with the cell's text where it is none of its column."""
        message = broken.fault.message
        if broken.column is None or all(
            fault is not broken.fault for fault, _ in columns[broken.column].faults
        ):
            return message
        cell = table.column(self._layout.sources[broken.column])[row].as_py()
        return f"{message}: {cell!r:.60}"

    def _any_price(self, symbols: pa.DictionaryArray) -> Mask:
        """Of which rows the prices may be zero or less."""
        distinct = symbols.dictionary.to_pylist()
        takes: Mask = np.array([symbol != "" and takes_any_price(symbol) for symbol in distinct])
        return np.asarray(takes[symbols.indices.to_numpy()], dtype=bool)

    def _no_time(self, column: Column) -> Fault:
        """What is said of a cell that is no time: more texts are one here than in other formats."""
        reading = self._reading
        if reading.date is not None and column is reading.dataset.columns[0]:
            return Fault(NO_TIME.code, "not a count of milliseconds since midnight, which --date asks for")
        if reading.zone == "UTC":
            return Fault(NO_TIME.code, _NO_TIME)
        clocks = f"clocks in {reading.zone} never, or twice (--ambiguous), showed it"
        return Fault(NO_TIME.code, f"{_NO_TIME}; or {clocks}")

    def _read(self, text: bytes) -> tuple[Table, dict[str, Typed] | None]:
        """The columns, and their values; None for these if only a closer look at each cell can give them."""
        types: dict[str, pa.DataType] = {}
        for column in self._columns:
            is_time = column.kind is ColumnKind.TIME
            types[self._layout.sources[column.name]] = (
                self._style(text, column).value if is_time else ARROW_TYPES[column.kind]
            )
        if self._layout.symbol is not None:
            types[self._layout.symbol] = _SYMBOLS
        try:
            table = read_lines(text, self._layout.names, types)
            return table, {column.name: self._converted(table.cells, column) for column in self._columns}
        except pa.ArrowInvalid:
            return self._read_as_text(text, list(types)), None

    def _read_as_text(self, text: bytes, sources: list[str]) -> Table:
        try:
            return read_lines(text, self._layout.names, dict.fromkeys(sources, pa.string()))
        except pa.ArrowInvalid:
            table = read_lines(text, self._layout.names, dict.fromkeys(sources, pa.binary()))
            columns = {name: _text_or_mark(table.cells.column(name)) for name in sources}
            return Table(pa.table(columns), table.torn)

    def _style(self, text: bytes, column: Column) -> Style:
        if column.name not in self._styles:
            source = self._layout.sources[column.name]
            line = text.lstrip(b"\r\n").partition(b"\n")[0]
            first = read_lines(line, self._layout.names, {source: pa.string()}).cells.column(source)
            cell = (first[0].as_py() or "") if len(first) else ""
            if not cell:  # an absent time of arrival: the next block may have one
                return Style.TEXT if column.required else Style.OFFSET
            self._styles[column.name] = style_of(cell)
        style = self._styles[column.name]
        is_counted = column is self._columns[0] and self._reading.date is not None
        return Style.EPOCH if is_counted else style

    def _reading_of(self, column: Column) -> Reading:
        """How a column of times is read: a date is one, wherever the market is."""
        return replace(self._reading, zone="UTC") if column.form is ColumnForm.DATE else self._reading

    def _converted(self, table: pa.Table, column: Column) -> Typed:
        values = _one_array(table.column(self._layout.sources[column.name]))
        if column.kind is ColumnKind.TEXT:
            return Typed(unescaped(values))
        if column.kind is not ColumnKind.TIME:
            return Typed(values)
        style = self._style(b"", column) if column.name in self._styles else Style.OFFSET
        if style is Style.TEXT:
            raise pa.ArrowInvalid("only a closer look can tell")
        is_event = column is self._columns[0]
        return Typed(instants(values, style, self._reading_of(column), is_event=is_event))

    def _careful(self, table: pa.Table, column: Column) -> Typed:
        cells = _one_array(table.column(self._layout.sources[column.name]))
        if column.kind is ColumnKind.TEXT:
            return typed_cells(column, cells)
        if column.kind is not ColumnKind.TIME:
            return typed_cells(column, pc.utf8_trim_whitespace(cells))
        values, places = careful_instants(
            cells, self._reading_of(column), is_event=column is self._columns[0], limit=self._limit
        )
        return Typed(values, faults_at(len(cells), dict.fromkeys(places, self._no_time(column))))

    def _finished(self, typed: Typed | None, column: Column, count: int) -> Typed:
        if typed is None and column.name in self._reading.given:
            return Typed(pa.repeat(pa.scalar(self._reading.given[column.name], pa.string()), count))
        if typed is None:
            return Typed(pa.nulls(count, ARROW_TYPES[column.kind]))
        if column.kind is not ColumnKind.NUMBER:
            return typed
        values = typed.values
        numbers = values.fill_null(np.nan).to_numpy()
        scale = self._reading.scale.get(column.name)
        numbers = (scale.applied(numbers) if scale else numbers) + 0.0  # minus zero is zero
        mask = values.is_null().to_numpy(zero_copy_only=False) if values.null_count else None
        return Typed(pa.array(numbers, mask=mask), typed.faults)

    def _symbols(self, table: pa.Table, lines: Lines, wrong: Any, bad: list[BadRow]) -> pa.DictionaryArray:
        if self._layout.symbol is None:
            codes = pa.array(np.zeros(table.num_rows, dtype=np.int32))
            return pa.DictionaryArray.from_arrays(codes, pa.array([self._symbol]))
        column = _one_array(table.column(self._layout.symbol))
        encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
        spellings = [*encoded.dictionary.to_pylist(), ""]
        parsed = [self._parsed_symbol(spelling) for spelling in spellings]
        codes = encoded.indices.fill_null(len(spellings) - 1).to_numpy()
        refused = np.array([symbol is None for symbol in parsed])[codes]
        fresh = np.flatnonzero(refused & ~wrong)[: self._limit]
        bad += [
            self._bad(int(lines[row]), SYMBOL, self._symbol_message(spellings[codes[row]])) for row in fresh
        ]
        wrong |= refused
        distinct = sorted({symbol or "" for symbol in parsed})
        place_of = np.array([distinct.index(symbol or "") for symbol in parsed], dtype=np.int32)
        return pa.DictionaryArray.from_arrays(pa.array(place_of[codes]), pa.array(distinct))

    def _parsed_symbol(self, spelling: str) -> str | None:
        try:
            symbol = symbol_canonical(parse_symbol(spelling))
        except InvalidSymbol:
            return None
        return symbol if self._reading.symbol in (None, symbol) else None

    def _symbol_message(self, spelling: str) -> str:
        try:
            return f"{parse_symbol(spelling)} is not the symbol {self._reading.symbol} that was given"
        except InvalidSymbol as error:
            return f"{error}: {spelling!r:.60}"

    def _bad(self, line: int, field: str | None, message: str) -> BadRow:
        source = self._layout.sources.get(field or "", self._layout.symbol if field == SYMBOL else field)
        return BadRow(self._path, line, source, message)


def _one_array(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _text_or_mark(column: pa.ChunkedArray) -> pa.Array:
    """Bytes as text; what is not UTF-8 becomes a text that no rule accepts."""
    return pa.array(
        [None if cell is None else cell.decode("utf-8", "replace") for cell in column.to_pylist()],
        pa.string(),
    )
