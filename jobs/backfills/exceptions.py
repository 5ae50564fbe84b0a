"""Why a source did not give rows.

SourceError
├── SourceFailed     it could not answer, or its answer is not whole; ask again later, or another one
└── NotOffered       it has no such rows; ask another one
"""

from typing import ClassVar


class SourceError(Exception):
    """A source gave nothing.

    source: its name. retry_after: the seconds that it asks to wait; None if it asks for none. code: of a job that ends
    with it.
    """

    code: ClassVar[str] = "source_error"

    def __init__(self, source: str, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.source = source
        self.retry_after = retry_after


class SourceFailed(SourceError):
    """The source could not answer, or its answer is damaged or not whole. Ask again later, or another source."""

    code = "source_failed"


class NotOffered(SourceError):
    """The source has no rows of this dataset, symbol and window. Ask another source."""

    code = "source_not_offered"
