"""Documents, and the base of formats' renderers. All formats write documents; some also stream rows."""

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol, TypeAlias

from rest_framework.renderers import JSONRenderer

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


# A `TimeForm` of None means the format's default.
MakeEncoder: TypeAlias = Callable[[Sequence[OutColumn], TimeForm | None], StreamEncoder]


class FormatRenderer(JSONRenderer):
    """The base of the renderers of formats. They write rows; any other answer is JSON, with JSON's content type.

    has_envelope: whether the body has the document's head and tail; without them cursors are only in headers. stream:
    makes the encoder of a stream; None if the format has no streams.
    """

    render_style = "binary"
    has_envelope = True
    stream: MakeEncoder | None = None

    @property
    def content_type(self) -> str:
        """Return the header `Content-Type`."""
        return f"{self.media_type}; charset={self.charset}" if self.charset else self.media_type

    def write(self, document: RowsDocument, headers: MutableMapping[str, str]) -> bytes:
        """Return the bytes of rows. headers: of the answer; a format may add some."""
        raise NotImplementedError

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> Any:
        """Return the bytes of an answer."""
        if isinstance(data, RowsDocument):
            return self.write(data, renderer_context["response"] if renderer_context else {})
        if self.format == JSONRenderer.format:
            return super().render(data, accepted_media_type, renderer_context)
        if renderer_context and renderer_context["response"].content_type is None:
            renderer_context["response"]["Content-Type"] = JSONRenderer.media_type
        return super().render(data)
