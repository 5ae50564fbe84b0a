"""Numbers of several columns of a file, added."""

from collections.abc import Sequence
from decimal import Decimal

import numpy as np
import pyarrow as pa

from store.arrays import Floats
from trades.batches.validation import TypedColumn


def summed_columns(parts: Sequence[TypedColumn]) -> TypedColumn:
    """Return the sums of columns of numbers, row by row; null where a part is null. A part's faults are the sum's."""
    is_null = np.logical_or.reduce([part.values.is_null().to_numpy(zero_copy_only=False) for part in parts])
    numbers = [part.values.fill_null(0).to_numpy(zero_copy_only=False) for part in parts]
    sums = pa.array(_sums(numbers), pa.float64(), mask=is_null)
    return TypedColumn(sums, [fault for part in parts for fault in part.faults])


def _sums(numbers: Sequence[Floats]) -> Floats:
    """Return sums of decimal numbers: 0.1 + 0.2 is 0.3. Numbers with a fraction take some microseconds each."""
    sums: Floats = np.add.reduce(numbers)
    has_fraction = np.logical_or.reduce([each != np.floor(each) for each in numbers])
    for row in np.flatnonzero(has_fraction & np.isfinite(sums)).tolist():
        sums[row] = float(sum(Decimal(repr(float(each[row]))) for each in numbers))
    return sums
