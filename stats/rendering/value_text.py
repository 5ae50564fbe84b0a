"""Converts columns of numbers and times to text."""

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
    """Each number's text followed by the ASCII character `end`. Integers have no decimal point.

    NaN and infinity give `null`.
    """
    if are_exact_integers(numbers):
        return ended_numbers(numbers.astype(np.int64), end)
    is_whole = whole_mask(numbers)
    whole = ended_numbers(np.where(is_whole, numbers, 0).astype(np.int64), end)
    return pc.if_else(pa.array(is_whole), whole, ended_numbers(numbers, end))


def ended_integers(values: pa.Array, *, null: str, end: str, unit: int = 1) -> pa.Array:
    """The text of each integer, floor-divided by `unit`, or `null`; followed by the ASCII character `end`."""
    numbers = values.fill_null(0).to_numpy()
    text = ended_numbers(numbers if unit == 1 else numbers // unit, end)
    return pc.if_else(values.is_null(), null + end, text) if values.null_count else text


_NS_OF = {TimeForm.MS: 1_000_000, TimeForm.NS: 1}


def unit_ns(form: TimeForm) -> int:
    """Nanoseconds per unit of a form; not for RFC3339."""
    return _NS_OF[form]


def time_text(instants: Instants) -> pa.Array:
    """Times as RFC 3339 text in UTC, with as many fractional digits as needed."""
    return pc.binary_join_element_wise(*time_pieces(instants, "", "Z"), "")


def time_pieces(instants: Instants, before: str, end: str, *, always_point: bool = False) -> list[TextPiece]:
    """Times as pieces of RFC 3339 text in UTC without the `Z`, between the ASCII texts `before` and `end`.

    They have as many fractional digits as needed; with `always_point` at least one, because some readers infer a
    column's format from its first cell.
    """
    in_seconds = instants // SECOND_NS * SECOND_NS == instants
    if in_seconds.all():
        return [seconds_text(instants, before, f".0{end}" if always_point else end)]
    trimmed = pc.ascii_rtrim(fixed_width_text(instants), characters="0Z")  # a whole second keeps its point
    if in_seconds.any():
        trimmed = _pointed(trimmed, in_seconds) if always_point else pc.ascii_rtrim(trimmed, characters=".")
    return [before, trimmed, end]


def _pointed(text: pa.Array, in_seconds: Mask) -> pa.Array:
    """The texts, with a zero after the point of whole seconds."""
    return pc.if_else(pa.array(in_seconds), pc.binary_join_element_wise(text, "0", ""), text)


def dates(days: pa.Array) -> pa.Array:
    """Days since 1970-01-01 as Arrow dates."""
    return days.cast(pa.int32()).cast(pa.date32())
