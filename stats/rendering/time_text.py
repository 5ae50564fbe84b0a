"""Times and dates of whole columns as text."""

import pyarrow as pa

from stats.rendering.document import TimeForm
from store.arrays import Mask
from store.lazy_imports import compute as pc
from store.text_columns import Piece
from store.timestamps import SECOND_NS, Instants, fixed_width_text, seconds_text

_NS_OF = {TimeForm.MS: 1_000_000, TimeForm.NS: 1}


def unit_ns(form: TimeForm) -> int:
    """Nanoseconds in the unit of a form that writes integers."""
    return _NS_OF[form]


def time_text(instants: Instants) -> pa.Array:
    """RFC 3339 in UTC, with as many fractional digits as needed."""
    return pc.binary_join_element_wise(*time_pieces(instants, "", "Z"), "")


def time_pieces(instants: Instants, before: str, end: str, *, always_point: bool = False) -> list[Piece]:
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
    """The texts with a zero behind the point of whole seconds."""
    return pc.if_else(pa.array(in_seconds), pc.binary_join_element_wise(text, "0", ""), text)


def dates(days: pa.Array) -> pa.Array:
    """Days since 1970-01-01 as Arrow's dates."""
    return days.cast(pa.int32()).cast(pa.date32())
