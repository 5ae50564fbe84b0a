"""Sends a message for each job that may start: the first time, and again if the message was lost.

The database decides which jobs these are. Never more than `at_once` of a kind are on their way. Their owners take
turns, so that nobody waits for all jobs of another, and no owner has the last place of a kind; of one owner's jobs the
most urgent start first. Redis may lose every message.
"""

import logging
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.db.models import Case, Count, F, Q, QuerySet, When, Window
from django.db.models.functions import RowNumber

from jobs.claims import startable
from jobs.kinds import JOB_KINDS
from jobs.models import ACTIVE, QUEUED, RUNNING, Job

logger = logging.getLogger(__name__)

Send = Callable[[UUID], None]

# A job that has not started so long after its message is sent again.
RESEND = timedelta(seconds=5)
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


def jobs_send(*, now: datetime, send: Send) -> None:
    """Send the ids of the jobs that may start. `send` raises OSError if a message cannot be sent."""
    for name, free in _free_places(now).items():
        turns, places = set[str](), _places_of_owners(name, now)
        most = max(1, JOB_KINDS.get()[name].at_once - 1)
        has_all = [owner for owner, number in places.items() if number >= most]
        # A job whose worker was lost has kept its place.
        waiting = _waiting(now).filter(Q(state=RUNNING) | ~Q(owner__in=has_all), kind=name)
        for job in _in_rounds(name, waiting).only("uuid", "turn", "sent_at", "owner", "state")[:free]:
            may_start = job.state == RUNNING or places[job.owner] < most
            if may_start and job.turn not in turns:
                _send_once(job, send, now=now)
                places[job.owner] += 1
            turns.update({job.turn} - {""})


def _waiting(now: datetime) -> QuerySet[Job]:
    """Return the unsent jobs that may start.

    A job whose worker was lost keeps its turn, so no other of that turn may start in its place.
    """
    taken = Job.objects.filter(_is_on_the_way(now) | Q(state=RUNNING)).exclude(turn="")
    is_free = Q(state=RUNNING) | ~Q(turn__in=taken.values("turn"))
    return Job.objects.filter(startable(now), _is_unsent(now), is_free)


def _in_rounds(kind: str, waiting: QuerySet[Job]) -> QuerySet[Job]:
    """Return waiting jobs of a kind in the order in which they start.

    First those whose workers were lost, which keep their slots. Then one of each owner in each round, the most urgent
    first; a round begins with the owner whose last job of the kind was sent longest ago.
    """
    sent = (
        Job.objects.filter(kind=kind, sent_at__isnull=False).order_by("-pk").values_list("sent_at", flat=True)
    )
    owners = waiting.values_list("owner", flat=True).distinct()
    last_sent = {owner: sent.filter(owner=owner).first() or _LONG_AGO for owner in owners}
    if not last_sent:
        # PostgreSQL takes a constant in ORDER BY, which is what no owners make of their order, for a column's number.
        return waiting.none()
    longest_ago_first = sorted(last_sent, key=last_sent.__getitem__)
    place = Case(
        *(When(owner=owner, then=number) for number, owner in enumerate(longest_ago_first)), default=0
    )
    lost_first = F("leased_until").asc(nulls_last=True)
    round_ = Window(RowNumber(), partition_by="owner", order_by=[lost_first, "-urgency", "pk"])
    return waiting.alias(round=round_, place=place).order_by(lost_first, "round", "place")


def _free_places(now: datetime) -> dict[str, int]:
    """Return how many more jobs of each kind with waiting jobs may be on their way."""
    counts = (
        Job.objects.filter(state__in=ACTIVE)
        .values("kind")
        .annotate(busy=Count("pk", filter=_is_on_the_way(now)), waiting=Count("pk", filter=_is_unsent(now)))
        .filter(waiting__gt=0)
    )
    kinds = JOB_KINDS.get()
    free = {
        each["kind"]: kinds[each["kind"]].at_once - each["busy"] for each in counts if each["kind"] in kinds
    }
    return {name: number for name, number in free.items() if number > 0}


def _places_of_owners(kind: str, now: datetime) -> Counter[str]:
    """Return how many jobs of a kind each owner has on their way."""
    on_the_way = Job.objects.filter(_is_on_the_way(now), kind=kind)
    return Counter(on_the_way.values_list("owner", flat=True))


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
