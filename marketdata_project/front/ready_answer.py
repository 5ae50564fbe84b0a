"""An answer that the event loop sends at once."""

from typing import NamedTuple


class ReadyAnswer(NamedTuple):
    """lines: the header lines, except `Date`."""

    status: int
    lines: bytes
    body: bytes
