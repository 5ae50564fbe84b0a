"""An answer that the event loop sends without the application."""

from typing import NamedTuple


class ReadyAnswer(NamedTuple):
    """lines: the header lines, except `Date`."""

    status: int
    lines: bytes
    body: bytes


class Awaited:
    """Stands for an answer that is delivered later. `AWAITED` is the only one."""


AWAITED = Awaited()
