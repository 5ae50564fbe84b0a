"""Answers that the event loop sends without the application."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeVar


class ReadyAnswer(NamedTuple):
    """lines: the header lines, except `Date`."""

    status: int
    lines: bytes
    body: bytes


class Awaited:
    """Stands for an answer that is delivered later. `AWAITED` is the only one."""


AWAITED = Awaited()


@dataclass(slots=True)
class AwaitedRequest:
    """A whole request whose answer is delivered later. is_last: whether the connection ends after the answer."""

    data: bytes
    is_last: bool = False


Deliver = Callable[[ReadyAnswer | None], object]
Call = TypeVar("Call")


class Door(Protocol[Call]):
    """Answers GETs in the event loop, from memory. A call is what `read` makes of a request."""

    def recalled(self, peer: str, data: bytes) -> Call | None:
        """Return the call that `read` made of the same bytes of the same peer; None if it is not remembered."""

    def read(self, peer: str, data: bytes, target: bytes, headers: list[tuple[bytes, bytes]]) -> Call | None:
        """Return the call that a GET over HTTP/1.1 makes; None leaves it to the application.

        data: the whole request. target: as sent. headers: with names in lower case.
        """

    def answer(self, call: Call, deliver: Deliver) -> ReadyAnswer | Awaited | None:
        """Return the answer, or AWAITED; None leaves the call to the application, uncharged.

        deliver: if AWAITED was returned, called once, in a later turn of the loop, with the answer or None.
        """
