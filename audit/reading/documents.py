"""A record as a document, for clients and for exports."""

import json
from typing import Annotated, Any, Self

import msgspec
from msgspec import Meta

from audit.models import AuditRecord
from store.instant_text import format_instant
from web.documents import AnswerDocument, Instant, about, like
from web.endpoints import AUDIT_CLASSES

_CLASSES = Meta(
    description="The class of a call or event that is recorded before it is answered.",
    examples=["config"],
    extra_json_schema={"enum": [*AUDIT_CLASSES, ""]},
)
_HASH = "1b0e8a6f5c4d3e2f1a0b9c8d7e6f5a4b3c2d1e0f9a8b7c6d5e4f3a2b1c0d9e8f"
_PREVIOUS = "9f2c6c1d0e7b4a5f8d3e2b1a0c9f8e7d6c5b4a39281706f5e4d3c2b1a0918273"


class RecordDocument(AnswerDocument):
    """One record: an API call, or an event that is not an API call."""

    sequence: Annotated[
        int,
        about("The record's number in the chain; numbers have no gaps.", 4812),
        Meta(extra_json_schema={"minimum": 1}),
    ]
    at: Annotated[Instant, about("When the call began.", "2025-01-02T14:30:00.123456Z")]
    caller: Annotated[str, about("Empty if nobody was authenticated.", "key:12")]
    method: Annotated[str, about("Empty for an event.", "PUT")]
    path: Annotated[str, like("/api/v1/instruments/AAPL")]
    query: Annotated[str, about("Declared parameters as they were sent; other values are masked.", "")]
    status: Annotated[int, about("0 for an event.", 200)]
    latency_us: Annotated[int, about("Microseconds until the answer was ready.", 5210)]
    address: Annotated[str, like("192.0.2.7")]
    correlation_id: Annotated[str, like("0b5c1f7e")]
    audit_class: Annotated[str, _CLASSES]
    event: Annotated[str, like("")]
    subject: Annotated[str, about("The object of the event, such as key:12.", "")]
    detail: Annotated[
        msgspec.Raw | None,
        about(
            "`body`: the declared fields that were sent; `change`: the changed members; more for events.",
            {"change": [{"path": "tick_size", "before": 0.01, "after": 0.05}]},
        ),
        Meta(extra_json_schema={"additionalProperties": {}}),
    ]
    previous: Annotated[str, about("The hash of the previous record.", _PREVIOUS)]
    hash: Annotated[str, about("A keyed hash over `previous` and this record.", _HASH)]

    @classmethod
    def of(cls, record: AuditRecord, *, previous: str) -> Self:
        """Return the document of a record. previous: the hash of the record before it."""
        # As the hash covers it: as text, without Python's reading of its numbers.
        detail = msgspec.Raw(record.detail.encode()) if record.detail else None
        return cls.of_attributes(record, at=format_instant(record.at), detail=detail, previous=previous)

    def as_json(self) -> dict[str, Any]:
        """Return the document as JSON's types. `detail` may have what only Python reads, such as NaN."""
        document: dict[str, Any] = msgspec.to_builtins(self, enc_hook=lambda raw: json.loads(bytes(raw)))
        return document
