"""Documents, and the interface of formats. All formats write documents; some also stream rows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol, TypeAlias

from stats.rendering.table import OutColumn, Table


class TimeForm(StrEnum):
    """The form of times: RFC 3339 text in UTC, or milliseconds or nanoseconds since the epoch."""

    RFC3339 = "rfc3339"
    MS = "ms"
    NS = "ns"


@dataclass(frozen=True, slots=True)
class RowsDocument:
    """An answer without a format: the fields of `head`, the rows under `rows_name`, the fields of `tail`.

    next_cursor, prev_cursor: for formats that do not write the tail. bars_times: whether columnar formats write
    times in milliseconds, as for bars, or in nanoseconds, as for ticks. time_form: None for the format's default.
    groups: names, each with the number of its consecutive rows; JSON then has an object with a list for each.
    """

    head: Mapping[str, Any]
    rows_name: str
    table: Table
    tail: Mapping[str, Any]
    next_cursor: str | None = None
    prev_cursor: str | None = None
    bars_times: bool = True
    time_form: TimeForm | None = None
    groups: Sequence[tuple[str, int]] | None = None

    @property
    def columnar_times(self) -> TimeForm:
        """Return the default form of times in columnar formats."""
        return TimeForm.MS if self.bars_times else TimeForm.NS


@dataclass(frozen=True, slots=True)
class Rendered:
    """A response's body, and the headers that its format adds."""

    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


class StreamEncoder(Protocol):
    """Encodes a stream: `begin`, any number of `rows`, optionally a `trailer`, `end`.

    It is stateless. The bytes do not depend on how the rows are split into tables, except in Arrow, where each
    table is a batch.
    """

    def begin(self) -> bytes:
        """Return the bytes before the first row."""
        ...

    def rows(self, table: Table) -> Sequence[memoryview]:
        """Return the bytes of rows, in parts. The table must have the stream's columns."""
        ...

    def trailer(self, fields: Mapping[str, Any]) -> bytes | None:
        """Return the bytes of a trailer after the last row; None if the format has none."""
        ...

    def end(self) -> bytes:
        """Return the bytes at the end of the stream."""
        ...


Render: TypeAlias = Callable[[RowsDocument], Rendered]
# A `TimeForm` of None means the format's default.
MakeEncoder: TypeAlias = Callable[[Sequence[OutColumn], TimeForm | None], StreamEncoder]


@dataclass(frozen=True, slots=True)
class Format:
    """A format of answers.

    name: as in `?format=`. has_envelope: whether the body has the document's head and tail; without them
    cursors are only in headers. stream: makes the encoder of a stream; None if the format has no streams.
    """

    name: str
    media_type: str
    render: Render
    has_envelope: bool = True
    stream: MakeEncoder | None = None

    @property
    def content_type(self) -> str:
        """Return the header `Content-Type`."""
        return f"{self.media_type}; charset=utf-8" if self.media_type == "text/csv" else self.media_type
