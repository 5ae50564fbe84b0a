"""Audit records for changes of keys and grants."""

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
    """Write an audit record in the transaction of the change, so that no change is stored without its record.

    `detail` must not contain secrets; its `change` is a pair of documents, before and after. `record` is the function
    that writes the record, by default `event_record`. Raises what `record` raises.
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
