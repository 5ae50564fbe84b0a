"""Finds the stored row to which a correction refers, and applies the correction to it."""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from store.exceptions import CorrectionAmbiguous, CorrectionTargetMissing
from store.protocol import Action, Correction

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


def changes(corrections: Sequence[Correction], histories: Iterable[RowHistory]) -> list[AppliedCorrection]:
    """Return the changes that a batch makes, in order. Corrections that were applied before are left out.

    histories: all rows at the corrections' event times, in order of arrival; they are updated. If several
    equal rows match, the one that arrived last is changed. Raises `CorrectionTargetMissing` or
    `CorrectionAmbiguous` with all corrections at fault.
    """
    by_row = _RowHistories(histories)
    applied: list[AppliedCorrection] = []
    missing: list[int] = []
    ambiguous: list[int] = []
    for index, correction in enumerate(corrections):
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
    return applied


class _RowHistories:
    """Looks up row histories by event time and id, or by event time and the price and volume of any state."""

    def __init__(self, histories: Iterable[RowHistory]) -> None:
        self._by_id: dict[Hashable, list[RowHistory]] = defaultdict(list)
        self._by_values: dict[Hashable, dict[int, RowHistory]] = defaultdict(dict)
        for history in histories:
            first = history.states[0]
            self._by_id[first["timestamp"], first.get("trade_id")].append(history)
            for state in history.states:
                self._index(history, state)

    def candidates(self, correction: Correction) -> list[RowHistory]:
        """Return the rows to which a correction may refer, in order of arrival."""
        if correction.trade_id is not None:
            return self._by_id.get((correction.timestamp_ns, correction.trade_id), [])
        key = (correction.timestamp_ns, correction.price, correction.volume)
        return [history for _, history in sorted(self._by_values.get(key, {}).items())]

    def apply(self, history: RowHistory, action: Action, row: Row) -> None:
        history.apply(action, row)
        self._index(history, row)

    def _index(self, history: RowHistory, state: Row) -> None:
        key = (state["timestamp"], state.get("price"), state.get("volume"))
        self._by_values[key][history.arrival] = history


def _matches(state: Row, correction: Correction) -> bool:
    return all(state.get(name) == value for name, value in _identifying_values(correction))


def _identifying_values(correction: Correction) -> Iterator[tuple[str, object]]:
    for name in ("trade_id", "exchange", "price", "volume"):
        value = getattr(correction, name)
        if value is not None:
            yield name, value


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
