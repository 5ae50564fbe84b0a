"""Services of the outbox: add an event, deliver events in order, delete old ones."""

import logging
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction

from ops.outbox.models import Event

logger = logging.getLogger(__name__)

# For how long delivered events are kept.
LIFETIME = timedelta(days=7)


def event_add(*, kind: str, subject: str, payload: dict[str, Any], at: datetime, owner: str = "") -> None:
    """Add an event to the current transaction. See `Event`. Raises RuntimeError outside a transaction."""
    if not connection.in_atomic_block:
        raise RuntimeError("an event belongs to the transaction of the change that it tells")
    Event.objects.create(kind=kind, subject=subject, payload=payload, at=at, owner=owner)


def events_deliver(*, now: datetime) -> None:
    """Deliver the undelivered events to the log, in order. After a failure an event may be delivered again."""
    while Event.objects.filter(is_sent=False).exists():
        _deliver_first()


def _deliver_first() -> None:
    """Deliver the first undelivered event, if there still is one. Concurrent calls wait for one another."""
    with transaction.atomic():
        event = Event.objects.select_for_update().filter(is_sent=False).order_by("id").first()
        if event is None:
            return
        logger.info("%s %s %s", event.kind, event.subject, event.payload)
        event.is_sent = True
        event.save(update_fields=["is_sent"])


def events_delete_old(*, now: datetime) -> None:
    """Delete events that were delivered and are older than LIFETIME."""
    Event.objects.filter(is_sent=True, at__lt=now - LIFETIME).delete()
