"""Exact sums of float64, the same bit by bit however the values are ordered, split and merged.

An exact sum is three doubles: `total` is the correctly rounded sum (`math.fsum`), `total + middle + low` is
the sum itself. The three depend only on the sum's value. A sum of more than 159 bits, such as 1e15 + 1e-300,
is cut to three doubles; merging it with others may change the last bit of `total`.

A grid is the multiples of its step, a power of two. Each value is split into parts, one on each grid. The
parts on one grid are added without rounding if their sum is below 2^53 steps, so numpy may add them in any
order (Rump, Ogita, Oishi: "Accurate floating-point summation", SIAM J. Sci. Comput. 31, 2008). The grids' sums
are then combined by error-free additions (Knuth's two-sum).
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from store.arrays import Floats, Integers, Mask

_DIGITS = 53
_LARGEST_EXPONENT = 900
_SMALLEST_EXPONENT = -1074


@dataclass(frozen=True, slots=True)
class ExactSums:
    """Equally long columns: the rounded sums, and two columns with the rounding error."""

    total: Floats
    middle: Floats
    low: Floats

    @property
    def parts(self) -> tuple[Floats, Floats, Floats]:
        """The three columns."""
        return self.total, self.middle, self.low

    def __getitem__(self, part: slice | Integers | Mask) -> "ExactSums":
        return ExactSums(self.total[part], self.middle[part], self.low[part])


def exact_sums(values: Floats, starts: Integers) -> ExactSums:
    """Return the sum of each slice of `values`. A slice ends where the next one starts; none is empty."""
    return combined(_grid_sums([values], starts))


def merged_sums(sums: ExactSums, starts: Integers) -> ExactSums:
    """Return the sums of slices of exact sums."""
    return combined(_grid_sums(sums.parts, starts))


def grid_parts(parts: Sequence[Floats], count: int) -> Iterator[Floats]:
    """Yield arrays, each on a grid of its own, the coarsest first, whose sum is the sum of the parts.

    Any `count` values of one array can be added without rounding, in any order; `combined` adds the arrays.

    If a number is infinite or above 2^900 (the API stores neither), there is one array, whose sums are rounded.
    """
    remainders = [part for part in parts if part.any()] or list(parts[:1])
    carry_digits = max(2, (count * len(remainders) - 1).bit_length())
    while remainders:
        exponent = max(_exponent(part) for part in remainders)
        if exponent > _LARGEST_EXPONENT:
            yield sum(remainders[1:], remainders[0])
            return
        step = math.ldexp(1.0, max(exponent + carry_digits - _DIGITS, _SMALLEST_EXPONENT))
        cut = [_on_grid(part, step) for part in remainders]
        yield sum(cut[1:], cut[0])
        remainders = [remainder for remainder in map(np.subtract, remainders, cut) if remainder.any()]


def _grid_sums(parts: Sequence[Floats], starts: Integers) -> list[Floats]:
    """Return one array per grid: the sum of each slice's parts on that grid."""
    if not len(starts):
        return [np.empty(0)]
    longest = int(np.max(np.diff(starts, append=len(parts[0]))))
    return [np.add.reduceat(part, starts) for part in grid_parts(parts, longest)]


def _exponent(part: Floats) -> int:
    """Return the smallest e with |value| < 2^e for all values."""
    largest = max(float(part.max()), -float(part.min()))
    return math.frexp(largest)[1] if math.isfinite(largest) else _LARGEST_EXPONENT + 1


def _on_grid(part: Floats, step: float) -> Floats:
    """Return each value rounded to a multiple of `step`, a power of two. Values must be below 2^51 steps."""
    shift = 1.5 * 2.0**52 * step
    return (part + shift) - shift


def combined(components: list[Floats]) -> ExactSums:
    """Return the sums of equally long components as three doubles; smaller bits are dropped."""
    nothing = np.zeros(len(components[0]))
    if len(components) == 1:
        return ExactSums(components[0], nothing, nothing)
    if len(components) == 2:
        return ExactSums(*_two_sum(components[0], components[1]), nothing)
    total, *smaller = _leading(components)
    middle, *smaller = _leading(smaller)
    return ExactSums(total, middle, _leading(smaller)[0])


def _leading(components: list[Floats]) -> list[Floats]:
    """Return components with the same sums, of which the first is the correctly rounded sum."""
    while True:
        distilled = _distilled(components)
        if all(np.array_equal(a, b) for a, b in zip(components, distilled, strict=True)):
            return _tie_broken(components)
        components = distilled


def _distilled(components: list[Floats]) -> list[Floats]:
    """Add up from the last component to the first, without error; zeros move to the end."""
    carried = components[-1]
    errors = []
    for component in reversed(components[:-1]):
        carried, error = _two_sum(component, carried)
        errors.append(error)
    return [carried, *reversed(errors)]


def _tie_broken(components: list[Floats]) -> list[Floats]:
    """Return the components, with the first one rounded correctly where the rounding was a tie.

    It was a tie if the second component is half a unit in the last place of the first. If the third then has the
    second's sign, the exact sum is nearer to the first's neighbour, which replaces the first.
    """
    if len(components) < 3:
        return components
    first, second, third = components[:3]
    away = first + 2.0 * second
    more_than_half = (np.sign(second) * third > 0.0) & (away - first == 2.0 * second)
    components[0] = np.where(more_than_half, away, first)
    components[1] = np.where(more_than_half, -second, second)
    return components


def _two_sum(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    """Return the rounded sum and its exact rounding error (Knuth, The Art of Computer Programming, 4.2.2)."""
    total = a + b
    b_part = total - a
    return total, (a - (total - b_part)) + (b - b_part)
