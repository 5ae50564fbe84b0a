"""Ranges of bytes (RFC 9110, 14): the part of a file that a request asks for."""

import re

from web.requests.exceptions import RequestError

_RANGE = re.compile(r"bytes=(?:([0-9]{1,18})-([0-9]{0,18})|-([0-9]{1,18}))", re.IGNORECASE)


class RangeNotSatisfiable(RequestError):
    """The file ends before the range begins. Ask for a range within the file, whose size the answer says."""

    def __init__(self, size: int) -> None:
        super().__init__("range_not_satisfiable", f"the file has {size:,} bytes")
        self.headers = {"Content-Range": f"bytes */{size}"}


def requested_range(header: str | None, size: int) -> range | None:
    """Return the bytes of a file that `Range` asks for; None for all.

    A header that is malformed, or names other units or several ranges, is ignored, as RFC 9110 allows. Raises
    `RangeNotSatisfiable`.
    """
    match = _RANGE.fullmatch(header.strip()) if header else None
    if match is None:
        return None
    first, last, count = match.groups()
    if first is None:
        start, end = max(size - int(count), 0), size
    else:
        start, end = int(first), min(int(last) + 1, size) if last else size
        if last and int(last) < int(first):
            return None
    if start >= end:
        raise RangeNotSatisfiable(size)
    return range(start, end)
