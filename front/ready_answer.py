"""Answers that the event loop sends without the application."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from front.answers import Answer


class ReadyAnswer(NamedTuple):
    """lines: the header lines, except `Date`."""

    status: int
    lines: bytes
    body: bytes


@dataclass(slots=True)
class AwaitedRequest:
    """A whole request whose answer is delivered later. is_last: whether the connection ends after the answer."""

    data: bytes
    is_last: bool = False


Deliver = Callable[[ReadyAnswer | None], object]


class RepeatedRequests(Protocol):
    """Answers GETs that came before, in the event loop, from memory."""

    def answer_without_django(self, peer: str, data: bytes, deliver: Deliver) -> bool:
        """Begin to answer a request. Return False to leave it to the application, uncharged.

        data: the whole request, from its first to its last byte. deliver: after True called once, in a later turn of
        the loop, with the answer; with None to leave the request to the application.
        """

    def remember(self, peer: str, data: bytes, environ: dict[str, Any], answer: Answer) -> None:
        """Remember how to answer a request again that the application has answered, if that is possible.

        data: a whole GET over HTTP/1.1 without a body, on a connection that stays open. environ: the request's, after
        the answer.
        """
