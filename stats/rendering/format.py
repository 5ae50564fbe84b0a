"""Documents, and the interface of a format: a document at once and, in some formats, row by row."""

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
    """An answer before it has a format: `head`, then the rows under `rows_name`, then `tail`.

    next_cursor, prev_cursor: for formats without a tail. bars_times: columnar formats write times in
    milliseconds (bars); otherwise in nanoseconds (ticks).
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
        """The default form of times in columnar formats."""
        return TimeForm.MS if self.bars_times else TimeForm.NS


@dataclass(frozen=True, slots=True)
class Rendered:
    """A finished body, and the format's own headers."""

    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


class StreamEncoder(Protocol):
    """Encodes a stream of rows: `begin`, any number of `rows`, optionally a `trailer`, `end`.

    It keeps no state of what it wrote. How the rows are cut into tables does not change the bytes, except for
    the frames of Arrow's batches.
    """

    def begin(self) -> bytes:
        """The bytes before the first row."""
        ...

    def rows(self, table: Table) -> bytes:
        """The rows, which have the stream's columns."""
        ...

    def trailer(self, said: Mapping[str, Any]) -> bytes | None:
        """The trailer behind the last row; None if the format has none."""
        ...

    def end(self) -> bytes:
        """The bytes behind everything else."""
        ...


# How the instants are written is None where the format's own way is meant.
Render: TypeAlias = Callable[[Document, TimeForm | None], Rendered]
Stream: TypeAlias = Callable[[Sequence[OutColumn], TimeForm | None], StreamEncoder]


@dataclass(frozen=True, slots=True)
class Format:
    """A format of answers.

    name: as in `?format=`. has_envelope: whether the body has the document's head and tail; otherwise cursors
    go into headers. stream: None if rows can only be written all at once.
    """

    name: str
    media_type: str
    render: Render
    has_envelope: bool = True
    stream: Stream | None = None

    @property
    def content_type(self) -> str:
        """The header `Content-Type`."""
        return f"{self.media_type}; charset=utf-8" if self.media_type == "text/csv" else self.media_type
