"""An answer ready to send, whoever sends it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finished:
    """`headers` are all but the length; `body` is final."""

    status: int
    headers: dict[str, str]
    body: bytes = b""
