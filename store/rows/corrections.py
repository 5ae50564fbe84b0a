"""Finds the stored row to which a correction refers, and applies the correction to it."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from store import lazy_pyarrow as pa
from store.bars.prints import STANDS
from store.declarations import Column, ColumnKind, Dataset
from store.exceptions import CorrectedRowInvalid, CorrectionAmbiguous, CorrectionTargetMissing
from store.protocol import Action, Amendment, Correction
from store.rows.stored_rows import ARRIVAL, COMMIT, UNTIL, action_name, corrections_of
from store.timestamps import DAY_NS

Row = dict[str, object]


@dataclass(slots=True)
class RowHistory:
    """A stored row. states: its original values, then those of each correction.

    stands: False once the row is cancelled; until then its last state is current.
    """

    arrival: int
    states: list[Row]
    stands: bool = True

    def apply(self, action: str, row: Row) -> None:
        """Apply a later correction; `row` is as in `AppliedCorrection`."""
        if action == Action.CANCEL:
            self.stands = False
        else:
            self.states.append(row)


def _histories_of(dataset: Dataset, versions: pa.Table) -> list[RowHistory]:
    """Return the rows, in order of arrival. versions: all versions of these rows, with their `passed_values`."""
    names = dataset.schema.names
    histories: dict[int, RowHistory] = {}
    keys = (versions.column(column.name).to_numpy() for column in (UNTIL, COMMIT, ARRIVAL))
    for row in versions.take(pa.array(np.lexsort([*keys]))).to_pylist():
        history = histories.setdefault(row[ARRIVAL.name], RowHistory(row[ARRIVAL.name], []))
        history.states.append({name: row[name] for name in names})
        history.stands = row[UNTIL.name] == STANDS
    return list(histories.values())


@dataclass(frozen=True, slots=True)
class AppliedCorrection:
    """A correction of a batch with the row that it changes.

    index: the correction's index in the batch. arrival: the row's arrival number. row: the new values; for a
    cancel, the values until now.
    """

    index: int
    arrival: int
    action: Action
    row: Row


def changes(amendment: Amendment, versions: pa.Table | None) -> list[AppliedCorrection]:
    """Return the changes that a batch makes, in order. Corrections that were applied before are left out.

    versions: all versions of the rows at the corrections' event times, with their `passed_values`; None without any. If
    several equal rows match, the one that arrived last is changed. Raises `CorrectionTargetMissing`, `CorrectionAmbiguous`
    or `CorrectedRowInvalid` with all corrections at fault.
    """
    by_row = _RowHistories([] if versions is None else _histories_of(amendment.dataset, versions))
    applied: list[AppliedCorrection] = []
    missing: list[int] = []
    ambiguous: list[int] = []
    for index, correction in enumerate(amendment.corrections):
        candidates = by_row.candidates(correction)
        standing = [
            history for history in candidates if history.stands and _matches(history.states[-1], correction)
        ]
        if not standing:
            if not any(_was_applied(history, correction) for history in candidates):
                missing.append(index)
        elif any(history.states[-1] != standing[-1].states[-1] for history in standing):
            ambiguous.append(index)
        elif (row := _corrected(standing[-1], correction)) is not None:
            applied.append(AppliedCorrection(index, standing[-1].arrival, correction.action, row))
            by_row.apply(standing[-1], correction.action, row)
    if missing:
        raise CorrectionTargetMissing(missing)
    if ambiguous:
        raise CorrectionAmbiguous(ambiguous)
    _check_rules(amendment.dataset, [each for each in applied if each.action is Action.CORRECT])
    return applied


def correction_lines(dataset: Dataset, applied: Iterable[AppliedCorrection]) -> pa.RecordBatch:
    """Return applied corrections of rows of a dataset by event date, in the schema of `corrections_of`."""
    time, action = dataset.columns[0].name, action_name(dataset.schema.names)
    lines = [
        {**change.row, ARRIVAL.name: change.arrival, action: change.action.value}
        for change in sorted(applied, key=lambda change: int(str(change.row[time])) // DAY_NS)
    ]
    return pa.RecordBatch.from_pylist(lines, schema=corrections_of(dataset).schema)


def _check_rules(dataset: Dataset, corrects: Sequence[AppliedCorrection]) -> None:
    """Raise `CorrectedRowInvalid` if a corrected row breaks a rule of its dataset."""
    if not corrects:
        return
    for rule in dataset.rules:
        columns = [_values(dataset.column(name), corrects) for name in rule.columns]
        broken = np.flatnonzero(rule.is_broken(*columns)).tolist()
        if broken:
            raise CorrectedRowInvalid([corrects[each].index for each in broken], rule.code, rule.message)


def _values(column: Column, corrects: Sequence[AppliedCorrection]) -> Any:
    """Return a column's new values as a rule takes them."""
    values: list[Any] = [each.row[column.name] for each in corrects]
    if column.kind is ColumnKind.NUMBER:
        return np.array([math.nan if value is None else value for value in values])
    return np.array(values, None if column.kind is ColumnKind.TIME else object)


class _RowHistories:
    """Looks up row histories by event time and by the values of any state. It has an index for each set of names."""

    def __init__(self, histories: Sequence[RowHistory]) -> None:
        self._histories = histories
        self._indexes: dict[tuple[str, ...], dict[Hashable, dict[int, RowHistory]]] = {}

    def candidates(self, correction: Correction) -> list[RowHistory]:
        """Return the rows that have or had the values that a correction names, in order of arrival."""
        named = dict(sorted(correction.named.items()))
        names = ("timestamp", *named)
        if names not in self._indexes:
            self._indexes[names] = defaultdict(dict)
            for history in self._histories:
                for state in history.states:
                    self._index(names, history, state)
        found = self._indexes[names].get((correction.timestamp_ns, *named.values()), {})
        return [history for _, history in sorted(found.items())]

    def apply(self, history: RowHistory, action: Action, row: Row) -> None:
        history.apply(action, row)
        for names in self._indexes:
            self._index(names, history, row)

    def _index(self, names: tuple[str, ...], history: RowHistory, state: Row) -> None:
        self._indexes[names][tuple(map(state.get, names))][history.arrival] = history


def _matches(state: Row, correction: Correction) -> bool:
    return all(state.get(name) == value for name, value in correction.named.items())


def _corrected(history: RowHistory, correction: Correction) -> Row | None:
    """Return the `row` of the `AppliedCorrection`; None if the stored row already has the new values."""
    present = history.states[-1]
    if correction.action is Action.CANCEL:
        return present
    row = {**present, **correction.new}
    return None if row == present else row


def _was_applied(history: RowHistory, correction: Correction) -> bool:
    """Return whether the correction was applied before: the row was cancelled, or has or once got the new values."""
    fitting = [index for index, state in enumerate(history.states) if _matches(state, correction)]
    if correction.action is Action.CANCEL:
        return bool(fitting) and not history.stands
    results = [{**history.states[index], **correction.new} for index in fitting]
    next_states = [history.states[index + 1 : index + 2] for index in fitting]
    is_present = history.stands and history.states[-1] in results
    return is_present or any([row] == after for row, after in zip(results, next_states, strict=True))
