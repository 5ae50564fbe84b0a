"""Validates columns of rows by the declaration of their dataset. Reports the row, column and reason of each error.

Every format converts its body to such columns and has no rules of its own. A valid batch costs a few
comparisons of whole columns.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa

from store.arrays import Mask
from store.declarations import Column, ColumnForm, ColumnKind, Dataset
from store.quote_sides import prices_of_sides
from trades.batches.text_rules import (
    ChoiceRule,
    CurrencyRule,
    IdRule,
    MemberRule,
    ResolutionRule,
    SymbolRule,
    WordRule,
    WordsRule,
)
from trades.batches.value_rules import (
    NULL,
    AllowsNonpositive,
    BooleanRule,
    Fault,
    FaultMasks,
    IntegerRule,
    NumberRule,
    TimeRule,
    ValueRule,
)
from web.requests.exceptions import ERRORS_LIMIT

SYMBOL = Column("symbol", ColumnKind.TEXT, required=True, form=ColumnForm.SYMBOL)

_RULES: dict[tuple[ColumnKind, ColumnForm], type[ValueRule]] = {
    (ColumnKind.TIME, ColumnForm.PLAIN): TimeRule,
    (ColumnKind.TIME, ColumnForm.DATE): TimeRule,
    (ColumnKind.NUMBER, ColumnForm.PLAIN): NumberRule,
    (ColumnKind.INTEGER, ColumnForm.PLAIN): IntegerRule,
    (ColumnKind.BOOLEAN, ColumnForm.PLAIN): BooleanRule,
    (ColumnKind.TEXT, ColumnForm.PLAIN): WordRule,
    (ColumnKind.TEXT, ColumnForm.ID): IdRule,
    (ColumnKind.TEXT, ColumnForm.WORDS): WordsRule,
    (ColumnKind.TEXT, ColumnForm.SYMBOL): SymbolRule,
    (ColumnKind.TEXT, ColumnForm.MEMBER): MemberRule,
    (ColumnKind.TEXT, ColumnForm.CURRENCY): CurrencyRule,
    (ColumnKind.TEXT, ColumnForm.RESOLUTION): ResolutionRule,
}


@cache
def column_rule(column: Column) -> ValueRule:
    """Return the rule of a column's values."""
    return ChoiceRule(column) if column.choices else _RULES[column.kind, column.form](column)


@dataclass(frozen=True, slots=True)
class TypedColumn:
    """A column in the Arrow type of its kind. `faults`: the rows that could not be converted; ignore their values."""

    values: pa.Array
    faults: Sequence[tuple[Fault, Mask]] = ()


@dataclass(frozen=True, slots=True)
class Violation:
    """A fault and the rows that have it, at least one. `column` is None for a rule of whole rows."""

    column: str | None
    fault: Fault
    rows: Mask


@dataclass(frozen=True, slots=True)
class RowError:
    """An error of one row, or of one column of it."""

    row: int
    column: str | None
    code: str
    message: str


@cache
def columns_of(dataset: Dataset) -> tuple[Column, ...]:
    """Return the columns of a sent row: the event time first, the symbol second."""
    first, *others = dataset.columns
    return (first, SYMBOL, *others)


@cache
def _rules_of(dataset: Dataset) -> dict[str, ValueRule]:
    """Return the rule of each column in the order in which errors are reported: the symbol first."""
    return {column.name: column_rule(column) for column in (SYMBOL, *dataset.columns)}


def null_mask(values: pa.Array) -> Mask | None:
    """Return a mask of the nulls, or None if there are none: the `mask` that `pa.array` takes."""
    return values.is_null().to_numpy(zero_copy_only=False) if values.null_count else None


def number_column(numbers: pa.Array) -> pa.Array:
    """Return a column of floats with zero in place of minus zero."""
    return pa.array(numbers.to_numpy(zero_copy_only=False) + 0.0, mask=null_mask(numbers))


def fault_masks(count: int, faults: Mapping[int, Fault]) -> FaultMasks:
    """Convert faults by row number to a mask of `count` rows per fault."""
    masks: dict[Fault, Mask] = {}
    for row, fault in faults.items():
        masks.setdefault(fault, np.zeros(count, dtype=bool))[row] = True
    return list(masks.items())


def validate_columns(
    dataset: Dataset,
    columns: Mapping[str, TypedColumn],
    *,
    allows_nonpositive: AllowsNonpositive,
    skipped: Sequence[int] = (),
) -> tuple[dict[str, pa.Array], list[Violation]]:
    """Return the columns as they are stored, and the violations: column by column, then the rules of whole rows.

    columns: the dataset's, with or without `symbol`. Rules of whole rows skip rows that have a fault, and
    those in `skipped`.
    """
    values: dict[str, pa.Array] = {}
    broken: list[Violation] = []
    for name, rule in _rules_of(dataset).items():
        column = columns.get(name)
        if column is None:
            continue
        if not (rule.column.required or column.faults) and column.values.null_count == len(column.values):
            values[name] = column.values
            continue
        values[name] = rule.normalized(column.values)
        broken += _broken(rule, values[name], column.faults, allows_nonpositive)
    if dataset.has_sides:
        values |= prices_of_sides(values.__getitem__)
    if dataset.rules:
        wrong = np.zeros(len(values[dataset.columns[0].name]), dtype=bool)
        wrong[list(skipped)] = True
        for each in broken:
            wrong |= each.rows
        broken += _broken_rules(dataset, values, wrong)
    return values, broken


def row_errors(broken: Iterable[Violation], limit: int = ERRORS_LIMIT) -> list[RowError]:
    """Return the first `limit` errors, in the order of rows, then of columns."""
    errors = [
        RowError(row, each.column, each.fault.code, each.fault.message)
        for each in broken
        for row in np.flatnonzero(each.rows)[:limit].tolist()
    ]
    return sorted(errors, key=lambda error: error.row)[:limit]


def _broken(
    rule: ValueRule,
    values: pa.Array,
    faults: Sequence[tuple[Fault, Mask]],
    allows_nonpositive: AllowsNonpositive,
) -> Iterator[Violation]:
    """Yield the first fault of each wrong value: a failed conversion, then a null, then the column's rule."""
    masks = list(faults)
    if rule.column.required and values.null_count:
        masks.append((NULL, values.is_null().to_numpy(zero_copy_only=False)))
    if values.null_count < len(values):
        masks += rule.check_column(values, allows_nonpositive)
    reported: Mask | None = None
    for fault, mask in masks:
        rows = mask if reported is None else mask & ~reported
        reported = mask if reported is None else mask | reported
        if rows.any():
            yield Violation(rule.column.name, fault, rows)


def _broken_rules(dataset: Dataset, values: Mapping[str, pa.Array], wrong: Mask) -> Iterator[Violation]:
    """Yield the first rule that each row without a fault breaks."""
    reported = wrong
    for rule in dataset.rules:
        indexes = np.flatnonzero(~reported) if reported.any() else None
        columns = (_operand(dataset.column(name), values[name], indexes) for name in rule.columns)
        is_broken = rule.is_broken(*columns)
        if not is_broken.any():
            continue
        rows = is_broken
        if indexes is not None:
            rows = np.zeros(len(reported), dtype=bool)
            rows[indexes[is_broken]] = True
        reported = reported | rows
        yield Violation(None, Fault(rule.code, rule.message), rows)


def _operand(column: Column, values: pa.Array, indexes: Any) -> Any:
    """Return a column as an argument of a rule; `indexes`: the rows to take, or None for all."""
    some = values if indexes is None else values.take(pa.array(indexes))
    if column.kind is ColumnKind.TEXT:
        return np.asarray(some.to_pylist(), dtype=object)
    if column.kind is ColumnKind.TIME:
        return some.to_numpy(zero_copy_only=False)
    return some.cast(pa.float64()).to_numpy(zero_copy_only=False)
