"""What comes of calls: the next attempt, the end of a delivery, the pause of a webhook."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self
from uuid import UUID

from django.conf import settings
from django.db import transaction

from ops.outbound.posting import PostAnswer
from webhooks.models import DELIVERED, FAILED, FAILING, GONE, PENDING, Delivery, Webhook
from webhooks.services import webhook_pause

# The seconds before each further attempt, as Standard Webhooks recommends. A tenth more or less, by chance.
SCHEDULE = (5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600, 10 * 3600)
_JITTER = 0.1
# A webhook that fails gets one call after the first of these, then one after the second until it answers.
_FIRST_PROBE, _PROBE = 5, 5 * 60
_LONGEST_RETRY_AFTER = 24 * 3600
UNSEEN = "the owner may not be told of this event now"
_REDIRECTS, _GONE = 300, 410


@dataclass(frozen=True, slots=True)
class DeliveryOutcome:
    """What came of a call. status: None without an answer."""

    delivery: Delivery
    latency_ms: int
    status: int | None = None
    error: str = ""
    answer: str = ""
    retry_after: float | None = None

    @property
    def is_delivered(self) -> bool:
        return self.status is not None and 200 <= self.status < _REDIRECTS

    @classmethod
    def of(cls, delivery: Delivery, latency_ms: int, answer: PostAnswer | None, error: str) -> Self:
        """Return what came of a call. error: why there is no answer."""
        if answer is None:
            return cls(delivery, latency_ms, error=error)
        text = answer.body.decode(errors="replace").replace("\x00", "\ufffd")
        error = "" if answer.status < _REDIRECTS else f"answered {answer.status}"
        return cls(delivery, latency_ms, answer.status, error, text, answer.retry_after)


def outcomes_record(called: Webhook, lease: UUID, outcomes: Sequence[DeliveryOutcome], now: datetime) -> None:
    """Write what came of a batch, and give its webhook back, unless another process has it."""
    with transaction.atomic():
        for outcome in outcomes:
            pending = Delivery.objects.filter(pk=outcome.delivery.pk, state=PENDING)
            pending.update(**_columns(outcome, now))
        webhook = Webhook.objects.select_for_update().filter(pk=called.pk, lease=lease).first()
        if webhook is None:
            return
        webhook.lease, webhook.leased_until = None, now
        _take_outcomes(webhook, outcomes, now)
        webhook.save()
        _pause_if_needed(webhook, outcomes, now)


def _columns(outcome: DeliveryOutcome, now: datetime) -> dict[str, object]:
    """Return the columns of a delivery after a call."""
    attempts = outcome.delivery.attempts + 1
    called = {
        "status": outcome.status,
        "error": outcome.error[:200],
        "latency_ms": outcome.latency_ms,
        "answer": outcome.answer,
    }
    is_over = outcome.status == _GONE or outcome.error == UNSEEN or attempts > len(SCHEDULE)
    if outcome.is_delivered or is_over:
        return {
            **called,
            "attempts": attempts,
            "state": DELIVERED if outcome.is_delivered else FAILED,
            "ended_at": now,
        }
    wait = max(_jittered(SCHEDULE[attempts - 1]), _asked(outcome))
    return {**called, "attempts": attempts, "next_at": now + timedelta(seconds=wait)}


def _take_outcomes(webhook: Webhook, outcomes: Sequence[DeliveryOutcome], now: datetime) -> None:
    """Count the calls of a batch, of which at most the last ones of its lanes failed."""
    calls = [outcome for outcome in outcomes if outcome.error != UNSEEN]
    failed = [outcome for outcome in calls if not outcome.is_delivered]
    if not calls:
        return
    webhook.last_ms = max(outcome.latency_ms for outcome in calls)
    if not failed:
        webhook.failures, webhook.failing_since, webhook.retry_at = 0, None, None
        return
    if len(failed) < len(calls):
        webhook.failures, webhook.failing_since = 0, None
    probe = _PROBE if webhook.failures else _FIRST_PROBE
    wait = max(_jittered(probe), *map(_asked, failed))
    webhook.failures += 1
    webhook.failing_since = webhook.failing_since or now
    webhook.retry_at = now + timedelta(seconds=wait)


def _pause_if_needed(webhook: Webhook, outcomes: Sequence[DeliveryOutcome], now: datetime) -> None:
    """Pause a webhook after a 410, or after it failed for long. Callbacks end one by one."""
    if webhook.is_callback or webhook.failing_since is None:
        return
    if any(outcome.status == _GONE for outcome in outcomes):
        webhook.deliveries.filter(state=PENDING).update(
            state=FAILED, error="the receiver is gone", ended_at=now
        )
        webhook_pause(webhook=webhook, because=GONE, now=now)
    elif now - webhook.failing_since >= timedelta(hours=settings.WEBHOOK_PAUSE_HOURS):
        webhook_pause(webhook=webhook, because=FAILING, now=now)


def _asked(outcome: DeliveryOutcome) -> float:
    return min(outcome.retry_after or 0.0, _LONGEST_RETRY_AFTER)


def _jittered(seconds: float) -> float:
    return seconds * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 no secret
