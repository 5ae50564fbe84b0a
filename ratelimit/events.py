"""Audit records of changes of keys and grants."""

from datetime import datetime
from typing import Any

from audit.services import EventRecorder, event_record

AUDIT_CLASS = "keys"


def key_event(
    *,
    at: datetime,
    actor: str,
    event: str,
    subject: str,
    detail: dict[str, Any],
    correlation_id: str = "",
    record: EventRecorder | None = None,
) -> None:
    """Write an audit record in the current transaction, so that there is no change without its record.

    `detail` must hold no secret; its `change` is a pair of documents, before and after. `record` writes the
    record, by default `event_record`, and its errors are raised.
    """
    (record or event_record)(
        at=at,
        actor=actor,
        audit_class=AUDIT_CLASS,
        event=event,
        subject=subject,
        detail=detail,
        correlation_id=correlation_id,
    )
