"""The columns of a record, in the order in which they are hashed, stored and exported."""

from datetime import datetime
from typing import Annotated, NamedTuple

from msgspec import Meta

CALLER_CHARS = 100
METHOD_CHARS = 16
PATH_CHARS = 1024
QUERY_CHARS = 1536
ADDRESS_CHARS = 64
CORRELATION_ID_CHARS = 128
CLASS_CHARS = 16
EVENT_CHARS = 64
SUBJECT_CHARS = 200
DETAIL_CHARS = 65_536
TRUNCATED = "…"
"""Marks the end of a value that was cut."""


class AuditColumns(NamedTuple):
    """A record of a call or an event: all columns that its hash covers, except the number.

    at: when the call began, or the event was (aware, UTC). Texts are masked and cut. `detail` is JSON or "".
    """

    at: Annotated[datetime, Meta(tz=True)]
    caller: Annotated[str, Meta(max_length=CALLER_CHARS)]
    method: Annotated[str, Meta(max_length=METHOD_CHARS)]
    path: Annotated[str, Meta(max_length=PATH_CHARS)]
    query: Annotated[str, Meta(max_length=QUERY_CHARS)]
    status: Annotated[int, Meta(ge=0, le=999)]
    latency_us: Annotated[int, Meta(ge=0, le=2**63 - 1)]
    address: Annotated[str, Meta(max_length=ADDRESS_CHARS)]
    correlation_id: Annotated[str, Meta(max_length=CORRELATION_ID_CHARS)]
    audit_class: Annotated[str, Meta(max_length=CLASS_CHARS)] = ""
    event: Annotated[str, Meta(max_length=EVENT_CHARS)] = ""
    subject: Annotated[str, Meta(max_length=SUBJECT_CHARS)] = ""
    detail: Annotated[str, Meta(max_length=DETAIL_CHARS)] = ""


def fitted(text: str, limit: int) -> str:
    """Return the text cut to `limit` characters, with NULs escaped."""
    if "\0" in text:
        text = text.replace("\0", "\\0")
    return text if len(text) <= limit else text[: limit - 1] + TRUNCATED
