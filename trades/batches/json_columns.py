"""Values as JSON has them, right or wrong, as columns. The typed decoder is faster and cannot say what is wrong."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import UNSET

from http_requests.exceptions import ERRORS_LIMIT
from http_requests.nearest_name import LONGEST_SHOWN, no_such_field
from store.declarations import ARROW_TYPES, Column, ColumnForm, ColumnKind
from store.timestamps import (
    EARLIEST_NS,
    LATEST_NS,
    LONGEST_TEXT,
    InvalidTimestamp,
    invalid_timestamps,
    parse_timestamps,
)
from trades.batches.row_batch import Expected
from trades.batches.validation import Finding, Typed, faults_at, findings, rule_of, validated
from trades.batches.value_rule import NO_OBJECT, NULL, REQUIRED, TIME_OUT_OF_RANGE, AnyPrice, Fault

_ROWS_AT_ONCE = 2_000


@dataclass(frozen=True, slots=True)
class JsonRows:
    """Rows of a document: their columns, how many there are, and the first findings, if anything is wrong."""

    columns: Mapping[str, pa.Array]
    count: int
    findings: Sequence[Finding]


def read_rows(rows: Sequence[Any], expected: Expected, *, epoch: bool = False) -> JsonRows:
    """Rows of a document as columns, and what is wrong with them; after the first findings it looks no further.

    epoch: times may also be nanoseconds since the Unix epoch.
    """
    pieces: list[Mapping[str, pa.Array]] = []
    found: list[Finding] = []
    for start in range(0, max(len(rows), 1), _ROWS_AT_ONCE):
        if len(found) >= ERRORS_LIMIT:
            break
        piece = rows[start : start + _ROWS_AT_ONCE]
        values, of_piece = _read_piece(
            piece, expected, epoch=epoch, any_price=lambda: _any_price(expected, rows)
        )
        pieces.append(values)
        found += (replace(finding, row=start + finding.row) for finding in of_piece)
    columns = {name: pa.concat_arrays([piece[name] for piece in pieces]) for name in pieces[0]}
    return JsonRows(columns, len(rows), found[:ERRORS_LIMIT])


def _any_price(expected: Expected, rows: Sequence[Any]) -> bool:
    said = (row.get("symbol") for row in rows if isinstance(row, dict))
    return expected.any_price(said)


def _read_piece(
    rows: Sequence[Any], expected: Expected, *, epoch: bool, any_price: AnyPrice
) -> tuple[Mapping[str, pa.Array], list[Finding]]:
    places = [place for place, row in enumerate(rows) if isinstance(row, dict)]
    objects = rows if len(places) == len(rows) else [rows[place] for place in places]
    columns = {
        column.name: json_column(column, _values(expected, column, objects), epoch=epoch)
        for column in expected.columns
    }
    unknown = list(islice(_unknown(expected, objects), ERRORS_LIMIT))
    passed_over = [finding.row for finding in unknown]
    values, broken = validated(expected.dataset, columns, any_price=any_price, passed_over=passed_over)
    found = [replace(finding, row=places[finding.row]) for finding in (*findings(broken), *unknown)]
    found += islice(_no_objects(rows), ERRORS_LIMIT)
    return values, sorted(found, key=lambda finding: finding.row)


def json_column(column: Column, values: Sequence[object], *, epoch: bool = False) -> Typed:
    """A column of values, UNSET where a row has none."""
    if column.kind is ColumnKind.TIME:
        return _times(column, values, epoch=epoch)
    rule, faults = rule_of(column), {}
    stored: list[Any] = []
    for place, value in enumerate(values):
        found = _absent(column, value)
        if found is UNSET:
            found = rule.stored(value)
        if isinstance(found, Fault):
            faults[place], found = found, None
        stored.append(found)
    if column.form is ColumnForm.WORDS:
        stored = [text or None for text in stored]
    return Typed(pa.array(stored, ARROW_TYPES[column.kind]), faults_at(len(stored), faults))


def text_times(column: Column, texts: pa.Array) -> Typed:
    """A column of texts as instants; nulls stay nulls. Of wrong texts only the first are looked for."""
    present = np.flatnonzero(texts.is_valid().to_numpy(zero_copy_only=False))
    instants = np.zeros(len(texts), dtype=np.int64)
    mask = None if len(present) == len(texts) else texts.is_null().to_numpy(zero_copy_only=False)
    given = texts.drop_null() if texts.null_count else texts
    try:
        instants[present] = parse_timestamps(given)
    except InvalidTimestamp:
        given = pc.utf8_slice_codeunits(given, 0, LONGEST_TEXT + 1)
        wrong = invalid_timestamps(given, limit=ERRORS_LIMIT)
        sought = wrong[-1] + 1 if len(wrong) == ERRORS_LIMIT else len(given)
        right = np.delete(np.arange(sought), wrong)
        instants[present[right]] = parse_timestamps(given.take(pa.array(right)))
        faults = {int(present[place]): rule_of(column).stored(given[place].as_py()) for place in wrong}
        return Typed(pa.array(instants, mask=mask), faults_at(len(texts), faults))
    return Typed(pa.array(instants, mask=mask))


def _absent(column: Column, value: object) -> object:
    """What stands for a value that is not there: nothing, or a fault; UNSET if it is there."""
    if value is UNSET:
        return REQUIRED if column.required else None
    if value is None:
        return NULL if column.required else None
    return UNSET


def _times(column: Column, values: Sequence[object], *, epoch: bool) -> Typed:
    faults: dict[int, Fault] = {}
    counted: dict[int, int] = {}
    for place, value in enumerate(values):
        if isinstance(value, str):
            continue
        absent = _absent(column, value)
        if isinstance(absent, Fault):
            faults[place] = absent
        elif absent is UNSET and epoch and isinstance(value, int) and not isinstance(value, bool):
            counted[place] = value
        elif absent is UNSET:
            faults[place] = rule_of(column).invalid_type
    # What is longer is no time, and costs.
    texts = pa.array([v[: LONGEST_TEXT + 1] if isinstance(v, str) else None for v in values], pa.string())
    typed = text_times(column, texts)
    if counted:
        typed = _with_counts(typed, counted, faults)
    return Typed(typed.values, [*typed.faults, *faults_at(len(values), faults)])


def _with_counts(typed: Typed, counted: Mapping[int, int], faults: dict[int, Fault]) -> Typed:
    """The column with nanoseconds at some places; adds to the faults those that are out of range."""
    instants = typed.values.fill_null(0).to_numpy().copy()
    nulls = typed.values.is_null().to_numpy(zero_copy_only=False).copy()
    for place, count in counted.items():
        if EARLIEST_NS <= count <= LATEST_NS:
            instants[place], nulls[place] = count, False
        else:
            faults[place] = TIME_OUT_OF_RANGE
    return Typed(pa.array(instants, mask=nulls), typed.faults)


def _values(expected: Expected, column: Column, rows: Sequence[Mapping[str, Any]]) -> list[object]:
    """A column's values, those that the query gives where a row has none."""
    default = expected.given.get(column.name, UNSET)
    return [row.get(column.name, default) for row in rows]


def _unknown(expected: Expected, rows: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    if expected.ignore_unknown:
        return
    names = frozenset(expected.names)
    for place, row in enumerate(rows):
        if row.keys() <= names:
            continue
        for name in islice((name for name in row if name not in names), ERRORS_LIMIT):
            yield Finding(place, name[:LONGEST_SHOWN], "unknown_field", no_such_field(name, expected.names))


def _no_objects(rows: Sequence[Any]) -> Iterator[Finding]:
    for place, row in enumerate(rows):
        if not isinstance(row, dict):
            fault = NULL if row is None else NO_OBJECT
            yield Finding(place, None, fault.code, fault.message)
