"""Why an option has no implied volatility at an instant, as a column of small codes and as words."""

from enum import StrEnum
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Codes: TypeAlias = npt.NDArray[np.int8]

SOLVED = 0


class Reason(StrEnum):
    """What stands in the way, in the order in which it is looked for.

    expired: the last-trade instant is reached. no_quote, one_sided: there is no bid and no ask, or only one
    of them. no_underlying: neither a price of the underlying nor a forward is known. below_intrinsic: the
    price is at or below what the option is worth without any volatility. above_maximum: at or above what it
    is worth with all of it. no_solution: an input is out of the model's range, or its equations found no
    volatility.
    """

    EXPIRED = "expired"
    NO_QUOTE = "no_quote"
    ONE_SIDED = "one_sided"
    NO_UNDERLYING = "no_underlying"
    BELOW_INTRINSIC = "below_intrinsic"
    ABOVE_MAXIMUM = "above_maximum"
    NO_SOLUTION = "no_solution"

    @property
    def code(self) -> int:
        """Its number in a column; `SOLVED` is none of them."""
        return _ORDER.index(self) + 1


_ORDER = tuple(Reason)


def mark(codes: Codes, where: npt.NDArray[np.bool_], reason: Reason) -> None:
    """Write a reason, in place, into the rows that have none yet."""
    codes[where & (codes == SOLVED)] = reason.code


def words(codes: Codes) -> pa.Array:
    """The column as text; null where there is no reason."""
    known = pa.array([None, *map(str, _ORDER)], pa.string())
    return known.take(pa.array(codes))
