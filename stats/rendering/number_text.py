"""Numbers of whole columns, ready to be written."""

import numpy as np
import pyarrow as pa

from store.arrays import Floats, Mask
from store.lazy_imports import compute as pc
from store.text_columns import are_plainly_whole, ended_numbers

_INTEGERS_END = 2.0**63


def floats(values: pa.Array) -> Floats:
    """The values with NaN for null."""
    return values.to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]


def whole_mask(numbers: Floats) -> Mask:
    """Which of the numbers are whole and fit into 64 bits."""
    is_whole: Mask = numbers == np.floor(numbers)
    return is_whole & (np.abs(numbers) < _INTEGERS_END)


def ended_volumes(numbers: Floats, end: str) -> pa.Array:
    """Each number's text with the ASCII character `end` behind it: whole ones as integers, a fraction exactly.

    `null` for what is not finite.
    """
    if are_plainly_whole(numbers):
        return ended_numbers(numbers.astype(np.int64), end)
    is_whole = whole_mask(numbers)
    whole = ended_numbers(np.where(is_whole, numbers, 0).astype(np.int64), end)
    return pc.if_else(pa.array(is_whole), whole, ended_numbers(numbers, end))


def ended_integers(values: pa.Array, *, null: str, end: str, unit: int = 1) -> pa.Array:
    """Each integer's text, in a multiple of `unit` and floored, with the ASCII character `end` behind it."""
    numbers = values.fill_null(0).to_numpy()
    text = ended_numbers(numbers if unit == 1 else numbers // unit, end)
    return pc.if_else(values.is_null(), null + end, text) if values.null_count else text
