"""Answers that are held until something happens (`Prefer: wait=N`, RFC 7240). Meanwhile no request holds a thread."""

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from drf_spectacular.utils import OpenApiParameter

LONGEST_WAIT_SECONDS = 30
_WAIT = re.compile(r"wait\s*=\s*\"?([0-9]{1,9})\"?", re.ASCII | re.IGNORECASE)


class Renewed(NamedTuple):
    """An answer's body after a wait, and the headers that change with it, by name; None removes a header."""

    body: bytes
    headers: Mapping[str, str | None]


class AnswerWait(NamedTuple):
    """An answer is held until an event, for at most `seconds`. A view puts it into the environ, the front waits.

    event: its type tells the front whom to ask. renewed: returns the answer's new body; called in a thread after the
    wait. None leaves the answer as it was.
    """

    seconds: int
    event: object
    renewed: Callable[[], Renewed | None]


def prefer_header(until: str) -> OpenApiParameter:
    """Return the header in the OpenAPI document. until: what an answer waits for, a clause."""
    return OpenApiParameter(
        "Prefer",
        {"type": "string", "examples": ["wait=10"]},
        OpenApiParameter.HEADER,
        description=f"`wait=N`: answer when {until}, after N seconds at the latest (at most {LONGEST_WAIT_SECONDS}).",
    )


def preferred_wait(header: str) -> int:
    """Return the seconds of `Prefer: wait=N` (RFC 7240), at most LONGEST_WAIT_SECONDS; 0 without such a preference."""
    for preference in header.split(","):
        if found := _WAIT.fullmatch(preference.partition(";")[0].strip()):
            return min(int(found[1]), LONGEST_WAIT_SECONDS)
    return 0
