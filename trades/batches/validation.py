"""Columns of rows against the declaration of their dataset: which rows are wrong, in which column, and why.

Every format makes such columns of what it has; none has rules of its own. A batch that is right costs a few
comparisons of whole columns.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa

from http_requests.exceptions import ERRORS_LIMIT
from store.arrays import Mask
from store.declarations import Column, ColumnForm, ColumnKind, Dataset
from trades.batches.number_rules import BooleanRule, IntegerRule, NumberRule, TimeRule
from trades.batches.text_rules import ChoiceRule, IdRule, SymbolRule, WordRule, WordsRule
from trades.batches.value_rule import NULL, AnyPrice, Fault, Found, ValueRule

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
}


@cache
def rule_of(column: Column) -> ValueRule:
    """The rule of a column's values."""
    return ChoiceRule(column) if column.choices else _RULES[column.kind, column.form](column)


@dataclass(frozen=True, slots=True)
class Typed:
    """A column in the type of its kind, and the values that could not be had: anything stands there."""

    values: pa.Array
    faults: Sequence[tuple[Fault, Mask]] = ()


@dataclass(frozen=True, slots=True)
class Broken:
    """A fault and the rows that have it, at least one. `column` is None where it is of the whole row."""

    column: str | None
    fault: Fault
    rows: Mask


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with one row, or with one column of it."""

    row: int
    column: str | None
    code: str
    message: str


@cache
def columns_of(dataset: Dataset) -> tuple[Column, ...]:
    """The columns of a row that is sent: the event time first, the symbol second."""
    first, *others = dataset.columns
    return (first, SYMBOL, *others)


@cache
def _rules_of(dataset: Dataset) -> dict[str, ValueRule]:
    """Of each column, in the order in which its faults are told: the symbol's first."""
    return {column.name: rule_of(column) for column in (SYMBOL, *dataset.columns)}


def faults_at(count: int, faults: Mapping[int, Fault]) -> Found:
    """The faults of a column of `count` values, given by their places."""
    masks: dict[Fault, Mask] = {}
    for place, fault in faults.items():
        masks.setdefault(fault, np.zeros(count, dtype=bool))[place] = True
    return list(masks.items())


def validated(
    dataset: Dataset, columns: Mapping[str, Typed], *, any_price: AnyPrice, passed_over: Sequence[int] = ()
) -> tuple[dict[str, pa.Array], list[Broken]]:
    """The columns as they are stored, and what is broken: column by column, then the rules of whole rows.

    columns: the dataset's, and perhaps `symbol`. any_price: whether prices may be zero or less; asked only if
    there are such. A rule of whole rows is not asked of a row with a fault, nor of those in `passed_over`.
    """
    values: dict[str, pa.Array] = {}
    broken: list[Broken] = []
    for name, rule in _rules_of(dataset).items():
        if name in columns:
            values[name] = rule.in_one_spelling(columns[name].values)
            broken += _broken(rule, values[name], columns[name].faults, any_price)
    if dataset.rules:
        wrong = np.zeros(len(values[dataset.columns[0].name]), dtype=bool)
        wrong[list(passed_over)] = True
        for each in broken:
            wrong |= each.rows
        broken += _broken_rules(dataset, values, wrong)
    return values, broken


def findings(broken: Iterable[Broken], limit: int = ERRORS_LIMIT) -> list[Finding]:
    """What is wrong, row by row, in each in the order of the columns; at most the first `limit`."""
    found = [
        Finding(row, each.column, each.fault.code, each.fault.message)
        for each in broken
        for row in np.flatnonzero(each.rows)[:limit].tolist()
    ]
    return sorted(found, key=lambda finding: finding.row)[:limit]


def _broken(
    rule: ValueRule, values: pa.Array, faults: Sequence[tuple[Fault, Mask]], any_price: AnyPrice
) -> Iterator[Broken]:
    """Of each value that is wrong the first fault: that it could not be had, that it is none, a broken rule."""
    found = list(faults)
    if rule.column.required and values.null_count:
        found.append((NULL, values.is_null().to_numpy(zero_copy_only=False)))
    if values.null_count < len(values):
        found += rule.found(values, any_price)
    told: Mask | None = None
    for fault, mask in found:
        rows = mask if told is None else mask & ~told
        told = mask if told is None else mask | told
        if rows.any():
            yield Broken(rule.column.name, fault, rows)


def _broken_rules(dataset: Dataset, values: Mapping[str, pa.Array], wrong: Mask) -> Iterator[Broken]:
    """The first rule that each row breaks whose columns are right one by one."""
    told = wrong
    for rule in dataset.rules:
        places = np.flatnonzero(~told) if told.any() else None
        columns = (_operand(dataset.column(name), values[name], places) for name in rule.columns)
        is_broken = rule.is_broken(*columns)
        if not is_broken.any():
            continue
        rows = is_broken
        if places is not None:
            rows = np.zeros(len(told), dtype=bool)
            rows[places[is_broken]] = True
        told = told | rows
        yield Broken(None, Fault(rule.code, rule.message), rows)


def _operand(column: Column, values: pa.Array, places: Any) -> Any:
    """A column as a rule takes it, of the rows at `places` only if there are such."""
    some = values if places is None else values.take(pa.array(places))
    if column.kind is ColumnKind.TEXT:
        return np.asarray(some.to_pylist(), dtype=object)
    if column.kind is ColumnKind.TIME:
        return some.to_numpy(zero_copy_only=False)
    return some.cast(pa.float64()).to_numpy(zero_copy_only=False)
