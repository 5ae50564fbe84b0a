"""What happens to keys goes into the audit log."""

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
    """Leave a record of a change of keys in the current transaction; without it there is no change.

    `detail` holds no secret; its `change` is a pair of documents, before and after. `record` is what records
    it, by default `event_record`. Raises what that does.
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
