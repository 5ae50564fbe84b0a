"""Old records go, from the chain's beginning only, and where it begins then is sealed.

With the seal the rest can be verified. What goes is verified before: otherwise whoever dates young records
back, or alters old ones, would have the trace removed and the rest sealed.
"""

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction

from audit.chain.append import base_of_chain, base_set, head_locked, records_append
from audit.chain.links import Head
from audit.chain.tables import rows_delete
from audit.chain.verify import beginning_verify
from audit.exceptions import NotAsWritten
from audit.models import AuditRecord
from audit.records.call import columns_of_event

# The head is locked meanwhile, so that calls wait: a tenth of a second or two.
AT_ONCE = 10_000


def records_prune(*, before: datetime, now: datetime, actor: str, unverified: bool = False) -> int:
    """Remove the records up to the first that is not older than `before`; returns how many went.

    That it was done is an event in the chain, committed with the first that go; where they go `unverified` it
    says what was wrong first. Raises django.db.Error, and NotAsWritten: nothing was removed.
    """
    end, removed = _end(before), 0
    wrong = beginning_verify(end)
    if wrong is not None and not unverified:
        raise NotAsWritten(wrong.message)
    told = {"before": before, **({} if wrong is None else {"wrong": wrong.message})}
    while True:
        with transaction.atomic():
            head_locked()
            # Another one may prune at the same time.
            base = base_of_chain().sequence
            if base >= end:
                return removed
            if not removed:
                _tell(told, now=now, actor=actor, base=base, end=end)
            last = min(base + AT_ONCE, end)
            _remove(last)
        removed += last - base


def retention_keep(*, now: datetime) -> int:
    """Remove what is older than AUDIT_RETENTION_DAYS; 0 keeps everything. Returns how many records went."""
    days: int = settings.AUDIT_RETENTION_DAYS
    return records_prune(before=now - timedelta(days=days), now=now, actor="worker") if days > 0 else 0


def _end(before: datetime) -> int:
    """The number of the last record that goes: all up to it are older."""
    first, last = (
        AuditRecord.objects.order_by(order).values_list("sequence", flat=True).first() or 0
        for order in ("sequence", "-sequence")
    )
    # Lot by lot: of all that are younger, only the first is looked for.
    for start in range(first, last + 1, AT_ONCE):
        lot = AuditRecord.objects.filter(sequence__range=(start, start + AT_ONCE - 1), at__gte=before)
        if (younger := lot.order_by("sequence").values_list("sequence", flat=True).first()) is not None:
            return younger - 1
    return last


def _tell(told: dict[str, Any], *, now: datetime, actor: str, base: int, end: int) -> None:
    last = AuditRecord.objects.get(sequence=end)
    detail = {**told, "first": base + 1, "last": end, "last_hash": last.hash}
    columns = columns_of_event(
        at=now, actor=actor, audit_class="config", event="audit.pruned", subject="audit", detail=detail
    )
    records_append([columns], now=now)


def _remove(end: int) -> None:
    last = AuditRecord.objects.get(sequence=end)
    base_set(Head(end, last.hash))
    rows_delete(end)
