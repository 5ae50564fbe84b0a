"""Services of the outbox: add an event, deliver events in order, delete old ones."""

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction

from ops.needs import Need
from ops.outbox.models import Event

logger = logging.getLogger(__name__)

Receiver = Callable[[Event], None]

RECEIVERS: Need[Sequence[Receiver]] = Need("ops.outbox.services.RECEIVERS")
"""Called with each event, in order. An event may come twice: after a failure it is delivered to all again."""

# For how long delivered events are kept.
LIFETIME = timedelta(days=7)


def event_add(*, kind: str, subject: str, payload: dict[str, Any], at: datetime, owner: str = "") -> None:
    """Add an event to the current transaction. See `Event`. Raises RuntimeError outside a transaction."""
    if not connection.in_atomic_block:
        raise RuntimeError("an event belongs to the transaction of the change that it tells")
    Event.objects.create(kind=kind, subject=subject, payload=payload, at=at, owner=owner)


def events_deliver(*, now: datetime) -> None:
    """Deliver the undelivered events to the receivers, in order.

    Raises what a receiver raises. Then its event and all later ones stay undelivered.
    """
    while Event.objects.filter(is_sent=False).exists():
        _deliver_first()


def _deliver_first() -> None:
    """Deliver the first undelivered event, if there still is one. Concurrent calls wait for one another."""
    with transaction.atomic():
        event = Event.objects.select_for_update().filter(is_sent=False).order_by("id").first()
        if event is None:
            return
        for receive in RECEIVERS.get():
            receive(event)
        event.is_sent = True
        event.save(update_fields=["is_sent"])


def events_delete_old(*, now: datetime) -> None:
    """Delete events that were delivered and are older than LIFETIME."""
    Event.objects.filter(is_sent=True, at__lt=now - LIFETIME).delete()


def event_log(event: Event) -> None:
    """Write an event to the log: a receiver."""
    logger.info("%s %s %s", event.kind, event.subject, event.payload)
