"""Checks the columns of a file's pieces: from the file's names, times and numbers to the dataset's rows."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from store.arrays import Integers, Mask
from store.datasets import BARS
from store.declarations import ARROW_TYPES, Column, ColumnForm, ColumnKind
from store.resolutions import Resolution
from store.row_rules import SIZE, VOLUME
from store.symbols import InvalidSymbol
from trades.batches.validation import (
    TypedColumn,
    Violation,
    fault_masks,
    null_mask,
    validate_columns,
)
from trades.batches.value_rules import NO_TIME, NULL, Fault
from trades.exceptions import BadRow, BatchRefused, ImportRefused
from trades.formats.arrow_values import one_array, typed_values
from trades.formats.text_values import typed_cells, unescaped
from trades.imports.bar_dates import dated_bars
from trades.imports.blocks import LINE, SYMBOL, FilePiece, RowBlock, SourceFile
from trades.imports.columns import (
    computed_column,
    encoded_texts,
    is_one_of,
    joined_symbols,
    mask_of,
    plain_numbers,
    with_joined,
    with_prepared,
)
from trades.imports.hints import cell_hint, look
from trades.imports.layout import FileLayout, ReadOptions
from trades.imports.numbers import summed_columns
from trades.imports.repeated_hours import EARLIEST, LATEST, UNORDERED, UNTOLD, RepeatedHours
from trades.imports.symbols import file_symbol
from trades.imports.times import is_plain_time, parse_instants, whole_instants
from trades.imports.zones import abbreviated_zone, has_zone_names
from trades.instruments.services import allows_nonpositive_price, log_name

_NEGATIVE = (VOLUME.code, SIZE.code)
_RESOLUTION = "resolution"
_NO_TIME = "not a time: ISO 8601, or an epoch integer of 10, 13, 16 or 19 digits"


class BlockParser:
    """Parses the pieces of one file.

    bad_limit: of a fault so many bad rows of a piece are told, and the others only left out; None: all.
    repeated_hours: finds the rows whose local times occurred twice; None reads these as `options` say, whatever the
    order. schema: of the rows of blocks. translated: symbols by the vendor's spellings that were translated by its rule.
    """

    def __init__(
        self,
        path: Path,
        layout: FileLayout,
        options: ReadOptions,
        *,
        symbol: str | None,
        skip_bad: bool,
        bad_limit: int | None = None,
        repeated_hours: Callable[[], RepeatedHours] | None = None,
    ) -> None:
        self.dataset = options.dataset
        self.conditions = options.conditions
        self.skips_bad = skip_bad
        self.unread_columns = layout.unread_columns
        self.translated: dict[str, str] = {}
        self._path = path
        self._layout = layout
        self._options = options
        self._symbol = symbol
        self._repeated_hours = repeated_hours
        self._limit = bad_limit if skip_bad else 1
        self._shift_ns = _shift_ns(options)
        self.schema = options.dataset.schema.append(pa.field(SYMBOL, pa.string()))
        self.schema = self.schema.append(pa.field(LINE, pa.int64()))
        self._spellings: dict[str, str | None] = {}
        self._is_escaped = False
        self._columns = [c for c in options.dataset.columns if c.name in layout.sources]

    def blocks(self, file: SourceFile) -> Iterator[RowBlock]:
        """Yield the rows of a file, piece by piece. Raises the first `BadRow` unless bad rows are skipped."""
        for piece in file.pieces(self._layout.read_columns(self._options), self._options.nulls):
            yield self.block(piece)

    def block(self, piece: FilePiece) -> RowBlock:
        """Return the rows of a piece. Raises the first `BadRow` unless bad rows are skipped."""
        self._is_escaped = piece.is_escaped
        cells = with_prepared(piece.cells, self._options.prepared, self._path)
        table, lines, bad = with_joined(cells, self._layout.joined), piece.lines, list(piece.bad)
        if self._layout.symbol_parts:
            symbols = joined_symbols(table, self._layout.symbol_parts)
            table = table.append_column(self._layout.symbol, symbols)
        selected = self._selected(table)
        if selected is not None and not selected.all():
            table, lines = table.filter(pa.array(selected)), lines[selected]
        rows, is_valid = self._checked(table, lines, bad)
        if bad and not self.skips_bad:
            raise min(bad, key=lambda row: row.line)
        if not is_valid.all():
            wrong = rows.filter(pa.array(~is_valid))
            symbols = dict(zip(wrong[LINE].to_pylist(), wrong[SYMBOL].to_pylist(), strict=True))
            for each in bad:
                each.symbol = symbols.get(each.line) or None
            rows = rows.filter(pa.array(is_valid))
        rows = rows.cast(self.schema)
        return RowBlock(rows, tuple(sorted(bad, key=lambda row: row.line)), piece.bytes_read)

    def _selected(self, table: pa.Table) -> Mask | None:
        """Return a mask of the rows that are read; None if there is no choice."""
        masks: list[Mask] = []
        if self._options.kept is not None:
            masks.append(mask_of(computed_column(table, self._options.kept, self._path)))
        if self._options.rows:
            masks.append(is_one_of(table, self._options.rows))
        if self._options.symbols and self._layout.symbol is not None:
            encoded = encoded_texts(table.column(self._layout.symbol))
            chosen = [self._spelled(each) in self._options.symbols for each in encoded.dictionary.to_pylist()]
            masks.append(np.array([*chosen, False])[encoded.indices.fill_null(len(chosen)).to_numpy()])
        return np.logical_and.reduce(masks) if masks else None

    def _checked(self, table: pa.Table, lines: Integers, bad: list[BadRow]) -> tuple[pa.Table, Mask]:
        """Return rows and a mask of the valid ones; adds the invalid ones to `bad`."""
        dataset, sources = self._options.dataset, self._layout.sources
        wrong = np.zeros(table.num_rows, dtype=bool)
        cells = {column.name: self._column(table, column, lines) for column in self._columns}
        first = dataset.columns[0].name
        if self._shift_ns:
            times = pc.subtract(cells[first].values, self._shift_ns)
            cells[first] = replace(cells[first], values=times)
        for name, derived in self._options.derived.items():
            cells[name] = TypedColumn(computed_column(table, derived, self._path))
        if dataset is BARS and first in sources:
            cells[first] = self._dated(cells, one_array(table[sources[first]]))
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
        rows = pa.table({name: values[name] for name in dataset.schema.names})
        rows = rows.append_column(SYMBOL, symbols.cast(pa.string()))
        return rows.append_column(LINE, pa.array(lines)), ~wrong

    def _dated(self, cells: Mapping[str, TypedColumn], times: pa.Array) -> TypedColumn:
        """Return the times of bars, those of a day or longer by their dates."""
        typed = cells[self._options.dataset.columns[0].name]
        if pa.types.is_date(times.type):
            return typed
        name = pa.scalar(self._options.given.get(_RESOLUTION), pa.string())
        resolutions = cells[_RESOLUTION].values if _RESOLUTION in cells else pa.repeat(name, len(times))
        return dated_bars(typed, times, resolutions, self._options)

    def _column(self, table: pa.Table, column: Column, lines: Integers) -> TypedColumn:
        source = self._layout.sources[column.name]
        parts = self._layout.summed.get(source)
        if parts is None:
            return self._typed(one_array(table[source]), column, lines)
        return summed_columns([self._typed(one_array(table[part]), column, lines) for part in parts])

    def _message(
        self, table: pa.Table, columns: Mapping[str, TypedColumn], violation: Violation, row: int
    ) -> str:
        """Return the message for a row, with the cell's text if it could not be converted."""
        message = "is empty" if violation.fault is NULL else violation.fault.message
        source = self._layout.sources.get(violation.column or "")
        typed = columns[violation.column] if violation.column is not None else None
        if violation.fault.code in _NEGATIVE and self.dataset is not BARS:
            message += f"; if the file writes sold quantities so{look('--absolute', violation.column or '')}"
        if source is None or typed is None or all(fault is not violation.fault for fault, _ in typed.faults):
            return message
        cells = [table.column(part)[row].as_py() for part in self._layout.summed.get(source, (source,))]
        cell = cells[0] if len(cells) == 1 else "+".join(str(each or "") for each in cells)
        options = self._options
        hint = cell_hint(typed.values, cell, decimal=options.dialect.decimal, time_format=options.time_format)
        shown = f"{cell!r}" if isinstance(cell, str | bytes) else f"{cell}"
        return f"{message}: {shown:.60}{hint}"

    def _allows_nonpositive(self, symbols: pa.DictionaryArray) -> Mask:
        """Return a mask of the rows whose prices may be zero or less."""
        distinct = symbols.dictionary.to_pylist()
        allowed: Mask = np.array([symbol != "" and allows_nonpositive_price(symbol) for symbol in distinct])
        return np.asarray(allowed[symbols.indices.to_numpy()], dtype=bool)

    def _no_time(self, column: Column, cell: object) -> Fault:
        """Return the fault of a cell that is not a time. Files may write times in more forms than request bodies."""
        options = self._options
        if abbreviation := abbreviated_zone(str(cell)):
            return Fault(
                NO_TIME.code,
                f"{abbreviation} may mean several time zones; write an offset such as -05:00, or a name such as"
                " America/New_York",
            )
        if options.date is not None and column is options.dataset.columns[0]:
            return Fault(NO_TIME.code, "not a count of milliseconds since midnight, which --date asks for")
        no_time = f"not a time as {options.time_format}" if options.time_format else _NO_TIME
        if options.zone == "UTC":
            return Fault(NO_TIME.code, no_time)
        return Fault(NO_TIME.code, f"{no_time}; or a local time that never occurred in {options.zone}")

    def _occurred_twice(self, *, is_unordered: bool) -> Fault:
        zone = "the zone that it names" if self._options.zone == "UTC" else self._options.zone
        twice = f"this local time occurred twice in {zone}, and"
        if is_unordered:
            return Fault(
                NO_TIME.code, f"{twice} the rows around it are not in order: sort them, or write offsets"
            )
        return Fault(
            NO_TIME.code,
            f"{twice} the order does not tell which is meant; give --ambiguous earliest or --ambiguous latest",
        )

    def _typed(self, values: pa.Array, column: Column, lines: Integers) -> TypedColumn:
        """Convert a column, texts by the rules of files, with a fault for each wrong value.

        Raises `ImportRefused` for a typed column that is of another type.
        """
        is_text = pa.types.is_string(values.type)
        if column.kind is ColumnKind.TIME and (is_text or is_plain_time(values.type)):
            return self._times(values, column, lines)
        if is_text and column.kind is not ColumnKind.TEXT:
            return self._numbers(column, values)
        try:
            return typed_values(column, unescaped(values) if is_text and self._is_escaped else values)
        except (pa.ArrowInvalid, BatchRefused) as error:
            raise ImportRefused(f"{self._path}, {column.name}: {error}") from error

    def _numbers(self, column: Column, values: pa.Array) -> TypedColumn:
        """Convert texts; those without marks of thousands, and spaces around them, as they are."""
        decimal = self._options.dialect.decimal
        typed = None if decimal else typed_cells(column, values)
        if typed is not None and not typed.faults:
            return typed
        return typed_cells(column, plain_numbers(values, decimal))

    def _times(self, values: pa.Array, column: Column, lines: Integers) -> TypedColumn:
        """Convert a column to instants. Of a local time that occurred twice, the order of rows tells which is meant."""
        options = self._options
        if column.form is ColumnForm.DATE:  # a date is read in UTC, whatever the time zone
            options = replace(options, zone="UTC")
        is_event = column is options.dataset.columns[0]
        with suppress(pa.ArrowInvalid):
            return TypedColumn(whole_instants(values, replace(options, ambiguous="infer"), is_event=is_event))
        has_summer = options.zone != "UTC" or has_zone_names(values)
        readings = [
            parse_instants(
                values, replace(options, ambiguous=ambiguous), is_event=is_event, limit=self._limit
            )
            for ambiguous in (("earliest", "latest") if has_summer else ("earliest",))
        ]
        (times, wrong), (latest, _) = readings[0], readings[-1]
        faults = {row: self._no_time(column, values[row].as_py()) for row in wrong}
        repeated = mask_of(pc.not_equal(times, latest))
        if repeated.any():
            told = UNTOLD if self._repeated_hours is None else self._repeated_hours().places_of(lines)
            places = np.where(repeated, told, EARLIEST)
            if options.ambiguous != "infer":
                places[places == UNTOLD] = LATEST if options.ambiguous == "latest" else EARLIEST
            times = pc.if_else(pa.array(places == LATEST), latest, times)
            for place in (UNTOLD, UNORDERED):
                fault = self._occurred_twice(is_unordered=place == UNORDERED)
                faults |= dict.fromkeys(np.flatnonzero(places == place)[: self._limit].tolist(), fault)
        return TypedColumn(times, fault_masks(len(values), faults))

    def _scaled(self, typed: TypedColumn | None, column: Column, count: int) -> TypedColumn:
        """Return a column with its scale applied. A column that the file lacks has the given value, or nulls."""
        if typed is None and column.name in self._options.given:
            return TypedColumn(pa.repeat(pa.scalar(self._options.given[column.name], pa.string()), count))
        if typed is None:
            return TypedColumn(pa.nulls(count, ARROW_TYPES[column.kind]))
        if column.kind is not ColumnKind.NUMBER:
            return typed
        if column.name in self._options.absolute:
            typed = replace(typed, values=pc.abs(typed.values))
        scale = self._options.scale.get(column.name)
        if scale is None:
            return typed
        scaled = scale.applied(typed.values.fill_null(np.nan).to_numpy()) + 0.0  # minus zero is zero
        return TypedColumn(pa.array(scaled, mask=null_mask(typed.values)), typed.faults)

    def _symbols(self, table: pa.Table, lines: Integers, wrong: Any, bad: list[BadRow]) -> pa.DictionaryArray:
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
            return f"{refused}; give --columns symbol= and --symbol"
        return f"{symbol} is not the symbol {self._options.symbol} that was given; give --columns symbol= to leave the column out"

    def _bad(self, line: int, field: str | None, message: str) -> BadRow:
        source = self._layout.sources.get(field or "", self._layout.symbol if field == SYMBOL else field)
        return BadRow(self._path, line, source, message)


def _shift_ns(options: ReadOptions) -> int:
    """Return how much later than their bars' beginnings the times are."""
    resolution = options.given.get("resolution")
    with suppress(ValueError):  # the column's check reports it
        if options.times_end and resolution is not None and not Resolution.parse(resolution).is_period:
            return Resolution.parse(resolution).length_ns
    return 0
