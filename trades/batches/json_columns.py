"""Converts values of any types to columns, value by value, with the faults of those that cannot be converted."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import UNSET

from store.declarations import ARROW_TYPES, Column, ColumnForm, ColumnKind
from store.timestamps import (
    EARLIEST_NS,
    LATEST_NS,
    LONGEST_TEXT,
    InvalidTimestamp,
    parse_timestamps,
)
from trades.batches.row_batch import BatchOptions, RowColumns
from trades.batches.validation import RowError, TypedColumn, column_rule, fault_masks, null_mask
from trades.batches.value_rules import NO_OBJECT, NULL, REQUIRED, TIME_OUT_OF_RANGE, Fault
from web.requests.exceptions import ERRORS_LIMIT
from web.requests.nearest_name import LONGEST_SHOWN, no_such_field

# Arrow reports a wrong text only after it has parsed all others.
_TIMES_AT_ONCE = 4_096


def rows_of_objects(rows: Sequence[Any], options: BatchOptions, *, epoch: bool = False) -> RowColumns:
    """Return the rows of a document, whatever their values are. They are counted as work already.

    epoch: times may also be nanoseconds since the Unix epoch.
    """
    numbers: Sequence[int] = range(len(rows))
    if not all(isinstance(row, dict) for row in rows):
        numbers = [number for number in numbers if isinstance(rows[number], dict)]
    objects = rows if len(numbers) == len(rows) else [rows[number] for number in numbers]

    def typed(column: Column) -> TypedColumn:
        default = options.given.get(column.name, UNSET)
        values = (row.get(column.name, default) for row in objects)
        return json_column(column, values, len(objects), epoch=epoch)

    unknown = islice(_unknown(options, zip(numbers, objects, strict=True)), ERRORS_LIMIT)
    errors = [*unknown, *islice(_no_objects(rows), ERRORS_LIMIT)]
    return RowColumns(options.names, len(rows), typed, errors, numbers, is_counted=True)


def json_column(column: Column, values: Iterable[object], count: int, *, epoch: bool = False) -> TypedColumn:
    """Convert a column of `count` values; UNSET stands for a missing value.

    Stops at `ERRORS_LIMIT` wrong values; those after it become null.
    """
    if column.kind is ColumnKind.TIME:
        return _times(column, list(values), epoch=epoch)
    rule, faults = column_rule(column), {}
    stored: list[Any] = []
    for index, value in enumerate(values):
        converted = _absent(column, value)
        if converted is UNSET:
            converted = rule.convert(value)
        if isinstance(converted, Fault):
            faults[index], converted = converted, None
        stored.append(converted)
        if len(faults) == ERRORS_LIMIT:
            break
    stored += [None] * (count - len(stored))
    if column.form is ColumnForm.WORDS:
        stored = [text or None for text in stored]
    return TypedColumn(pa.array(stored, ARROW_TYPES[column.kind]), fault_masks(len(stored), faults))


def parse_time_column(column: Column, texts: pa.Array) -> TypedColumn:
    """Convert a column of texts to instants; nulls stay nulls. Stops at `ERRORS_LIMIT` wrong texts."""
    present = np.flatnonzero(texts.is_valid().to_numpy(zero_copy_only=False))
    instants = np.zeros(len(texts), dtype=np.int64)
    present_texts = texts.drop_null() if texts.null_count else texts
    faults: dict[int, Fault] = {}
    for start in range(0, len(present), _TIMES_AT_ONCE):
        rows = present[start : start + _TIMES_AT_ONCE]
        piece = present_texts[start : start + _TIMES_AT_ONCE]
        try:
            instants[rows] = parse_timestamps(piece)
        except InvalidTimestamp:
            cut_texts = pc.utf8_slice_codeunits(piece, 0, LONGEST_TEXT + 1)
            wrong = _invalid_timestamps(cut_texts, limit=ERRORS_LIMIT - len(faults))
            convert = column_rule(column).convert
            faults |= {int(rows[index]): convert(cut_texts[index].as_py()) for index in wrong}
            checked = wrong[-1] + 1 if len(faults) == ERRORS_LIMIT else len(cut_texts)
            right = np.delete(np.arange(checked), wrong)
            instants[rows[right]] = parse_timestamps(cut_texts.take(pa.array(right)))
            if len(faults) == ERRORS_LIMIT:
                break
    return TypedColumn(pa.array(instants, mask=null_mask(texts)), fault_masks(len(texts), faults))


def _absent(column: Column, value: object) -> object:
    """Return UNSET for a present value; for a missing or null one its fault, or None if the column is optional."""
    if value is UNSET:
        return REQUIRED if column.required else None
    if value is None:
        return NULL if column.required else None
    return UNSET


def _times(column: Column, values: Sequence[object], *, epoch: bool) -> TypedColumn:
    faults: dict[int, Fault] = {}
    counted: dict[int, int] = {}
    for index, value in enumerate(values):
        if isinstance(value, str):
            continue
        absent = _absent(column, value)
        if isinstance(absent, Fault):
            faults[index] = absent
        elif absent is UNSET and epoch and isinstance(value, int) and not isinstance(value, bool):
            counted[index] = value
        elif absent is UNSET:
            faults[index] = column_rule(column).invalid_type
        if len(faults) == ERRORS_LIMIT:
            break
    # Texts are cut: a longer one is wrong anyway, and slow to parse.
    texts = pa.array([v[: LONGEST_TEXT + 1] if isinstance(v, str) else None for v in values], pa.string())
    typed = parse_time_column(column, texts)
    if counted:
        typed = _with_counts(typed, counted, faults)
    return TypedColumn(typed.values, [*typed.faults, *fault_masks(len(values), faults)])


def _with_counts(typed: TypedColumn, counted: Mapping[int, int], faults: dict[int, Fault]) -> TypedColumn:
    """Return the column with the times in `counted` (row to nanoseconds); add times out of range to `faults`."""
    instants = typed.values.fill_null(0).to_numpy().copy()
    nulls = typed.values.is_null().to_numpy(zero_copy_only=False).copy()
    for index, count in counted.items():
        if EARLIEST_NS <= count <= LATEST_NS:
            instants[index], nulls[index] = count, False
        else:
            faults[index] = TIME_OUT_OF_RANGE
    return TypedColumn(pa.array(instants, mask=nulls), typed.faults)


def _unknown(options: BatchOptions, rows: Iterable[tuple[int, Mapping[str, Any]]]) -> Iterator[RowError]:
    if options.ignore_unknown:
        return
    names = frozenset(options.names)
    for number, row in rows:
        if row.keys() <= names:
            continue
        for name in islice((name for name in row if name not in names), ERRORS_LIMIT):
            yield RowError(number, name[:LONGEST_SHOWN], "unknown_field", no_such_field(name, options.names))


def _no_objects(rows: Sequence[Any]) -> Iterator[RowError]:
    for index, row in enumerate(rows):
        if not isinstance(row, dict):
            fault = NULL if row is None else NO_OBJECT
            yield RowError(index, None, fault.code, fault.message)


def _invalid_timestamps(texts: Sequence[str], *, limit: int) -> list[int]:
    """Return the indices of the first texts, at most `limit`, that `parse_timestamps` refuses."""
    invalid: list[int] = []
    pending = [(0, len(texts))]
    while pending and len(invalid) < limit:
        start, end = pending.pop()
        try:
            parse_timestamps(texts[start:end])
        except InvalidTimestamp:
            middle = (start + end) // 2
            if end - start == 1:
                invalid.append(start)
            else:
                pending += [(middle, end), (start, middle)]
    return invalid
