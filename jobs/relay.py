"""Sends a message for each job that may start: the first time, and again if the message was lost.

The database decides which jobs these are, so that the most urgent start first and never more than `at_once` of a
kind are on their way. Redis may lose every message.
"""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Count, F, Q, QuerySet

from jobs.claims import startable
from jobs.kinds import JOB_KINDS
from jobs.models import QUEUED, RUNNING, UNFINISHED, Job

logger = logging.getLogger(__name__)

Send = Callable[[UUID], None]

# A job that has not started so long after its message is sent again.
RESEND = timedelta(seconds=5)


def jobs_send(*, now: datetime, send: Send) -> None:
    """Send the ids of the jobs that may start. `send` raises OSError if a message cannot be sent."""
    for name, free in _free_places(now).items():
        turns = set[str]()
        for job in _waiting(now).filter(kind=name).only("uuid", "turn", "sent_at")[:free]:
            if job.turn not in turns:
                _send_once(job, send, now=now)
            turns.update({job.turn} - {""})


def _waiting(now: datetime) -> QuerySet[Job]:
    """Return the unsent jobs that may start: those whose workers were lost, then the most urgent.

    A job whose worker was lost keeps its slot and its turn, so nothing else may start in its place.
    """
    taken = Job.objects.filter(_is_on_the_way(now) | Q(state=RUNNING)).exclude(turn="")
    is_free = Q(state=RUNNING) | ~Q(turn__in=taken.values("turn"))
    waiting = Job.objects.filter(startable(now), _is_unsent(now), is_free)
    return waiting.order_by(F("leased_until").asc(nulls_last=True), "-urgency", "pk")


def _free_places(now: datetime) -> dict[str, int]:
    """Return how many more jobs of each kind with waiting jobs may be on their way."""
    counts = (
        Job.objects.filter(state__in=UNFINISHED)
        .values("kind")
        .annotate(busy=Count("pk", filter=_is_on_the_way(now)), waiting=Count("pk", filter=_is_unsent(now)))
        .filter(waiting__gt=0)
    )
    kinds = JOB_KINDS.get()
    free = {
        each["kind"]: kinds[each["kind"]].at_once - each["busy"] for each in counts if each["kind"] in kinds
    }
    return {name: number for name, number in free.items() if number > 0}


def _is_on_the_way(now: datetime) -> Q:
    return Q(state=RUNNING, leased_until__gt=now) | (Q(state=QUEUED) & ~_is_unsent(now))


def _is_unsent(now: datetime) -> Q:
    return Q(sent_at=None) | Q(sent_at__lte=now - RESEND)


def _send_once(job: Job, send: Send, *, now: datetime) -> None:
    """Send a job's id, unless another relay did so in the meantime."""
    if not Job.objects.filter(pk=job.pk, sent_at=job.sent_at).update(sent_at=now):
        return
    try:
        send(job.uuid)
    except OSError:
        Job.objects.filter(pk=job.pk, sent_at=now).update(sent_at=job.sent_at)
        raise
