"""An answer ready to send, whoever sends it."""

from dataclasses import dataclass

# Under these names an entry keeps its neighbours' cursors for the header `Link`, which needs the request's URL.
NEXT, PREVIOUS = "next", "prev"


@dataclass(frozen=True, slots=True)
class Finished:
    """`headers` are all but the length; `body` is final."""

    status: int
    headers: dict[str, str]
    body: bytes = b""
