"""Services of backfills: queue them, for a caller or by themselves when an answer meets a gap, and show them."""

import logging
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import Error, transaction
from django.utils import timezone

from jobs.backfills.asking import is_askable, resolution_of
from jobs.backfills.filling import missing_windows
from jobs.backfills.models import EXHAUSTED, Backfill
from jobs.backfills.records import KIND, gap_tell, not_deferred, pending_windows
from jobs.models import AWAITED, Job
from jobs.services import job_submit
from stats.delivery.answers import AnswerSnapshot
from stats.exceptions import READ_ERRORS
from stats.market_data.answers.page import PageSnapshot
from stats.market_data.gaps import GapsReport
from stats.market_data.plan import since
from store.protocol import Window
from store.resolutions import Resolution
from store.timestamps import DAY_NS, format_timestamp

logger = logging.getLogger(__name__)

OWNER = "service"
# At most so many nanoseconds before the end of a range are looked at, because a thread of the reads does it.
_LOOKED_AT_NS = 31 * DAY_NS


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


def exhausted_retry(*, now: datetime) -> None:
    """Queue the gaps that no source could fill, and whose time to ask again has come."""
    due = Backfill.objects.filter(state=EXHAUSTED, retry_at__lte=now).order_by("retry_at")[:100]
    for row in due:
        with transaction.atomic():
            # The job finds whether it is a gap still, and then records it anew.
            Backfill.objects.filter(pk=row.pk).update(retry_at=None)
            backfill_submit(symbol=row.symbol, window=Window(row.start_ns, row.end_ns), now=now)


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
                window = since(plan.range, plan.range.end_ns - _LOOKED_AT_NS)
                first_ns = max(window.start_ns, window.end_ns - _LOOKED_AT_NS)
                yield symbol, Window(first_ns, window.end_ns), page.query.resolution


def _queue_gaps(symbol: str, window: Window, resolution: Resolution) -> None:
    """Queue one backfill from the first open gap of the window to the last."""
    now = timezone.now()
    judged = resolution if resolution.is_period else resolution_of(symbol)
    missing = not_deferred(symbol, missing_windows(symbol, window, judged, now=now), now=now)
    missing = [part for gap in missing for part in gap.without(pending_windows(symbol) or ())]
    if missing:
        whole = Window(missing[0].start_ns, missing[-1].end_ns)
        with transaction.atomic():
            job = backfill_submit(symbol=symbol, window=whole, now=now, urgency=AWAITED)
            if job.created_at == now:
                gap_tell("gap.found", symbol, whole, {"job": str(job.uuid)}, now=now)
