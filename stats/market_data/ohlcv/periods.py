"""Periods of time, as columns."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import numpy as np

from store.arrays import Integers, Mask
from store.protocol import Window


@dataclass(frozen=True, slots=True)
class Periods:
    """Disjoint periods, ascending, nanoseconds UTC. No two of them touch."""

    start_ns: Integers
    end_ns: Integers

    @classmethod
    def of(cls, windows: Iterable[Window]) -> Self:
        """Return the instants that are in any of the windows."""
        ordered = np.array(sorted((each.start_ns, each.end_ns) for each in windows), dtype=np.int64)
        starts, ends = ordered.reshape(-1, 2).T
        reach = np.maximum.accumulate(ends) if len(ends) else ends
        is_first = np.append(True, starts[1:] > reach[:-1])[: len(starts)]
        is_last = np.append(is_first[1:], True)[: len(starts)]
        return cls(starts[is_first], reach[is_last])

    def cover(self, starts: Integers, ends: Integers) -> Mask:
        """Return which intervals lie within one of the periods."""
        index = np.searchsorted(self.start_ns, starts, side="right") - 1
        reach = np.append(self.end_ns, np.iinfo(np.int64).min)[index]
        covered: Mask = ends <= reach
        return covered
