"""What is told about instruments, recorded in the audit log with who told it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.db import Error, transaction
from django.utils import timezone

from audit.services import event_record, events_lock
from store.exceptions import OutcomeUnknown
from store.instruments import Instrument
from trades.instruments.serializers import instrument_document
from trades.stores import market_store

AUDIT_CLASS, EVENT = "config", "instrument.told"
_UNKNOWN = (
    "the change is made and its record is not confirmed: the outcome is unknown, look what the audit log says"
)


@contextmanager
def recorded(instruments: Sequence[Instrument], *, actor: str) -> Iterator[None]:
    """The change is made inside, and recorded before: without its record there is no change.

    Raises django.db.Error, when nothing was done, and OutcomeUnknown: the change is made, and its record not
    confirmed.
    """
    is_made = False
    try:
        with transaction.atomic():
            _record_changes(instruments, actor)
            yield
            is_made = True
    except Error as error:
        if is_made:
            raise OutcomeUnknown(_UNKNOWN) from error
        raise


def _record_changes(instruments: Sequence[Instrument], actor: str) -> None:
    """Record what differs.

    Nobody else tells anything from here on, so that what was there before is what is replaced.
    """
    events_lock()
    store = market_store()
    before = {each.symbol: instrument_document(store.instrument(each.symbol)) for each in instruments}
    after = {each.symbol: instrument_document(each) for each in instruments}
    changed = [symbol for symbol in after if before[symbol] != after[symbol]]
    if changed:
        _record(actor, changed, before, after)


def _record(actor: str, changed: list[str], before: dict[str, Any], after: dict[str, Any]) -> None:
    if len(changed) == 1:
        subject = changed[0]
        change = before[subject], after[subject]
    else:
        subject = f"{len(changed)} instruments"
        change = {each: before[each] for each in changed}, {each: after[each] for each in changed}
    event_record(
        at=timezone.now(),
        actor=actor,
        audit_class=AUDIT_CLASS,
        event=EVENT,
        subject=subject,
        detail={"change": change},
    )
