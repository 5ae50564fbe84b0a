"""Removes old records from the chain's beginning; the new beginning is sealed, so that the rest can be verified.

The records are verified before they are removed: otherwise somebody could alter or backdate records and have
pruning remove the evidence.
"""

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction

from audit.chain.append import base_of_chain, base_set, head_lock, records_append
from audit.chain.links import Head
from audit.chain.tables import rows_delete
from audit.chain.verify import beginning_verify
from audit.exceptions import NotAsWritten
from audit.models import AuditRecord
from audit.records.call import columns_of_event

# The number of records removed in one transaction. Audit-first calls wait meanwhile: 0.1 to 0.2 seconds.
BATCH_SIZE = 10_000


def records_prune(*, before: datetime, now: datetime, actor: str, unverified: bool = False) -> int:
    """Remove all records before the first that began at or after `before`; return the number of removed records.

    The event `audit.pruned` is recorded with the first removal. If verification fails, raises NotAsWritten and
    removes nothing; with `unverified` the records are removed anyway, and the event contains the finding.
    Raises django.db.Error.
    """
    end, removed = _last_to_remove(before), 0
    finding = beginning_verify(end)
    if finding is not None and not unverified:
        raise NotAsWritten(finding.message)
    detail = {"before": before, **({} if finding is None else {"wrong": finding.message})}
    while True:
        with transaction.atomic():
            head_lock()
            # Another process may prune at the same time.
            base = base_of_chain().sequence
            if base >= end:
                return removed
            if not removed:
                _record_pruning(detail, now=now, actor=actor, base=base, end=end)
            last = min(base + BATCH_SIZE, end)
            _remove(last)
        removed += last - base


def records_delete_old(*, now: datetime) -> int:
    """Remove records older than AUDIT_RETENTION_DAYS (0 keeps all); return the number of removed records."""
    days: int = settings.AUDIT_RETENTION_DAYS
    return records_prune(before=now - timedelta(days=days), now=now, actor="worker") if days > 0 else 0


def _last_to_remove(before: datetime) -> int:
    """Return the number of the last record to remove: this record and all earlier ones are older than `before`."""
    first, last = (
        AuditRecord.objects.order_by(order).values_list("sequence", flat=True).first() or 0
        for order in ("sequence", "-sequence")
    )
    # Search in ranges of numbers: a single query for the first younger record would read all younger records.
    for start in range(first, last + 1, BATCH_SIZE):
        younger = AuditRecord.objects.filter(sequence__range=(start, start + BATCH_SIZE - 1), at__gte=before)
        first_younger = younger.order_by("sequence").values_list("sequence", flat=True).first()
        if first_younger is not None:
            return first_younger - 1
    return last


def _record_pruning(detail: dict[str, Any], *, now: datetime, actor: str, base: int, end: int) -> None:
    last = AuditRecord.objects.get(sequence=end)
    detail = {**detail, "first": base + 1, "last": end, "last_hash": last.hash}
    columns = columns_of_event(
        at=now, actor=actor, audit_class="config", event="audit.pruned", subject="audit", detail=detail
    )
    records_append([columns])


def _remove(end: int) -> None:
    last = AuditRecord.objects.get(sequence=end)
    base_set(Head(end, last.hash))
    rows_delete(end)
