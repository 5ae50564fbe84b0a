"""Answers that the event loop sends without the application."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol


class ReadyAnswer(NamedTuple):
    """lines: the header lines, except `Date`."""

    status: int
    lines: bytes
    body: bytes


class Awaited:
    """Stands for an answer that is delivered later. `AWAITED` is the only one."""


AWAITED = Awaited()


class Door(Protocol):
    """Answers GETs in the event loop, from memory. A call is whatever `read` makes of a request."""

    def recalled(self, peer: str, data: bytes) -> Any | None:
        """Return the call that `read` made of the same bytes of the same peer; None if it is not remembered."""

    def read(self, peer: str, data: bytes, target: bytes, headers: list[tuple[bytes, bytes]]) -> Any | None:
        """Return the call that a GET over HTTP/1.1 makes; None leaves it to the application.

        data: the whole request. target: as sent. headers: with names in lower case.
        """

    def answer(
        self, call: Any, deliver: Callable[[ReadyAnswer | None], object]
    ) -> ReadyAnswer | Awaited | None:
        """Return the answer, or AWAITED; None leaves the call to the application, uncharged.

        deliver: if AWAITED was returned, called once, in a later turn of the loop, with the answer or None.
        """
