"""The columns of a record, in the order in which they are hashed, stored and exported."""

from datetime import datetime
from typing import NamedTuple

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
    """A record of a call or an event: all columns that its hash covers, except the number. `detail` is JSON or ""."""

    at: datetime
    caller: str
    method: str
    path: str
    query: str
    status: int
    latency_us: int
    address: str
    correlation_id: str
    audit_class: str = ""
    event: str = ""
    subject: str = ""
    detail: str = ""


def fitted(text: str, limit: int) -> str:
    """Return the text cut to `limit` characters, with NULs escaped."""
    if "\0" in text:
        text = text.replace("\0", "\\0")
    return text if len(text) <= limit else text[: limit - 1] + TRUNCATED
