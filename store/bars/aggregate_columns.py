"""Aggregates of prints per interval: what rollups hold and what bars are made of."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from store.arrays import Floats, Integers, Mask
from store.bars.exact_sums import ExactSums

AFTER_ALL = 2**63 - 1
BEFORE_ALL = -(2**63)


@dataclass(frozen=True, slots=True)
class Aggregates:
    """Equally long columns, one row per interval that has any row, ascending; mergeable without the prints.

    time: start of the interval, nanoseconds UTC. first_*, last_*: keys of the prints that set open and close;
    `AFTER_ALL` and `BEFORE_ALL` where none does. open, high, low, close: NaN where no print sets them.
    volume, notional: exact sums rounded once, `_mid` and `_low` what the rounding left. price_count: prints
    that set open and close. trade_count: prints that count in the volume. newest: the newest commit that
    touched a row of the interval. An interval of which no row stands stays, as a tombstone with counts of 0.
    Volume is not credited to another interval.
    """

    time: Integers
    first_time: Integers
    first_sequence: Integers
    first_arrival: Integers
    open: Floats
    last_time: Integers
    last_sequence: Integers
    last_arrival: Integers
    close: Floats
    high: Floats
    low: Floats
    volume: Floats
    volume_mid: Floats
    volume_low: Floats
    notional: Floats
    notional_mid: Floats
    notional_low: Floats
    price_count: Integers
    trade_count: Integers
    newest: Integers

    def __len__(self) -> int:
        return len(self.time)

    def __getitem__(self, part: slice | Integers | Mask) -> "Aggregates":
        if isinstance(part, np.ndarray) and part.dtype != np.bool_:
            return Aggregates(*(_taken(getattr(self, name), part) for name in COLUMNS))
        return Aggregates(*(getattr(self, name)[part] for name in COLUMNS))

    @property
    def volume_sums(self) -> ExactSums:
        """The exact volumes."""
        return ExactSums(self.volume, self.volume_mid, self.volume_low)

    @property
    def notional_sums(self) -> ExactSums:
        """The exact notionals."""
        return ExactSums(self.notional, self.notional_mid, self.notional_low)


COLUMNS: dict[str, npt.DTypeLike] = {
    field.name: np.int64 if field.type is Integers else np.float64 for field in fields(Aggregates)
}


def _taken(column: npt.NDArray[Any], places: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The values at some places, ten times as fast as by indexing.

    A column of one value stays so: it is not written out.
    """
    if column.strides == (0,) and len(column):
        return np.broadcast_to(column[0], len(places))
    return column.take(places)


def frozen(aggregates: Aggregates) -> Aggregates:
    """The same, whose columns nobody can change: for what is kept and shared."""
    for name in COLUMNS:
        getattr(aggregates, name).flags.writeable = False
    return aggregates


def concatenated(parts: Sequence[Aggregates]) -> Aggregates:
    """The rows of the parts behind each other, as they are."""
    if len(parts) == 1:
        return parts[0]
    if not parts:
        return Aggregates(*(np.empty(0, dtype) for dtype in COLUMNS.values()))
    return Aggregates(*(np.concatenate([getattr(part, name) for part in parts]) for name in COLUMNS))
