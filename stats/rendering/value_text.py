"""Text of whole columns of numbers and times."""

import numpy as np
import pyarrow as pa

from stats.rendering.format import TimeForm
from store.arrays import Floats, Mask
from store.lazy_imports import compute as pc
from store.text_columns import TextPiece, are_exact_integers, ended_numbers
from store.timestamps import SECOND_NS, Instants, fixed_width_text, seconds_text

_INTEGERS_END = 2.0**63


def floats(values: pa.Array) -> Floats:
    """The values, with NaN for null."""
    return values.to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]


def whole_mask(numbers: Floats) -> Mask:
    """Which numbers are integers that fit into 64 bits."""
    is_whole: Mask = numbers == np.floor(numbers)
    return is_whole & (np.abs(numbers) < _INTEGERS_END)


def ended_volumes(numbers: Floats, end: str) -> pa.Array:
    """Each number's text followed by the ASCII character `end`: integers without a point, fractions exactly.

    `null` for non-finite numbers.
    """
    if are_exact_integers(numbers):
        return ended_numbers(numbers.astype(np.int64), end)
    is_whole = whole_mask(numbers)
    whole = ended_numbers(np.where(is_whole, numbers, 0).astype(np.int64), end)
    return pc.if_else(pa.array(is_whole), whole, ended_numbers(numbers, end))


def ended_integers(values: pa.Array, *, null: str, end: str, unit: int = 1) -> pa.Array:
    """Each integer's text, floor-divided by `unit`, followed by the ASCII character `end`."""
    numbers = values.fill_null(0).to_numpy()
    text = ended_numbers(numbers if unit == 1 else numbers // unit, end)
    return pc.if_else(values.is_null(), null + end, text) if values.null_count else text


_NS_OF = {TimeForm.MS: 1_000_000, TimeForm.NS: 1}


def unit_ns(form: TimeForm) -> int:
    """Nanoseconds per unit of a form that writes integers."""
    return _NS_OF[form]


def time_text(instants: Instants) -> pa.Array:
    """RFC 3339 in UTC, with as many fractional digits as needed."""
    return pc.binary_join_element_wise(*time_pieces(instants, "", "Z"), "")


def time_pieces(instants: Instants, before: str, end: str, *, always_point: bool = False) -> list[TextPiece]:
    """RFC 3339 in UTC without the `Z`, with as many fractional digits as needed, between the ASCII `before` and `end`.

    With `always_point` at least one digit: readers that guess a column's format from its first cell want all
    of them to have a fraction or none.
    """
    in_seconds = instants // SECOND_NS * SECOND_NS == instants
    if in_seconds.all():
        return [seconds_text(instants, before, f".0{end}" if always_point else end)]
    trimmed = pc.ascii_rtrim(
        fixed_width_text(instants), characters="0Z"
    )  # of a whole second: up to the point
    if in_seconds.any():
        trimmed = _pointed(trimmed, in_seconds) if always_point else pc.ascii_rtrim(trimmed, characters=".")
    return [before, trimmed, end]


def _pointed(text: pa.Array, in_seconds: Mask) -> pa.Array:
    """The texts, with a zero behind the point of whole seconds."""
    return pc.if_else(pa.array(in_seconds), pc.binary_join_element_wise(text, "0", ""), text)


def dates(days: pa.Array) -> pa.Array:
    """Days since 1970-01-01 as Arrow dates."""
    return days.cast(pa.int32()).cast(pa.date32())
