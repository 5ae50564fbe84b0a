"""Writes down what came of asking for a gap, and reads it again."""

import logging
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import Error, transaction
from django.db.models import Max, QuerySet

from jobs.backfills.asking import is_askable
from jobs.backfills.models import EXHAUSTED, FILLED, Backfill
from jobs.models import UNFINISHED, Job
from store.declarations import Dataset
from store.protocol import Window
from store.timestamps import format_timestamp, parse_timestamp
from web.endpoints import WRITE, Access
from webhooks.events import event_write

logger = logging.getLogger(__name__)

KIND = "backfill"
# The call that submits a backfill.
SUBMISSION = Access("backfill:write", kind=WRITE)
_FIRST_RETRY, _LONGEST_RETRY = timedelta(hours=1), timedelta(days=1)


def backfill_record(
    *,
    dataset: Dataset,
    symbol: str,
    window: Window,
    state: str,
    now: datetime,
    job: UUID | None,
    **columns: Any,
) -> Backfill:
    """Store the state of a gap. columns: of `Backfill`; the others get their defaults."""
    fields = Backfill._meta.fields  # noqa: SLF001 the public way to a model's fields
    defaults = {each.name: each.get_default() for each in fields if each.has_default() or each.null}
    with transaction.atomic():
        _superseded(symbol, window).update(retry_at=None)
        row, _ = Backfill.objects.update_or_create(
            dataset=dataset.name,
            symbol=symbol,
            start_ns=window.start_ns,
            end_ns=window.end_ns,
            defaults={**defaults, "state": state, "asked_at": now, "job": job, **columns},
        )
        if state in (FILLED, EXHAUSTED):
            data = {"dataset": dataset.name, "source": row.source, "rows": row.rows, "job": job and str(job)}
            gap_tell(f"gap.{state}", symbol, window, data, now=now)
    return row


def gap_tell(kind: str, symbol: str, window: Window, data: dict[str, Any], *, now: datetime) -> None:
    """Write the event of a gap, within the transaction of what became of it."""
    start, end = format_timestamp(window.start_ns), format_timestamp(window.end_ns)
    event_write(
        kind=kind,
        subject=f"symbol:{symbol}",
        symbol=symbol,
        data={"symbol": symbol, "start": start, "end": end, **data},
        now=now,
    )


def exhausted_record(
    *,
    dataset: Dataset,
    symbol: str,
    window: Window,
    told: Sequence[tuple[str, str]],
    retry_after: float | None,
    now: datetime,
    job: UUID | None,
) -> Backfill:
    """Store, and log as an error, that no source could fill a gap. It is asked for again after 1, 2, 4, … 24 hours.

    retry_after: the shortest wait that a source asked for, in seconds.
    """
    # The gap of a feed that is away grows: the attempts for its beginning count.
    earlier = _superseded(symbol, window).aggregate(Max("attempts"))["attempts__max"]
    attempts = (earlier or 0) + 1
    delay = min(_FIRST_RETRY * 2 ** min(attempts - 1, 10), _LONGEST_RETRY)
    delay = max(delay, min(timedelta(seconds=min(retry_after or 0, 86_400)), _LONGEST_RETRY))
    logger.error(
        "no source could fill the gap of %s %s from %s to %s: %s",
        dataset.name, symbol, format_timestamp(window.start_ns), format_timestamp(window.end_ns),
        "; ".join(f"{source}: {said}" for source, said in told) or "there is no source",
    )  # fmt: skip
    return backfill_record(
        dataset=dataset, symbol=symbol, window=window, state=EXHAUSTED, now=now, job=job,
        told=[list(each) for each in told], attempts=attempts, retry_at=now + delay,
    )  # fmt: skip


def _superseded(symbol: str, window: Window) -> QuerySet[Backfill]:
    """Return the exhausted gaps that lie in a window, for which sources have now been asked again."""
    return Backfill.objects.filter(
        symbol=symbol, state=EXHAUSTED, start_ns__gte=window.start_ns, end_ns__lte=window.end_ns
    )


def not_deferred(symbol: str, gaps: Iterable[Window], *, now: datetime) -> list[Window]:
    """Return the gaps of a symbol that no exhausted one, whose time to ask again has not come, overlaps or touches."""
    waiting = Backfill.objects.filter(symbol=symbol, state=EXHAUSTED, retry_at__gt=now)
    rows = list(waiting.values_list("start_ns", "end_ns"))
    return [
        gap for gap in gaps if not any(start <= gap.end_ns and gap.start_ns <= end for start, end in rows)
    ]


def pending_windows(symbol: str) -> tuple[Window, ...] | None:
    """Return the ranges for which backfills of a symbol are queued or running; None if there is no source to ask."""
    jobs = Job.objects.filter(kind=KIND, state__in=UNFINISHED, parameters__symbol=symbol).order_by("pk")
    try:
        if not is_askable(symbol):
            return None
        ranges = list(jobs.values_list("parameters__start", "parameters__end"))
    except Error as error:
        # Market data are read without the database, too.
        logger.warning("the backfills of %s cannot be read: %s", symbol, error)
        ranges = []
    return tuple(Window(parse_timestamp(start), parse_timestamp(end)) for start, end in ranges)
