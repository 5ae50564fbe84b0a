"""The types of numpy columns."""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Integers: TypeAlias = npt.NDArray[np.int64]
Floats: TypeAlias = npt.NDArray[np.float64]
Mask: TypeAlias = npt.NDArray[np.bool_]


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
