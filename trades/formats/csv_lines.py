"""Names the lines of a CSV body in the errors of its rows."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from store.arrays import Integers
from trades.exceptions import BatchRefused
from web.requests.exceptions import FieldError

_ROW = re.compile(r"\w+\[(\d+)\]")
_PIECE_BYTES = 2**18
_FEED, _RETURN, _QUOTE = b'\n\r"'

Bytes: TypeAlias = np.ndarray[tuple[int], np.dtype[np.uint8]]


@dataclass(frozen=True, slots=True)
class _Place:
    """A place between two bytes of a body. is_row_end: whether the byte before it ends a row."""

    line: int = 1
    is_row_end: bool = True
    is_quoted: bool = False


@contextmanager
def lines_named(body: bytes) -> Iterator[None]:
    """Add the line to each row's error in a `BatchRefused`.

    Lines are counted as in an editor: the header is line 1, and empty lines and line ends in quoted cells count. A row
    of several lines has the first one's number.
    """
    try:
        yield
    except BatchRefused as error:
        rows = [_row_of(each) for each in error.errors]
        last = max((row for row in rows if row is not None), default=-1)
        lines = line_numbers(body, last + 1)
        if not 0 <= last < len(lines):
            raise
        named = [
            each if row is None else FieldError(each.path, each.code, f"line {lines[row]}: {each.message}")
            for row, each in zip(rows, error.errors, strict=True)
        ]
        first = "" if rows[0] is None else f"line {lines[rows[0]]}: "
        raise BatchRefused(error.code, f"{first}{error}", named) from error


def _row_of(error: FieldError) -> int | None:
    match = _ROW.match(error.path)
    return None if match is None else int(match[1])


def line_numbers(body: bytes, count: int) -> list[int]:
    """Return the number of the first line of each of the first `count` rows; fewer if the body has fewer.

    Quotation marks must enclose whole cells. A body of empty lines has no rows but the header.
    """
    found = [np.zeros(0, np.int64)]
    place, rows = _Place(), -1
    for start in range(0, len(body), _PIECE_BYTES):
        if rows >= count:
            break
        # The last byte shows whether \r\n ends a line here or in the next piece.
        piece = body[start : start + _PIECE_BYTES + 1].ljust(_PIECE_BYTES + 1, b"\n")
        numbers, place = _lines_of_rows(np.frombuffer(piece, np.uint8), place)
        found.append(numbers)
        rows += len(numbers)
    lines: list[int] = np.concatenate(found)[1 : count + 1].tolist()
    return lines


def _lines_of_rows(piece: Bytes, place: _Place) -> tuple[Integers, _Place]:
    """Return the line number of each row that begins in a piece but for its last byte, and the place after it."""
    text, following = piece[:-1], piece[1:]
    is_feed = text == _FEED
    is_break = is_feed | (text == _RETURN)
    is_line_end = is_feed | (is_break & (following != _FEED))
    is_row_end, is_quoted = is_line_end, place.is_quoted
    is_quote = text == _QUOTE
    if is_quoted or is_quote.any():
        is_inside = np.logical_xor.accumulate(is_quote) ^ is_quoted
        is_row_end, is_quoted = is_line_end & ~is_inside, bool(is_inside[-1])
    is_start = ~is_break
    is_start[0] &= place.is_row_end
    is_start[1:] &= is_row_end[:-1]
    starts = np.flatnonzero(is_start)
    numbers = place.line + np.cumsum(is_line_end, dtype=np.int32)[starts] if len(starts) else starts
    line = place.line + int(np.count_nonzero(is_line_end))
    return numbers.astype(np.int64), _Place(line, bool(is_row_end[-1]), is_quoted)
