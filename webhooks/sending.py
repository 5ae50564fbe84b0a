"""Sends deliveries: claims webhooks, calls their receivers in threads, and records what came of it.

Any number of processes may do so: a webhook belongs to one of them at a time, by a lease. The threads use no database.
"""

import logging
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby
from queue import Empty, SimpleQueue
from threading import Thread

from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from ops.metrics.declarations import WEBHOOK_CALLS
from ops.outbound.exceptions import OutboundError
from ops.outbound.posting import Poster
from ratelimit.credentials.identify import caller_if_valid
from web.correlation import correlated
from webhooks.events import events_fan_out, may_see
from webhooks.models import ACTIVE, FAILED, OWNER_ENDED, PENDING, SECRET_LOST, Delivery, Webhook
from webhooks.outcomes import DeliveryOutcome, outcomes_record
from webhooks.services import webhook_pause
from webhooks.signing import callback_secrets, signed_request, webhook_secrets

logger = logging.getLogger(__name__)

# A batch has so many deliveries, one of a receiver that fails. It begins no call after so many seconds; the lease
# outlasts its last call.
_BATCH, _BATCH_SECONDS, LEASE = 100, 20, timedelta(seconds=60)
_LANES = 4
# Receivers that are slow, fail or were never called have places of their own, so that they keep none of the others'.
MOST_FAST, MOST_SLOW = 8, 16
# An owner has one of so many places.
_SHARE = 4
_WAIT_SECONDS = 0.25
_UNSEEN = "the owner may not be told of this event now"


@dataclass(slots=True, eq=False)
class _Batch:
    """Deliveries of a webhook. lanes: each is sent in its order by a thread, beside the others, until one call fails."""

    webhook: Webhook
    secrets: Sequence[str]
    lanes: list[list[Delivery]]
    lanes_ended: int = 0
    has_failed: bool = False
    outcomes: list[DeliveryOutcome] = field(default_factory=list)
    stop_at: float = field(default_factory=lambda: time.monotonic() + _BATCH_SECONDS)

    def send(self, lane: list[Delivery]) -> None:
        """Send the deliveries of a lane. Those of one URL share a connection."""
        for url, deliveries in groupby(lane, lambda delivery: delivery.url or self.webhook.url):
            with Poster("webhook", url) as poster:
                for delivery in deliveries:
                    if self.has_failed or time.monotonic() > self.stop_at:
                        return
                    self._call(poster, delivery)

    def _call(self, poster: Poster, delivery: Delivery) -> None:
        secrets = self.secrets or callback_secrets(delivery.subject)
        body, headers = signed_request(delivery.event, secrets, now=timezone.now())
        began, answer, error = time.monotonic(), None, ""
        try:
            with correlated(delivery.event.correlation_id):
                answer = poster.post(body, headers)
        except OutboundError as failure:
            error = str(failure)
        except Exception as failure:
            # Without an outcome the call would be repeated without a pause.
            logger.exception("a delivery could not be sent")
            error = f"the server failed ({type(failure).__name__})"
        outcome = DeliveryOutcome(delivery, int((time.monotonic() - began) * 1000), answer, error)
        WEBHOOK_CALLS.labels("failed" if outcome.error else "delivered").inc()
        self.outcomes.append(outcome)
        if outcome.error:
            self.has_failed = True


class Sender:
    """The sending of one process."""

    def __init__(self) -> None:
        self._running: list[_Batch] = []
        # A batch for each of its lanes that has ended.
        self._ended: SimpleQueue[_Batch] = SimpleQueue()
        # When a webhook of an owner was claimed last, in `time.monotonic`.
        self._turns: dict[str, float] = {}
        # Each outcome is exported as 0 before the first call, so that monitoring sees the first one as an increase.
        for outcome in ("delivered", "failed"):
            WEBHOOK_CALLS.labels(outcome)

    def round(self, *, seconds: float) -> None:
        """Fan out, send and record until there is nothing to do, for about so many seconds."""
        until, is_busy = time.monotonic() + seconds, True
        while (is_busy or self._running) and time.monotonic() < until:
            is_recorded = self._record(0 if is_busy else _WAIT_SECONDS)
            now = timezone.now()
            is_busy = any([is_recorded, events_fan_out(now=now), self._start(now)])

    def _start(self, now: datetime) -> bool:
        """Claim webhooks with due deliveries, and call them in threads. Return whether any was claimed.

        At most one of each owner: the owner whose last turn was the longest ago comes first.
        """
        before = len(self._running)
        for is_slow, most in ((False, MOST_FAST), (True, MOST_SLOW)):
            held = Counter(batch.webhook.owner for batch in self._running if batch.webhook.is_slow is is_slow)
            full = [owner for owner, count in held.items() if count >= most // _SHARE]
            ready = _ready(now, is_slow=is_slow).exclude(owner__in=full)
            owners = ready.order_by().values_list("owner", flat=True).distinct()
            by_turn = sorted(owners, key=lambda owner: self._turns.get(owner, 0))
            for owner in by_turn[: most - held.total()]:
                self._turns[owner] = time.monotonic()
                self._begin(ready.filter(owner=owner).first(), now)
        return len(self._running) > before

    def _begin(self, webhook: Webhook | None, now: datetime) -> None:
        batch = webhook and _claimed(webhook, now)
        if batch:
            self._running.append(batch)
            for lane in batch.lanes:
                Thread(target=self._send, args=(batch, lane), daemon=True).start()

    def _send(self, batch: _Batch, lane: list[Delivery]) -> None:
        try:
            batch.send(lane)
        finally:
            self._ended.put(batch)

    def _record(self, wait: float) -> bool:
        """Record the batches that have ended, and return whether any has. wait: for the first so many seconds."""
        is_any = False
        with suppress(Empty):
            while True:
                batch = self._ended.get(timeout=wait)
                batch.lanes_ended += 1
                if batch.lanes_ended == len(batch.lanes):
                    wait, is_any = 0, True
                    self._running.remove(batch)
                    outcomes_record(batch.webhook, batch.outcomes, timezone.now())
        return is_any


_sender = Sender()


def deliveries_send(*, now: datetime) -> None:
    """Fan out new events, and send what is due. A duty of the worker."""
    _sender.round(seconds=2)


def _ready(now: datetime, *, is_slow: bool) -> QuerySet[Webhook]:
    """Return the webhooks that may be claimed and have due deliveries; first the one that waits longest."""
    due = Exists(_due(now).filter(webhook=OuterRef("pk")))
    ready = Webhook.objects.filter(due, state=ACTIVE, is_slow=is_slow, leased_until__lte=now)
    return ready.exclude(retry_at__gt=now).order_by("leased_until")


def _due(now: datetime) -> QuerySet[Delivery]:
    """Return the pending deliveries that are due and whose subject has no earlier one that is not."""
    earlier = Delivery.objects.filter(
        webhook=OuterRef("webhook"),
        subject=OuterRef("subject"),
        event__lt=OuterRef("event"),
        state=PENDING,
        next_at__gt=now,
    )
    return Delivery.objects.filter(~Exists(earlier), state=PENDING, next_at__lte=now)


def _claimed(webhook: Webhook, now: datetime) -> _Batch | None:
    """Claim a webhook; None if another process was faster, or if it may not be called."""
    unclaimed = Webhook.objects.filter(pk=webhook.pk, state=ACTIVE, leased_until=webhook.leased_until)
    webhook.leased_until = now + LEASE
    if not unclaimed.update(leased_until=webhook.leased_until):
        return None
    caller = caller_if_valid(webhook.owner, now=now)
    secrets = webhook_secrets(webhook, now=now)
    if not webhook.is_callback and (caller is None or not secrets):
        webhook_pause(webhook=webhook, because=SECRET_LOST if caller else OWNER_ENDED, now=now)
        return None
    lanes: list[list[Delivery]] = [[] for _ in range(_LANES)]
    lane_of: dict[str, list[Delivery]] = {}
    due = _due(now).filter(webhook=webhook).select_related("event").order_by("event")
    for delivery in due[: 1 if webhook.failing_since else _BATCH]:
        if may_see(caller, delivery.event):
            lane_of.setdefault(delivery.subject, lanes[len(lane_of) % _LANES]).append(delivery)
        else:
            unseen = Delivery.objects.filter(pk=delivery.pk)
            unseen.update(state=FAILED, error=_UNSEEN, ended_at=now)
    return _Batch(webhook, secrets, lanes[: len(lane_of) or 1])
