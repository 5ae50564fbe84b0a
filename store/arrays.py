"""The types of numpy columns, and functions of them."""

from collections.abc import Callable, Sequence
from dataclasses import fields
from operator import getitem
from typing import Any, ClassVar, Self, TypeAlias, cast

import numpy as np
import numpy.typing as npt

Integers: TypeAlias = npt.NDArray[np.int64]
Floats: TypeAlias = npt.NDArray[np.float64]
Mask: TypeAlias = npt.NDArray[np.bool_]


class EqualColumns:
    """Equally long columns: a base of frozen dataclasses with slots, all fields of which are columns."""

    __slots__: ClassVar[tuple[str, ...]] = ()

    def __len__(self) -> int:
        return len(getattr(self, self.__slots__[0]))

    def __getitem__(self, part: slice | Integers | Mask) -> Self:
        """Return some of the rows."""
        is_taken = isinstance(part, np.ndarray) and part.dtype != np.bool_
        take: Callable[[Any, Any], Any] = _taken if is_taken else getitem
        return cast("Any", type(self))(*(take(getattr(self, name), part) for name in self.__slots__))  # type: ignore[no-any-return]

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Return the rows of the parts one after the other."""
        if len(parts) == 1:
            return parts[0]
        if parts:
            columns = (np.concatenate([getattr(part, name) for part in parts]) for name in cls.__slots__)
            return cast("Any", cls)(*columns)  # type: ignore[no-any-return]
        types = (each.type for each in fields(cast("Any", cls)))
        empty = (np.empty(0, np.int64 if each in (Integers, "Integers") else np.float64) for each in types)
        return cast("Any", cls)(*empty)  # type: ignore[no-any-return]


def _taken(column: Any, indices: Integers) -> Any:
    """Return the values at some indices; ten times as fast as indexing.

    A broadcast column (one repeated value) is not expanded.
    """
    if not isinstance(column, np.ndarray):
        return column[indices]
    if column.strides == (0,) and len(column):
        return np.broadcast_to(column[0], len(indices))
    return column.take(indices)


# More equal values than this are searched for.
_FEW = 2


def is_among(values: Integers, ascending: Integers) -> Mask:
    """Return which values are among ascending ones; `np.isin` without sorting."""
    if not len(ascending):
        return np.zeros(len(values), np.bool_)
    places = np.minimum(ascending.searchsorted(values), len(ascending) - 1)
    found: Mask = ascending[places] == values
    return found


def distinct(values: Integers) -> Integers:
    """Return the distinct values, ascending; `np.unique`, but faster if they are nearly in order."""
    ordered = np.sort(values)
    return ordered[np.append(True, ordered[1:] != ordered[:-1])] if len(ordered) else ordered


def indices_of_ranges(starts: Integers, ends: Integers) -> Integers:
    """Return the indices in all ranges `[start, end)`, one range after the other."""
    counts = ends - starts
    return np.repeat(starts - (np.cumsum(counts) - counts), counts) + np.arange(counts.sum())


def ranges_of(ascending: Integers, values: Integers) -> tuple[Integers, Integers]:
    """Return the start and the end of each value's range among ascending ones; faster than two searches if few repeat."""
    starts = ascending.searchsorted(values)
    ends = starts.copy()
    found = np.flatnonzero(starts < len(ascending))
    for _ in range(_FEW):
        found = found[ascending[ends[found]] == values[found]]
        ends[found] += 1
        found = found[ends[found] < len(ascending)]
    ends[found] = ascending.searchsorted(values[found], "right")
    return starts, ends
