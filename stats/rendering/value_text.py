"""Converts columns of numbers and times to text."""

from collections.abc import Callable
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from stats.rendering.format import TimeForm
from stats.rendering.table import ColumnRole, OutColumn
from store.arrays import Floats, Mask
from store.declarations import WORD_SEPARATOR
from store.lazy_imports import compute as pc
from store.text_columns import TextPiece, are_exact_integers, ended_numbers
from store.timestamps import SECOND_NS, Instants, fixed_width_text, format_timestamp, seconds_text

_INTEGERS_END = 2.0**63
_EPOCH_DAY = date(1970, 1, 1).toordinal()


def floats(values: pa.Array) -> Floats:
    """Return the values, with NaN for null."""
    return values.to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]


def integer_mask(numbers: Floats) -> Mask:
    """Return which numbers are integers that fit into 64 bits."""
    is_integer: Mask = numbers == np.floor(numbers)
    return is_integer & (np.abs(numbers) < _INTEGERS_END)


def listable(column: OutColumn, values: pa.Array, form: TimeForm) -> npt.NDArray[Any] | None:
    """Return a column's values as an array that `orjson` writes in the column's form; None if there is none."""
    match column.role:
        case ColumnRole.NUMBER:
            return floats(values)
        case ColumnRole.VOLUME:
            return _listable_volumes(floats(values), is_integer=column.is_integer)
        case ColumnRole.INTEGER if not values.null_count:
            return values.to_numpy()  # type: ignore[no-any-return]
        case ColumnRole.TIME if not values.null_count:
            return _listable_times(values.to_numpy(), form)
    return None


def _listable_volumes(volumes: Floats, *, is_integer: bool) -> npt.NDArray[Any] | None:
    if not is_integer:
        return volumes
    return volumes.astype(np.int64) if are_exact_integers(volumes) else None


def _listable_times(instants: Instants, form: TimeForm) -> npt.NDArray[Any] | None:
    if form is not TimeForm.RFC3339:
        return instants // unit_ns(form)
    seconds = instants // SECOND_NS
    # Bars begin at whole seconds, except the bars of single instants.
    return seconds.view("datetime64[s]") if np.array_equal(seconds * SECOND_NS, instants) else None


def json_values(column: OutColumn, values: pa.Array, form: TimeForm) -> list[Any]:
    """Return a column's values in the form in which `orjson` writes them."""
    if column.role is ColumnRole.TIME and form is TimeForm.RFC3339 and not values.null_count:
        return _times(values.to_numpy())
    if values.null_count == len(values):
        return [None] * len(values)
    cells: list[Any] = values.to_pylist()
    convert: Callable[[Any], Any] | None = None
    match column.role:
        case ColumnRole.TIME:
            unit = None if form is TimeForm.RFC3339 else unit_ns(form)
            convert = format_timestamp if unit is None else unit.__rfloordiv__
        case ColumnRole.DATE:
            convert = _date_text
        case ColumnRole.VOLUME if column.is_integer:
            convert = _integer_if_whole
        case ColumnRole.WORDS:
            convert = words
    return cells if convert is None else [None if value is None else convert(value) for value in cells]


def _times(instants: Instants) -> list[str]:
    """Return the same as `format_timestamp` of each."""
    texts = np.datetime_as_string(instants.view("datetime64[ns]"))
    return [text.rstrip("0").rstrip(".") + "Z" for text in texts.tolist()]


def _date_text(day: int) -> str:
    return date.fromordinal(_EPOCH_DAY + day).isoformat()


def _integer_if_whole(number: float) -> float | int:
    return int(number) if number.is_integer() and abs(number) < _INTEGERS_END else number


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
