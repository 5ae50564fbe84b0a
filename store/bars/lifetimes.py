"""Values that stand from one commit until another: their extremes, sums and neighbours as of every commit at once.

Commits are numbered from 0 without gaps. No function has a loop over values or commits: the loops are over powers of
two of their number.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from store.arrays import Floats, Integers
from store.bars.exact_sums import ExactSums, combined, grid_parts

_Values = TypeVar("_Values", Floats, Integers)


class Lifetimes:
    """For each value, the instants `[first, behind)` at which it stands, at least one.

    instants: their number. Values of several bars may stand side by side: each bar has instants of its own.
    """

    def __init__(self, first: Integers, behind: Integers, instants: int) -> None:
        # A lifetime is covered by two blocks, which may overlap, of the longest power of two that fits.
        power = np.frexp((behind - first).astype(np.float64))[1].astype(np.int8) - np.int8(1)
        self._order = np.argsort(power, kind="stable")
        self._first, self._behind = first[self._order], behind[self._order]
        self._edges = power[self._order].searchsorted(np.arange(power.max(initial=0) + 2))
        self._instants = instants

    def extremes(self, ufunc: np.ufunc, values: _Values, nothing: float) -> _Values:
        """Return `np.minimum` or `np.maximum` of the values that stand at each instant; `nothing` without any."""
        values = values[self._order]
        extremes = np.full(self._instants, nothing, values.dtype)
        for power in range(len(self._edges) - 2, -1, -1):
            # Here each entry is of a block of `2 * length` instants, later of the instant alone.
            length, of_power = 1 << power, slice(self._edges[power], self._edges[power + 1])
            halves = extremes.copy()
            ufunc(extremes[length:], extremes[:-length], out=halves[length:])
            ufunc.at(halves, self._first[of_power], values[of_power])
            ufunc.at(halves, self._behind[of_power] - length, values[of_power])
            extremes = halves
        return extremes

    def sums(self, values: ExactSums) -> ExactSums:
        """Return the exact sums of the values that stand at each instant."""
        return combined([self.counts(part) for part in grid_parts(values.parts, 2 * len(values.total))])

    def counts(self, values: npt.NDArray[np.float64 | np.int64]) -> Floats:
        """Return the sums of the values that stand at each instant, which need no rounding."""
        values, size = values[self._order], self._instants + 1
        begun, ended = (np.bincount(each, values, size) for each in (self._first, self._behind))
        return np.cumsum(begun - ended)[:-1]


@dataclass(frozen=True, slots=True)
class _Block:
    """The items that stand throughout blocks of instants, all blocks being of one length, by block and position.

    keys: `block * width + position`, ascending, between two keys that no item has. items: their indices.
    """

    keys: Integers
    items: Integers


class StandingItems:
    """Items with positions, each of which stands at the instants `[first, behind)`, at least one.

    positions: their number. Queries are columns of positions and instants; no position has two items at one instant.
    """

    def __init__(self, position: Integers, first: Integers, behind: Integers, positions: int) -> None:
        # A segment tree over the instants: each lifetime is divided into blocks that begin at multiples of their length.
        self._width = positions + 1
        self._blocks: list[_Block] = []
        items = np.arange(len(position))
        while len(items):
            is_odd, is_odd_behind = first % 2 == 1, behind % 2 == 1
            block = np.concatenate([first[is_odd], behind[is_odd_behind] - 1])
            of_block = np.concatenate([items[is_odd], items[is_odd_behind]])
            keys = block * self._width + position[of_block]
            order = np.argsort(keys, kind="stable")
            self._blocks.append(_Block(np.concatenate([[-1], keys[order], [2**63 - 1]]), of_block[order]))
            first, behind = (first + 1) // 2, behind // 2
            is_left = first < behind
            items, first, behind = items[is_left], first[is_left], behind[is_left]

    def nearest_before(self, position: Integers, instant: Integers) -> Integers:
        """Return the position of the nearest item before each position; -1 if there is none."""
        nearest = np.full(len(position), -1)
        for power, block in enumerate(self._blocks):
            start = (instant >> power) * self._width
            key = block.keys[block.keys.searchsorted(start + position) - 1]
            nearest = np.where(key >= start, np.maximum(nearest, key - start), nearest)
        return nearest

    def nearest_from(self, position: Integers, instant: Integers) -> Integers:
        """Return the position of the nearest item at or after each position; the number of positions if there is none."""
        nearest = np.full(len(position), self._width - 1)
        for power, block in enumerate(self._blocks):
            start = (instant >> power) * self._width
            key = block.keys[block.keys.searchsorted(start + position)]
            nearest = np.where(key < start + self._width, np.minimum(nearest, key - start), nearest)
        return nearest

    def sums(
        self, columns: Sequence[Floats], position: Integers, end: Integers, instant: Integers
    ) -> list[Floats]:
        """Return, for each column of the items' values, the sums of those with positions in `[position, end)`.

        The values must need no rounding: any sum of twice as many values as there are items must be exact.
        """
        sums = [np.zeros(len(position)) for _ in columns]
        for power, block in enumerate(self._blocks):
            start = (instant >> power) * self._width
            first, behind = block.keys.searchsorted(start + position), block.keys.searchsorted(start + end)
            for index, values in enumerate(columns):
                before = np.concatenate([[0.0, 0.0], np.cumsum(values[block.items])])
                sums[index] += before[behind] - before[first]
        return sums
