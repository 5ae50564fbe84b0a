"""Parses blocks of lines to checked rows in the dataset's schema."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from store.arrays import Mask
from store.declarations import ARROW_TYPES, Column, ColumnForm, ColumnKind
from store.symbols import InvalidSymbol
from trades.batches.validation import (
    TypedColumn,
    Violation,
    fault_masks,
    null_mask,
    number_column,
    validate_columns,
)
from trades.batches.value_rules import NO_TIME, Fault
from trades.exceptions import BadRow, ImportRefused
from trades.formats.csv_body import typed_cells, unescaped
from trades.imports.columns import (
    computed_column,
    encoded_texts,
    mask_of,
    one_array,
    plain_numbers,
    text_or_mark,
    typed_column,
    with_joined,
)
from trades.imports.hints import cell_hint, vendor_hint
from trades.imports.layout import (
    SYMBOL,
    FileLayout,
    LineNumbers,
    LineTable,
    ReadOptions,
    line_count,
    line_numbers,
    read_lines,
    without_unclosed_quotes,
)
from trades.imports.repeated_hours import EARLIEST, LATEST, UNORDERED, UNTOLD, RepeatedHours
from trades.imports.symbols import file_symbol
from trades.imports.times import TimeStyle, cast_instants, parse_instants, time_style
from trades.instruments.services import allows_nonpositive_price, log_name

_SYMBOLS = pa.dictionary(pa.int32(), pa.string())
_NO_TIME = "not a time: ISO 8601, or an epoch integer of 10, 13, 16 or 19 digits"


@dataclass(frozen=True, slots=True)
class ParsedBlock:
    """Rows in the file's order with their symbols and lines, the bad rows, and the number of lines."""

    rows: pa.RecordBatch
    symbols: pa.DictionaryArray
    lines: LineNumbers
    bad: tuple[BadRow, ...]
    line_count: int


class BlockParser:
    """Parses the blocks of one file. The first cell of a time column decides the column's style.

    repeated_hours: finds the rows whose local times occurred twice; None reads these as `options` say, whatever the
    order. translated: symbols by the vendor's spellings that were translated by its rule.
    """

    def __init__(
        self,
        path: Path,
        layout: FileLayout,
        options: ReadOptions,
        *,
        symbol: str | None,
        skip_bad: bool,
        repeated_hours: Callable[[], RepeatedHours] | None = None,
    ) -> None:
        self.dataset = options.dataset
        self.conditions = options.conditions
        self.skips_bad = skip_bad
        self.translated: dict[str, str] = {}
        self._path = path
        self._layout = layout
        self._options = options
        self._symbol = symbol
        self._repeated_hours = repeated_hours
        self._limit = None if skip_bad else 1
        self._styles: dict[str, TimeStyle] = {}
        self._spellings: dict[str, str | None] = {}
        self._columns = [c for c in options.dataset.columns if c.name in layout.sources]

    def parse(self, text: bytes, first_line: int) -> ParsedBlock:
        """Return the rows of complete lines. Raises the first `BadRow` unless bad rows are skipped."""
        bad: list[BadRow] = []
        count = line_count(text)
        table, cells = self._read(text)
        numbers = line_numbers(text, count, table)
        if numbers is None:
            text, unclosed = without_unclosed_quotes(text)
            bad += [
                self._bad(first_line + number, None, "a quotation mark is not closed") for number in unclosed
            ]
            table, cells = self._read(text)
            numbers = line_numbers(text, count, table)
        if numbers is None:
            raise ImportRefused(
                f"{self._path}: from line {first_line} on, the quotation marks do not match: correct them"
            )
        for line, (_, count_in_line) in zip(numbers[1].tolist(), table.torn, strict=True):
            message = f"has {count_in_line} cells instead of {len(self._layout.names)}"
            if count_in_line:
                bad.append(self._bad(first_line + line, None, message))
        return self._parsed(table.cells, cells, first_line + numbers[0], bad, count)

    def parse_records(self, table: pa.Table, first_row: int) -> ParsedBlock:
        """Return the rows of a table with the file's columns. Raises the first `BadRow` unless bad rows are skipped."""
        table = with_joined(table, self._layout.joined)
        rows = first_row + np.arange(table.num_rows)
        cells = {column.name: self._typed_column(table, column, rows) for column in self._columns}
        return self._parsed(table, cells, rows, [], table.num_rows)

    def _typed_column(self, table: pa.Table, column: Column, rows: LineNumbers) -> TypedColumn:
        values = table.column(self._layout.sources[column.name])
        if column.kind is ColumnKind.TIME and pa.types.is_string(values.type):
            return self._parse_times(one_array(values), column, rows)
        try:
            return typed_column(values, column, self._whole_column_options(column), self._path)
        except ImportRefused:
            if not pa.types.is_timestamp(values.type):
                raise
            return self._parse_times(one_array(values).cast(pa.string()), column, rows)

    def _parsed(
        self,
        table: pa.Table,
        cells: dict[str, TypedColumn] | None,
        lines: LineNumbers,
        bad: list[BadRow],
        count: int,
    ) -> ParsedBlock:
        selected = self._selected(table)
        if selected is not None and not selected.all():
            mask = pa.array(selected)
            table, lines = table.filter(mask), lines[selected]
            if cells is not None:
                cells = {
                    name: TypedColumn(
                        each.values.filter(mask), [(fault, rows[selected]) for fault, rows in each.faults]
                    )
                    for name, each in cells.items()
                }
        rows, symbols, is_valid = self._checked(table, cells, lines, bad)
        if bad and self._limit is not None:
            raise min(bad, key=lambda row: row.line)
        if not is_valid.all():
            mask = pa.array(is_valid)
            rows, symbols, lines = rows.filter(mask), symbols.filter(mask), lines[is_valid]
        bad.sort(key=lambda row: row.line)
        return ParsedBlock(rows.cast(self.dataset.schema), symbols, lines, tuple(bad), count)

    def _selected(self, table: pa.Table) -> Mask | None:
        """Return a mask of the rows that are read; None if there is no choice."""
        masks: list[Mask] = []
        if self._options.kept is not None:
            masks.append(mask_of(computed_column(table, self._options.kept, self._path)))
        if self._options.symbols and self._layout.symbol is not None:
            encoded = encoded_texts(table.column(self._layout.symbol))
            chosen = [self._spelled(each) in self._options.symbols for each in encoded.dictionary.to_pylist()]
            masks.append(np.array([*chosen, False])[encoded.indices.fill_null(len(chosen)).to_numpy()])
        return np.logical_and.reduce(masks) if masks else None

    def _checked(
        self, table: pa.Table, cells: dict[str, TypedColumn] | None, lines: LineNumbers, bad: list[BadRow]
    ) -> tuple[pa.RecordBatch, pa.DictionaryArray, Mask]:
        """Return rows, symbols and a mask of the valid rows; adds the invalid rows to `bad`."""
        dataset, wrong = self._options.dataset, np.zeros(table.num_rows, dtype=bool)
        if cells is None:
            cells = {column.name: self._parse_cells(table, column, lines) for column in self._columns}
        for name, derived in self._options.derived.items():
            cells[name] = TypedColumn(computed_column(table, derived, self._path))
        columns = {c.name: self._scaled(cells.get(c.name), c, table.num_rows) for c in dataset.columns}
        symbols = self._symbols(table, lines, wrong, bad)
        values, violations = validate_columns(
            dataset, columns, allows_nonpositive=partial(self._allows_nonpositive, symbols)
        )
        for violation in violations:
            new_rows = np.flatnonzero(violation.rows & ~wrong)[: self._limit].tolist()
            bad += [
                self._bad(int(lines[row]), violation.column, self._message(table, columns, violation, row))
                for row in new_rows
            ]
            wrong |= violation.rows
        return pa.record_batch(list(values.values()), names=list(values)), symbols, ~wrong

    def _message(
        self, table: pa.Table, columns: Mapping[str, TypedColumn], violation: Violation, row: int
    ) -> str:
        """Return the message for a row, with the cell's text if it could not be converted."""
        message = violation.fault.message
        source = self._layout.sources.get(violation.column or "")
        typed = columns[violation.column] if violation.column is not None else None
        if source is None or typed is None or all(fault is not violation.fault for fault, _ in typed.faults):
            return message
        cell = table.column(source)[row].as_py()
        return f"{message}: {cell!r:.60}{cell_hint(typed.values, cell)}"

    def _allows_nonpositive(self, symbols: pa.DictionaryArray) -> Mask:
        """Return a mask of the rows whose prices may be zero or less."""
        distinct = symbols.dictionary.to_pylist()
        allowed: Mask = np.array([symbol != "" and allows_nonpositive_price(symbol) for symbol in distinct])
        return np.asarray(allowed[symbols.indices.to_numpy()], dtype=bool)

    def _no_time(self, column: Column) -> Fault:
        """Return the fault of a cell that is not a time. Files may write times in more forms than request bodies."""
        options = self._options
        if options.date is not None and column is options.dataset.columns[0]:
            return Fault(NO_TIME.code, "not a count of milliseconds since midnight, which --date asks for")
        if options.zone == "UTC":
            return Fault(NO_TIME.code, _NO_TIME)
        return Fault(NO_TIME.code, f"{_NO_TIME}; or a local time that never occurred in {options.zone}")

    def _occurred_twice(self, *, is_unordered: bool) -> Fault:
        twice = f"this local time occurred twice in {self._options.zone}, and"
        if is_unordered:
            return Fault(
                NO_TIME.code, f"{twice} the rows around it are not in order: sort them, or write offsets"
            )
        return Fault(NO_TIME.code, f"{twice} the order does not tell which is meant: give --ambiguous")

    def _read(self, text: bytes) -> tuple[LineTable, dict[str, TypedColumn] | None]:
        """Return the columns and their values; None for the values if cells must be parsed one by one."""
        types = self._types(text)
        if not self._layout.joined and not self._options.dialect.decimal:
            try:
                table = self._read_lines(text, types, self._options.nulls)
                return table, {column.name: self._cast(table.cells, column) for column in self._columns}
            except pa.ArrowInvalid:
                pass
        return self._read_as_text(text, list(types)), None

    def _types(self, text: bytes) -> dict[str, pa.DataType]:
        """Return the types with which the file's columns are read."""
        types: dict[str, pa.DataType] = {}
        for column in self._columns:
            source = self._layout.sources[column.name]
            if source in self._layout.joined:
                types |= dict.fromkeys(self._layout.joined[source], pa.string())
            elif column.kind is ColumnKind.TIME:
                types[source] = self._style(text, column).value
            else:
                types[source] = ARROW_TYPES[column.kind]
        for derived in self._options.computed:
            for source in derived.sources:
                if source in self._layout.names:
                    types.setdefault(source, pa.string())
        if self._layout.symbol is not None:
            types[self._layout.symbol] = _SYMBOLS
        return types

    def _read_lines(self, text: bytes, types: dict[str, pa.DataType], nulls: Sequence[str] = ()) -> LineTable:
        return read_lines(text, self._layout.names, types, nulls, self._options.dialect.delimiter)

    def _read_as_text(self, text: bytes, sources: list[str]) -> LineTable:
        try:
            table = self._read_lines(text, dict.fromkeys(sources, pa.string()), self._options.nulls)
        except pa.ArrowInvalid:
            table = self._read_lines(text, dict.fromkeys(sources, pa.binary()))
            columns = {name: text_or_mark(table.cells.column(name)) for name in sources}
            table = LineTable(pa.table(columns), table.torn)
        return LineTable(with_joined(table.cells, self._layout.joined), table.torn)

    def _style(self, text: bytes, column: Column) -> TimeStyle:
        """Return the style of a time column. If no earlier block has set it, the column's first cell in `text` does."""
        if column is self._columns[0] and self._options.time_format:
            return TimeStyle.TEXT
        if column.name not in self._styles:
            source = self._layout.sources[column.name]
            line = text.lstrip(b"\r\n").partition(b"\n")[0]
            first = self._read_lines(line, {source: pa.string()}).cells.column(source)
            cell = (first[0].as_py() or "") if len(first) else ""
            if not cell:  # an optional time: the next block may have one
                return TimeStyle.TEXT if column.required else TimeStyle.OFFSET
            self._styles[column.name] = time_style(cell)
        style = self._styles[column.name]
        is_counted = column is self._columns[0] and self._options.date is not None
        return TimeStyle.EPOCH if is_counted else style

    def _time_options(self, column: Column) -> ReadOptions:
        """Return the options of a time column; dates are read in UTC, whatever the time zone."""
        return replace(self._options, zone="UTC") if column.form is ColumnForm.DATE else self._options

    def _whole_column_options(self, column: Column) -> ReadOptions:
        """Return the options of a time column that is read at once: it must have no time that occurred twice."""
        options = self._time_options(column)
        return options if self._repeated_hours is None else replace(options, ambiguous="infer")

    def _cast(self, table: pa.Table, column: Column) -> TypedColumn:
        """Convert a whole column at once. Raises `pa.ArrowInvalid` if any cell is wrong."""
        values = one_array(table.column(self._layout.sources[column.name]))
        if column.kind is ColumnKind.TEXT:
            return TypedColumn(unescaped(values))
        if column.kind is not ColumnKind.TIME:
            return TypedColumn(values)
        style = self._style(b"", column) if column.name in self._styles else TimeStyle.OFFSET
        if style is TimeStyle.TEXT:
            raise pa.ArrowInvalid("cells must be parsed one by one")
        is_event = column is self._columns[0]
        return TypedColumn(
            cast_instants(values, style, self._whole_column_options(column), is_event=is_event)
        )

    def _parse_cells(self, table: pa.Table, column: Column, lines: LineNumbers) -> TypedColumn:
        """Convert a column of texts cell by cell, with a fault for each wrong one."""
        cells = one_array(table.column(self._layout.sources[column.name]))
        if column.kind is ColumnKind.TEXT:
            return typed_cells(column, cells)
        if column.kind is not ColumnKind.TIME:
            return typed_cells(column, plain_numbers(cells, self._options.dialect.decimal))
        return self._parse_times(cells, column, lines)

    def _parse_times(self, cells: pa.Array, column: Column, lines: LineNumbers) -> TypedColumn:
        """Convert texts to instants. Of a local time that occurred twice, the order of rows tells which is meant."""
        options = self._time_options(column)
        is_event = column is self._columns[0]
        readings = [
            parse_instants(cells, replace(options, ambiguous=ambiguous), is_event=is_event, limit=self._limit)
            for ambiguous in (("earliest",) if options.zone == "UTC" else ("earliest", "latest"))
        ]
        (values, wrong), (latest, _) = readings[0], readings[-1]
        faults = dict.fromkeys(wrong, self._no_time(column))
        repeated = mask_of(pc.not_equal(values, latest))
        if repeated.any():
            told = UNTOLD if self._repeated_hours is None else self._repeated_hours().places_of(lines)
            places = np.where(repeated, told, EARLIEST)
            if options.ambiguous != "infer":
                places[places == UNTOLD] = LATEST if options.ambiguous == "latest" else EARLIEST
            values = pc.if_else(pa.array(places == LATEST), latest, values)
            for place in (UNTOLD, UNORDERED):
                fault = self._occurred_twice(is_unordered=place == UNORDERED)
                faults |= dict.fromkeys(np.flatnonzero(places == place)[: self._limit].tolist(), fault)
        return TypedColumn(values, fault_masks(len(cells), faults))

    def _scaled(self, typed: TypedColumn | None, column: Column, count: int) -> TypedColumn:
        """Return a column with its scale applied. A column that the file lacks has the given value, or nulls."""
        if typed is None and column.name in self._options.given:
            return TypedColumn(pa.repeat(pa.scalar(self._options.given[column.name], pa.string()), count))
        if typed is None:
            return TypedColumn(pa.nulls(count, ARROW_TYPES[column.kind]))
        if column.kind is not ColumnKind.NUMBER:
            return typed
        scale = self._options.scale.get(column.name)
        if scale is None:
            return TypedColumn(number_column(typed.values), typed.faults)
        scaled = scale.applied(typed.values.fill_null(np.nan).to_numpy()) + 0.0  # minus zero is zero
        return TypedColumn(pa.array(scaled, mask=null_mask(typed.values)), typed.faults)

    def _symbols(
        self, table: pa.Table, lines: LineNumbers, wrong: Any, bad: list[BadRow]
    ) -> pa.DictionaryArray:
        """Return the rows' symbols. Rows with a wrong or no symbol are marked in `wrong` and added to `bad`."""
        if self._layout.symbol is None:
            codes = pa.array(np.zeros(table.num_rows, dtype=np.int32))
            return pa.DictionaryArray.from_arrays(codes, pa.array([self._symbol]))
        encoded = encoded_texts(table.column(self._layout.symbol))
        spellings = [*encoded.dictionary.to_pylist(), ""]
        parsed = [self._parsed_symbol(spelling) for spelling in spellings]
        codes = encoded.indices.fill_null(len(spellings) - 1).to_numpy()
        if self._options.symbol_rule is not None:
            self._note_translated(spellings[code] for code in np.unique(codes))
        refused = np.array([symbol is None for symbol in parsed])[codes]
        new_rows = np.flatnonzero(refused & ~wrong)[: self._limit]
        bad += [
            self._bad(int(lines[row]), SYMBOL, self._symbol_message(spellings[codes[row]]))
            for row in new_rows
        ]
        wrong |= refused
        distinct = sorted({symbol or "" for symbol in parsed})
        code_of = np.array([distinct.index(symbol or "") for symbol in parsed], dtype=np.int32)
        return pa.DictionaryArray.from_arrays(pa.array(code_of[codes]), pa.array(distinct))

    def _parsed_symbol(self, spelling: str) -> str | None:
        """Return the canonical symbol; None if it is invalid or differs from the caller's symbol."""
        symbol = self._spelled(spelling)
        return symbol if self._options.symbol in (None, symbol) else None

    def _spelled(self, spelling: str) -> str | None:
        """Return the canonical symbol; None if it is invalid."""
        if spelling not in self._spellings:
            try:
                self._spellings[spelling] = log_name(self._options.dataset, self._file_symbol(spelling))
            except InvalidSymbol:
                self._spellings[spelling] = None
        return self._spellings[spelling]

    def _file_symbol(self, spelling: str) -> str:
        """Return the symbol without the vendor's prefix, by the vendor's rule. Raises `InvalidSymbol`."""
        bare = re.sub(self._options.prefix, "", spelling) if self._options.prefix else spelling
        return file_symbol(bare, self._options.symbol_rule)

    def _note_translated(self, spellings: Iterable[str]) -> None:
        for spelling in spellings:
            symbol = self._parsed_symbol(spelling)
            if symbol is not None and spelling not in (spelling.upper(), spelling.lower()):
                self.translated[spelling] = symbol

    def _symbol_message(self, spelling: str) -> str:
        try:
            symbol = self._file_symbol(spelling)
        except InvalidSymbol as error:
            refused = f"{spelling!r:.60}: {error}"
            if self._options.vendor:
                return refused
            return f"{refused}, or give --symbol and --columns symbol={vendor_hint(self._layout.names)}"
        return (
            f"{symbol} is not the symbol {self._options.symbol} that was given; --columns symbol= leaves the"
            " column out"
        )

    def _bad(self, line: int, field: str | None, message: str) -> BadRow:
        source = self._layout.sources.get(field or "", self._layout.symbol if field == SYMBOL else field)
        return BadRow(self._path, line, source, message)
