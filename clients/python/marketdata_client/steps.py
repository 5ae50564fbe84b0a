"""What flows ask of a client.

A flow is a generator that decides what to do and does no input or output itself. It yields steps; the client does them
and sends back what came of each, or throws `Unreachable`, `Refused` or `BadAnswer` into the flow. So `Client` and `AsyncClient` share all flows.
"""

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeAlias, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it is sent; `url` is absolute."""

    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer. The names of `headers` are in lower case. The body of an opened stream is empty, unless it is an error."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Send:
    """Send a request, read the whole answer. Comes to `Answer`."""

    request: Request


@dataclass(frozen=True, slots=True)
class Open:
    """Send a request; its answer is read by `Read`. Comes to `Answer`."""

    request: Request


@dataclass(frozen=True, slots=True)
class Read:
    """Read on in the opened answer. Comes to bytes; none at the end."""


@dataclass(frozen=True, slots=True)
class Connect:
    """Open a WebSocket; the request's method is GET. Closes the one before."""

    request: Request


@dataclass(frozen=True, slots=True)
class Say:
    """Send a text over the WebSocket."""

    text: str


@dataclass(frozen=True, slots=True)
class Hear:
    """Wait for a text of the WebSocket. Comes to str; `Unreachable` after so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Sleep:
    seconds: float


@dataclass(frozen=True, slots=True)
class Emit:
    """Give a value to whoever iterates."""

    value: Any


Step: TypeAlias = Send | Open | Read | Connect | Say | Hear | Sleep | Emit
Flow: TypeAlias = Generator[Step, Any, T]


class Stepper(Generic[T]):
    """Runs a flow step by step. outcome, error: what came of the last step. result: what the flow returned."""

    result: T

    def __init__(self, flow: Flow[T]) -> None:
        self._flow = flow
        self.outcome: Any = None
        self.error: Exception | None = None

    def next(self) -> Step | None:
        """Return the next step; None at the end of the flow. Raises what the flow raises."""
        outcome, error = self.outcome, self.error
        self.outcome = self.error = None
        try:
            return self._flow.send(outcome) if error is None else self._flow.throw(error)
        except StopIteration as end:
            self.result = end.value
            return None

    def close(self) -> None:
        self._flow.close()
