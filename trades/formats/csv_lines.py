"""Names the lines of a CSV body in the errors of its rows."""

import csv
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from http_requests.exceptions import FieldError
from trades.exceptions import BatchRefused

_ROW = re.compile(r"\w+\[(\d+)\]")


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
    """Return the number of the first line of each of the first `count` rows; fewer if the body has fewer."""
    reader = csv.reader(io.StringIO(body.decode(errors="replace"), newline=""))
    numbers: list[int] = []
    with suppress(csv.Error):
        next(reader, None)
        while len(numbers) < count:
            line = reader.line_num + 1
            cells = next(reader, None)
            if cells is None:
                break
            if cells:
                numbers.append(line)
    return numbers
