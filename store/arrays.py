"""The types of numpy columns."""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Integers: TypeAlias = npt.NDArray[np.int64]
Floats: TypeAlias = npt.NDArray[np.float64]
Mask: TypeAlias = npt.NDArray[np.bool_]


def is_among(values: Integers, ascending: Integers) -> Mask:
    """Return which values are among ascending ones; `np.isin` without sorting."""
    if not len(ascending):
        return np.zeros(len(values), np.bool_)
    places = np.minimum(ascending.searchsorted(values), len(ascending) - 1)
    found: Mask = ascending[places] == values
    return found
