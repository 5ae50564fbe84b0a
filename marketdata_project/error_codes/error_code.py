"""What is said of an error that a client can meet."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ErrorCode:
    """A code, its status, and a sentence that says what to do."""

    status: int
    code: str
    meaning: str
