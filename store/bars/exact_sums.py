"""Sums of float64 without rounding: the same to the last bit in any order, any split and any merge tree.

An exact sum is kept as three doubles, each the rest of the ones before it, rounded once: `total` is the
correctly rounded sum (`math.fsum`), `total + middle + low` the sum itself. The three depend on the sum's
value alone.

The values are cut onto common grids, powers of two: what of them lies on one grid adds up without rounding as
long as the sum stays below 2^53 steps of it, so numpy may add it in any order (the extraction of Rump, Ogita
and Oishi, "Accurate floating-point summation", SIAM J. Sci. Comput. 31, 2008). The sums of the few grids are
then brought into the three doubles by error-free additions (Knuth's two-sum), slices side by side.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from store.arrays import Floats, Integers, Mask

_DIGITS = 53
_LARGEST_EXPONENT = 900
_SMALLEST_EXPONENT = -1074


class Unmergeable(Exception):
    """A sum that three doubles cannot hold, such as 1e15 beside 1e-300: read the rows and use `math.fsum`."""


@dataclass(frozen=True, slots=True)
class ExactSums:
    """Equally long columns: the sums rounded once, and what the rounding left."""

    total: Floats
    middle: Floats
    low: Floats

    def __getitem__(self, part: slice | Integers | Mask) -> "ExactSums":
        return ExactSums(self.total[part], self.middle[part], self.low[part])


def exact_sums(values: Floats, starts: Integers) -> ExactSums:
    """The sum of each slice of finite `values`; a slice ends where the next one starts, none is empty.

    Raises `Unmergeable`.
    """
    return _renormalised(_grid_sums([values], starts))


def merged_sums(sums: ExactSums, starts: Integers) -> ExactSums:
    """The sums of slices of sums. Raises `Unmergeable`."""
    parts = [part for part in (sums.total, sums.middle, sums.low) if part.any()]
    return _renormalised(_grid_sums(parts or [sums.total], starts))


def rounded_sums(values: Floats, starts: Integers) -> ExactSums:
    """The sum of each slice rounded once, whatever the values' range; not to be merged, the rest is lost."""
    ends = np.append(starts[1:], len(values))[: len(starts)]
    total = np.array([math.fsum(values[a:b]) for a, b in zip(starts, ends, strict=True)], dtype=np.float64)
    nothing = np.zeros(len(starts))
    return ExactSums(total, nothing, nothing)


def _grid_sums(parts: Sequence[Floats], starts: Integers) -> list[Floats]:
    """For each grid, the coarsest first, the slices' sums on it; the sums of all grids together are exact."""
    if not len(starts):
        return [np.empty(0)]
    longest = int(np.max(np.diff(starts, append=len(parts[0])))) * len(parts)
    carry_digits = max(2, (longest - 1).bit_length())
    sums = []
    rest = list(parts)
    while rest:
        exponent = max(_exponent(part) for part in rest)
        step = math.ldexp(1.0, max(exponent + carry_digits - _DIGITS, _SMALLEST_EXPONENT))
        cut = [_on_grid(part, step) for part in rest]
        sums.append(np.add.reduceat(sum(cut[1:], cut[0]), starts))
        rest = [left for left in map(np.subtract, rest, cut) if left.any()]
    return sums


def _exponent(part: Floats) -> int:
    """The smallest e with |value| < 2^e for all values."""
    largest = max(float(part.max()), -float(part.min()))
    exponent = math.frexp(largest)[1]
    if not math.isfinite(largest) or exponent > _LARGEST_EXPONENT:
        raise Unmergeable
    return exponent


def _on_grid(part: Floats, step: float) -> Floats:
    """Each value rounded to a multiple of `step`, a power of two; exact below 2^51 steps."""
    shift = 1.5 * 2.0**52 * step
    return (part + shift) - shift


def _renormalised(components: list[Floats]) -> ExactSums:
    """The three doubles of the sums of equally long components."""
    nothing = np.zeros(len(components[0]))
    if len(components) == 1:
        return ExactSums(components[0], nothing, nothing)
    if len(components) == 2:
        return ExactSums(*_two_sum(components[0], components[1]), nothing)
    total, *rest = _leading(components)
    middle, *rest = _leading(rest)
    low, *rest = _leading(rest)
    if any(left.any() for left in rest):
        raise Unmergeable
    return ExactSums(total, middle, low)


def _leading(components: list[Floats]) -> list[Floats]:
    """The same sums with the correctly rounded sum in front."""
    while True:
        distilled = _distilled(components)
        if all(np.array_equal(a, b) for a, b in zip(components, distilled, strict=True)):
            return _tie_broken(components)
        components = distilled


def _distilled(components: list[Floats]) -> list[Floats]:
    """One pass of error-free additions from the last component up; zeros sink to the end."""
    carried = components[-1]
    rest = []
    for component in reversed(components[:-1]):
        carried, left = _two_sum(component, carried)
        rest.append(left)
    return [carried, *reversed(rest)]


def _tie_broken(components: list[Floats]) -> list[Floats]:
    """Half a unit in the second component rounds away where the third says that it is more than half."""
    if len(components) < 3:
        return components
    first, second, third = components[:3]
    away = first + 2.0 * second
    more_than_half = (np.sign(second) * third > 0.0) & (away - first == 2.0 * second)
    components[0] = np.where(more_than_half, away, first)
    components[1] = np.where(more_than_half, -second, second)
    return components


def _two_sum(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    """The rounded sum and the rounding error, exactly (Knuth, The Art of Computer Programming, 4.2.2)."""
    total = a + b
    b_part = total - a
    return total, (a - (total - b_part)) + (b - b_part)
