"""Sends deliveries: claims webhooks, calls their receivers in threads, and records what came of it.

Any number of processes may do so: a webhook belongs to one of them at a time, by a lease. The threads use no database.
"""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby
from queue import Empty, SimpleQueue
from threading import Event, Thread
from uuid import UUID, uuid4

from django.db.models import Case, Exists, F, OuterRef, Q, QuerySet, When
from django.utils import timezone

from ops.metrics.declarations import WEBHOOK_CALLS
from ops.outbound.exceptions import OutboundError
from ops.outbound.posting import PostAnswer, Poster
from ratelimit.credentials.identify import caller_of_principal
from webhooks.events import event_body, event_id, may_see
from webhooks.fan_out import events_fan_out
from webhooks.kinds import TEST
from webhooks.models import ACTIVE, OWNER_ENDED, PENDING, SECRET_LOST, Delivery, Webhook
from webhooks.outcomes import UNSEEN, DeliveryOutcome, outcomes_record
from webhooks.services import webhook_pause
from webhooks.signing import callback_secrets, opened_secret, signed_headers

logger = logging.getLogger(__name__)

# A batch has so many deliveries. It begins no call after so many seconds; the lease outlasts its last call.
_BATCH, _BATCH_SECONDS, LEASE = 100, 20, timedelta(seconds=60)
_LANES = 4
# Receivers that fail, or took longer than a second, have places of their own, so that they keep none of the others'.
MOST_FAST, MOST_SLOW = 8, 16
_SLOW_MS = 1000
_WAIT_SECONDS = 0.25


@dataclass(slots=True)
class _Batch:
    """Deliveries of a webhook. lanes: each is sent in its order, beside the others, until one call fails."""

    webhook: Webhook
    lease: UUID
    is_slow: bool
    secrets: Sequence[str]
    lanes: list[list[Delivery]]
    outcomes: list[DeliveryOutcome] = field(default_factory=list)
    failed: Event = field(default_factory=Event)


class Sender:
    """The sending of one process."""

    def __init__(self) -> None:
        self._running: dict[int, _Batch] = {}
        self._finished: SimpleQueue[_Batch] = SimpleQueue()
        # Each outcome is exported as 0 before the first call, so that monitoring sees the first one as an increase.
        for outcome in ("delivered", "failed"):
            WEBHOOK_CALLS.add(outcome, amount=0)

    def round(self, *, seconds: float) -> None:
        """Fan out, send and record until there is nothing to do, for about so many seconds."""
        until = time.monotonic() + seconds
        while True:
            now = timezone.now()
            is_busy = bool(events_fan_out(now=now))
            is_busy = self._start(now) or is_busy
            wait = 0 if is_busy or not self._running else _WAIT_SECONDS
            is_busy = self._record_finished(wait) or is_busy
            if not (is_busy or self._running) or time.monotonic() > until:
                return

    def _start(self, now: datetime) -> bool:
        """Claim webhooks with due deliveries, and call them in threads. Return whether any was claimed."""
        is_claimed = False
        for is_slow, most in ((False, MOST_FAST), (True, MOST_SLOW)):
            free = most - sum(batch.is_slow is is_slow for batch in self._running.values())
            for webhook in _ready(now, is_slow=is_slow).exclude(pk__in=self._running)[:free] if free else ():
                batch = _claimed(webhook, now, is_slow=is_slow)
                if batch is not None:
                    is_claimed = True
                    self._running[webhook.pk] = batch
                    Thread(target=self._send, args=(batch,), daemon=True).start()
        return is_claimed

    def _send(self, batch: _Batch) -> None:
        try:
            stop_at = time.monotonic() + _BATCH_SECONDS
            others = [
                Thread(target=_send_lane, args=(batch, lane, stop_at), daemon=True)
                for lane in batch.lanes[1:]
            ]
            for thread in others:
                thread.start()
            for lane in batch.lanes[:1]:
                _send_lane(batch, lane, stop_at)
            for thread in others:
                thread.join()
        finally:
            self._finished.put(batch)

    def _record_finished(self, wait: float) -> bool:
        """Record the batches that have ended, and return whether any has. wait: for the first so many seconds."""
        is_any = False
        try:
            while True:
                batch = self._finished.get(timeout=wait) if wait else self._finished.get_nowait()
                wait, is_any = 0, True
                del self._running[batch.webhook.pk]
                outcomes_record(batch.webhook, batch.lease, batch.outcomes, timezone.now())
        except Empty:
            return is_any


_sender = Sender()


def deliveries_send(*, now: datetime) -> None:
    """Fan out new events, and send what is due. A duty of the worker."""
    _sender.round(seconds=2)


def _ready(now: datetime, *, is_slow: bool) -> QuerySet[Webhook]:
    """Return the webhooks that may be claimed and have due deliveries; first the one that waits longest."""
    slow = Q(failures__gt=0) | Q(last_ms__gt=_SLOW_MS)
    due = Exists(_due(now).filter(webhook=OuterRef("pk")))
    return (
        _claimable(now)
        .filter(slow if is_slow else ~slow, due)
        .order_by(F("leased_until").asc(nulls_first=True))
    )


def _claimable(now: datetime) -> QuerySet[Webhook]:
    return Webhook.objects.filter(
        Q(leased_until=None) | Q(leased_until__lte=now), Q(retry_at=None) | Q(retry_at__lte=now), state=ACTIVE
    )


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


def _claimed(webhook: Webhook, now: datetime, *, is_slow: bool) -> _Batch | None:
    """Claim a webhook; None if another process was faster, or if it may not be called."""
    lease = uuid4()
    if not _claimable(now).filter(pk=webhook.pk).update(lease=lease, leased_until=now + LEASE):
        return None
    caller = caller_of_principal(webhook.owner, now=now)
    secrets = _secrets_of(webhook, now)
    if not webhook.is_callback and (caller is None or not secrets):
        webhook_pause(webhook=webhook, because=SECRET_LOST if caller else OWNER_ENDED, now=now)
        return None
    lanes: dict[int, list[Delivery]] = {}
    subjects: dict[str, int] = {}
    batch = _Batch(webhook, lease, is_slow, secrets, [])
    for delivery in _next_of(webhook, now):
        if caller is None or not may_see(caller, delivery.event):
            batch.outcomes.append(DeliveryOutcome(delivery, 0, error=UNSEEN))
            continue
        lane = subjects.setdefault(delivery.subject, len(subjects) % _LANES)
        lanes.setdefault(lane, []).append(delivery)
    batch.lanes = list(lanes.values())
    return batch


def _next_of(webhook: Webhook, now: datetime) -> QuerySet[Delivery]:
    """Return the deliveries of a batch. A webhook that fails gets one: a test before all others."""
    due = _due(now).filter(webhook=webhook).select_related("event")
    if webhook.failures:
        return due.order_by(Case(When(event__kind=TEST, then=0), default=1), "event")[:1]
    return due.order_by("event")[:_BATCH]


def _secrets_of(webhook: Webhook, now: datetime) -> list[str]:
    sealed = [webhook.secret]
    if webhook.old_secret_until is not None and webhook.old_secret_until > now:
        sealed.append(webhook.old_secret)
    return [] if webhook.is_callback else [secret for each in sealed if (secret := opened_secret(each))]


def _send_lane(batch: _Batch, lane: list[Delivery], stop_at: float) -> None:
    for url, of_url in groupby(lane, lambda each: each.url or batch.webhook.url):
        deliveries = list(of_url)
        try:
            with Poster("webhook", url) as poster:
                for delivery in deliveries:
                    if batch.failed.is_set() or time.monotonic() > stop_at:
                        return
                    _call(batch, poster, delivery)
        except OutboundError as error:
            batch.failed.set()
            batch.outcomes.append(DeliveryOutcome(deliveries[0], 0, error=str(error)))


def _call(batch: _Batch, poster: Poster, delivery: Delivery) -> None:
    body, began = event_body(delivery.event), time.monotonic()
    secrets = batch.secrets or callback_secrets(delivery.subject)
    headers = signed_headers(event_id(delivery.event), body, at=timezone.now(), of=secrets)
    answer: PostAnswer | None = None
    error = ""
    try:
        answer = poster.post(body, headers)
    except OutboundError as failure:
        error = str(failure)
    except Exception as failure:
        # Without an outcome the call would be repeated without a pause.
        logger.exception("a delivery could not be sent")
        error = f"the server failed ({type(failure).__name__})"
    outcome = DeliveryOutcome.of(delivery, int((time.monotonic() - began) * 1000), answer, error)
    WEBHOOK_CALLS.add("delivered" if outcome.is_delivered else "failed")
    if not outcome.is_delivered:
        batch.failed.set()
    batch.outcomes.append(outcome)
