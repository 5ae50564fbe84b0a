"""What a format is: a way to write a document at once and, in some, rows bit by bit."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol, TypeAlias

from stats.rendering.table import OutColumn, Table


class TimeForm(StrEnum):
    """How instants are written: RFC 3339 text in UTC, or milliseconds or nanoseconds since the epoch."""

    RFC3339 = "rfc3339"
    MS = "ms"
    NS = "ns"


@dataclass(frozen=True, slots=True)
class Document:
    """`head`, then the rows under `rows_name`, then `tail`; both are written as they are, in their order.

    next_cursor, prev_cursor: where the neighbouring pages begin, for formats that have no place for a tail.
    bars_times: whether the columnar forms write times in milliseconds (bars), else in nanoseconds (ticks).
    """

    head: Mapping[str, Any]
    rows_name: str
    table: Table
    tail: Mapping[str, Any]
    next_cursor: str | None = None
    prev_cursor: str | None = None
    bars_times: bool = True

    @property
    def columnar_times(self) -> TimeForm:
        """How times are written where rows are columns, unless the client chose."""
        return TimeForm.MS if self.bars_times else TimeForm.NS


@dataclass(frozen=True, slots=True)
class Rendered:
    """A finished body, and the headers that only its format knows of."""

    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


class StreamEncoder(Protocol):
    """Rows as they come, in one stream: `begin`, any number of `rows`, perhaps a `trailer`, `end`.

    It keeps nothing of what it wrote. The bytes do not depend on how the rows are cut into tables, but for
    the frames of arrow's batches.
    """

    def begin(self) -> bytes:
        """What stands before the first row."""
        ...

    def rows(self, table: Table) -> bytes:
        """The rows, whose columns are those of the stream."""
        ...

    def trailer(self, said: Mapping[str, Any]) -> bytes | None:
        """What is said about the stream behind its last row; None where the format has no place for it."""
        ...

    def end(self) -> bytes:
        """What stands behind everything."""
        ...


# How the instants are written is None where the format's own way is meant.
Render: TypeAlias = Callable[[Document, TimeForm | None], Rendered]
Stream: TypeAlias = Callable[[Sequence[OutColumn], TimeForm | None], StreamEncoder]


@dataclass(frozen=True, slots=True)
class Format:
    """One format of answers.

    name: as in `?format=`. has_envelope: whether a document's head and tail are in its body; else its cursors
    must go out beside it. stream: None where rows cannot be written before all are known.
    """

    name: str
    media_type: str
    render: Render
    has_envelope: bool = True
    stream: Stream | None = None

    @property
    def content_type(self) -> str:
        """The media type as it is sent."""
        return f"{self.media_type}; charset=utf-8" if self.media_type == "text/csv" else self.media_type
