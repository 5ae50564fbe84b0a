"""Services of backfills: queue them when an answer meets a gap, record what came of them, ask again."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import Error, transaction
from django.db.models import Max
from django.utils import timezone

from jobs.backfills.gaps import gap_resolution, is_askable, missing_windows, not_deferred
from jobs.backfills.models import EMPTY, EXHAUSTED, Backfill
from jobs.models import AWAITED, UNFINISHED, Job
from jobs.services import job_submit
from stats.delivery.answers import AnswerSnapshot
from stats.exceptions import READ_ERRORS
from stats.market_data.answers.page import PageSnapshot
from stats.market_data.gaps import GapsReport
from store.protocol import Window
from store.resolutions import Resolution
from store.timestamps import DAY_NS, format_timestamp, parse_timestamp
from webhooks.events import event_write

logger = logging.getLogger(__name__)

KIND = "backfill"
OWNER = "service"
# At most so many nanoseconds before the end of a range are looked at, because a thread of the reads does it.
_LOOKED_AT_NS = 31 * DAY_NS
_FIRST_RETRY, _LONGEST_RETRY = timedelta(hours=1), timedelta(days=1)


def backfill_submit(*, symbol: str, window: Window, now: datetime, urgency: int = 0) -> Job:
    """Queue the service's own backfill of a window; if it is queued already, return that job."""
    start, end = format_timestamp(window.start_ns), format_timestamp(window.end_ns)
    return job_submit(
        kind=KIND,
        parameters={"symbol": symbol, "start": start, "end": end, "automatic": True},
        owner=OWNER,
        created_by=OWNER,
        now=now,
        once_key=f"{KIND}:{symbol}:{start}:{end}",
        urgency=urgency,
    )


def backfill_record(
    *,
    dataset: str,
    symbol: str,
    window: Window,
    state: str,
    told: Sequence[Mapping[str, str]],
    now: datetime,
    job: UUID,
    **columns: Any,
) -> None:
    """Store and tell what came of asking for a gap, instead of the exhausted gaps in it.

    columns: further ones of `Backfill`. An exhausted gap is logged as an error, and asked for again after 1, 2, 4, … 24 hours.
    """
    with transaction.atomic():
        again = Backfill.objects.filter(
            symbol=symbol, state=EXHAUSTED, start_ns__gte=window.start_ns, end_ns__lte=window.end_ns
        )
        # The gap of a feed that is away grows: the attempts for its beginning count.
        attempts = again.aggregate(most=Max("attempts"))["most"] or 0
        again.delete()
        row = Backfill(
            dataset=dataset, symbol=symbol, start_ns=window.start_ns, end_ns=window.end_ns, state=state, told=told,
            attempts=attempts, asked_at=now, job=job, **columns,
        )  # fmt: skip
        if state == EXHAUSTED:
            row.attempts += 1
            row.retry_at = now + min(_FIRST_RETRY * 2 ** min(attempts, 10), _LONGEST_RETRY)
            said = "; ".join("{source}: {said}".format_map(each) for each in told) or "there is no source"
            gap = (dataset, symbol, row.start, row.end)
            logger.error("no source could fill the gap of %s %s from %s to %s: %s", *gap, said)
        row.save()
        if state != EMPTY:
            data = {"dataset": dataset, "source": row.source, "rows": row.rows, "job": str(job)}
            _tell(f"gap.{state}", symbol, window, data, now=now)


def _tell(kind: str, symbol: str, window: Window, data: dict[str, Any], *, now: datetime) -> None:
    """Write the event of a gap, within the transaction of what became of it."""
    start, end = format_timestamp(window.start_ns), format_timestamp(window.end_ns)
    data = {"symbol": symbol, "start": start, "end": end, **data}
    event_write(kind=kind, subject=f"symbol:{symbol}", symbol=symbol, data=data, now=now)


def exhausted_retry(*, now: datetime) -> None:
    """Queue the gaps that no source could fill, and whose time to ask again has come."""
    due = Backfill.objects.filter(state=EXHAUSTED, retry_at__lte=now).order_by("retry_at")[:100]
    for row in due:
        with transaction.atomic():
            # The job finds whether it is a gap still, and then records it anew.
            Backfill.objects.filter(pk=row.pk).update(retry_at=None)
            backfill_submit(symbol=row.symbol, window=Window(row.start_ns, row.end_ns), now=now)


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


def gaps_queue(*, snapshot: AnswerSnapshot, **_: Any) -> None:
    """Queue backfills for the gaps of the bars that were just computed, if there is a source to ask.

    A receiver of `answer_computed`. Errors are logged.
    """
    if not settings.BACKFILL_AUTOMATIC or snapshot.as_of_ns is not None:
        return
    try:
        for symbol, window, resolution in _ranges(snapshot):
            if is_askable(symbol):
                _queue_gaps(symbol, window, resolution)
    except (*READ_ERRORS, Error) as error:
        logger.warning("gaps of %s cannot be looked for: %s", snapshot.name, error)


def _ranges(snapshot: AnswerSnapshot) -> Iterator[tuple[str, Window, Resolution]]:
    """Yield symbol, range and resolution of the bars in an answer."""
    pages = snapshot.pages if isinstance(snapshot, GapsReport) else (snapshot,)
    for page in pages:
        # The first page of a walk looks at the whole range.
        if isinstance(page, PageSnapshot) and page.query.dataset.name == "ohlcv" and page.cursor is None:
            for symbol, plan in zip(page.symbols, page.plans, strict=True):
                first_ns = max(plan.range.start_ns, plan.range.end_ns - _LOOKED_AT_NS)
                yield symbol, Window(first_ns, plan.range.end_ns), page.query.resolution


def _queue_gaps(symbol: str, window: Window, resolution: Resolution) -> None:
    """Queue one backfill from the first open gap of the window to the last."""
    now = timezone.now()
    judged = resolution if resolution.is_period else gap_resolution(symbol)
    missing = not_deferred(symbol, missing_windows(symbol, window, judged, now=now), now=now)
    missing = [part for gap in missing for part in gap.without(pending_windows(symbol) or ())]
    if missing:
        whole = Window(missing[0].start_ns, missing[-1].end_ns)
        with transaction.atomic():
            job = backfill_submit(symbol=symbol, window=whole, now=now, urgency=AWAITED)
            if job.created_at == now:
                _tell("gap.found", symbol, whole, {"job": str(job.uuid)}, now=now)
