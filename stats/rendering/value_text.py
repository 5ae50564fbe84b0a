"""Converts columns of numbers and times to text."""

import numpy as np
import pyarrow as pa

from stats.rendering.format import TimeForm
from store.arrays import Floats, Mask
from store.declarations import WORD_SEPARATOR
from store.lazy_imports import compute as pc
from store.text_columns import TextPiece, are_exact_integers, ended_numbers
from store.timestamps import SECOND_NS, Instants, fixed_width_text, seconds_text

_INTEGERS_END = 2.0**63


def floats(values: pa.Array) -> Floats:
    """Return the values, with NaN for null."""
    return values.to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]


def integer_mask(numbers: Floats) -> Mask:
    """Return which numbers are integers that fit into 64 bits."""
    is_integer: Mask = numbers == np.floor(numbers)
    return is_integer & (np.abs(numbers) < _INTEGERS_END)


def ended_volumes(numbers: Floats, end: str) -> pa.Array:
    """Return each number's text followed by the ASCII character `end`. Integers have no decimal point.

    NaN and infinity give `null`.
    """
    if are_exact_integers(numbers):
        return ended_numbers(numbers.astype(np.int64), end)
    is_integer = integer_mask(numbers)
    integers = ended_numbers(np.where(is_integer, numbers, 0).astype(np.int64), end)
    return pc.if_else(pa.array(is_integer), integers, ended_numbers(numbers, end))


def ended_integers(values: pa.Array, *, null: str, end: str, unit: int = 1) -> pa.Array:
    """Return the text of each integer, floor-divided by `unit`, or `null`; followed by the ASCII character `end`."""
    numbers = values.fill_null(0).to_numpy()
    text = ended_numbers(numbers if unit == 1 else numbers // unit, end)
    return pc.if_else(values.is_null(), null + end, text) if values.null_count else text


_UNIT_NS = {TimeForm.MS: 1_000_000, TimeForm.NS: 1}


def unit_ns(form: TimeForm) -> int:
    """Return the nanoseconds per unit of a form; not for RFC3339."""
    return _UNIT_NS[form]


def time_text(instants: Instants) -> pa.Array:
    """Return times as RFC 3339 text in UTC, with as many fractional digits as needed."""
    return pc.binary_join_element_wise(*time_pieces(instants, "", "Z"), "")


def time_pieces(instants: Instants, before: str, end: str, *, always_point: bool = False) -> list[TextPiece]:
    """Return times as pieces of RFC 3339 text in UTC without the `Z`, between the ASCII texts `before` and `end`.

    They have as many fractional digits as needed; with `always_point` at least one, because some readers infer a
    column's format from its first cell.
    """
    is_whole_second = instants // SECOND_NS * SECOND_NS == instants
    if is_whole_second.all():
        return [seconds_text(instants, before, f".0{end}" if always_point else end)]
    trimmed = pc.ascii_rtrim(fixed_width_text(instants), characters="0Z")  # a whole second keeps its point
    if is_whole_second.any():
        trimmed = (
            _with_point(trimmed, is_whole_second) if always_point else pc.ascii_rtrim(trimmed, characters=".")
        )
    return [before, trimmed, end]


def _with_point(text: pa.Array, is_whole_second: Mask) -> pa.Array:
    """Return the texts, with a zero after the point of whole seconds."""
    return pc.if_else(pa.array(is_whole_second), pc.binary_join_element_wise(text, "0", ""), text)


def words(text: str) -> list[str]:
    """Return the words of a WORDS value."""
    return text.split(WORD_SEPARATOR) if text else []


def dates(days: pa.Array) -> pa.Array:
    """Return days since 1970-01-01 as Arrow dates."""
    return days.cast(pa.int32()).cast(pa.date32())
