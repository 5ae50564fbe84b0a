"""What comes of calls: the next attempt, the end of a delivery, the pause of a webhook."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

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
_REDIRECTS, _GONE = 300, 410
_SLOW_MS = 1000


@dataclass(frozen=True, slots=True)
class DeliveryOutcome:
    """What came of a call. unanswered: why there is no answer."""

    delivery: Delivery
    latency_ms: int
    answer: PostAnswer | None = None
    unanswered: str = ""

    @property
    def error(self) -> str:
        """Why it failed; "" if it was delivered."""
        if self.answer is None:
            return self.unanswered
        return f"answered {self.answer.status}" if self.answer.status >= _REDIRECTS else ""

    @property
    def is_gone(self) -> bool:
        return self.answer is not None and self.answer.status == _GONE

    def wait(self, seconds: float) -> timedelta:
        """Return how long to wait after a failed call: about so many seconds, but no less than the receiver asked for."""
        asked = (self.answer and self.answer.retry_after) or 0.0
        jittered = seconds * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 no secret
        return timedelta(seconds=max(jittered, min(asked, _LONGEST_RETRY_AFTER)))


def outcomes_record(called: Webhook, outcomes: Sequence[DeliveryOutcome], now: datetime) -> None:
    """Write what came of a batch, and give its webhook back.

    Nothing is written if the lease was lost: who has it now calls again.
    """
    with transaction.atomic():
        leased = Webhook.objects.select_for_update().filter(pk=called.pk, leased_until=called.leased_until)
        webhook = leased.first()
        if webhook is None:
            return
        for outcome in outcomes:
            Delivery.objects.filter(pk=outcome.delivery.pk).update(**_columns(outcome, now))
        webhook.leased_until = now
        if outcomes:
            _take_outcomes(webhook, outcomes, now)
        webhook.save()
        _pause_if_needed(webhook, outcomes, now)


def _columns(outcome: DeliveryOutcome, now: datetime) -> dict[str, Any]:
    """Return the columns of a delivery after a call."""
    attempts, answer = outcome.delivery.attempts + 1, outcome.answer
    columns = {
        "attempts": attempts,
        "status": answer and answer.status,
        "error": outcome.error[:200],
        "latency_ms": outcome.latency_ms,
        "answer": answer.body.decode(errors="replace").replace("\x00", "\ufffd") if answer else "",
    }
    if not outcome.error:
        return {**columns, "state": DELIVERED, "ended_at": now}
    if outcome.is_gone or attempts > len(SCHEDULE):
        return {**columns, "state": FAILED, "ended_at": now}
    return {**columns, "next_at": now + outcome.wait(SCHEDULE[attempts - 1])}


def _take_outcomes(webhook: Webhook, outcomes: Sequence[DeliveryOutcome], now: datetime) -> None:
    """Note whether the receiver fails. Of a batch at most the last call of each lane has failed."""
    failed = [outcome for outcome in outcomes if outcome.error]
    webhook.is_slow = bool(failed) or max(outcome.latency_ms for outcome in outcomes) > _SLOW_MS
    if len(failed) < len(outcomes):
        webhook.failing_since = webhook.retry_at = None
    if failed:
        probe = _PROBE if webhook.failing_since else _FIRST_PROBE
        webhook.retry_at = now + max(outcome.wait(probe) for outcome in failed)
        webhook.failing_since = webhook.failing_since or now


def _pause_if_needed(webhook: Webhook, outcomes: Sequence[DeliveryOutcome], now: datetime) -> None:
    """Pause a webhook after a 410, or after it failed for long. Callbacks end one by one."""
    if webhook.is_callback or webhook.failing_since is None:
        return
    if any(outcome.is_gone for outcome in outcomes):
        pending = webhook.deliveries.filter(state=PENDING)
        pending.update(state=FAILED, error="the receiver is gone", ended_at=now)
        webhook_pause(webhook=webhook, because=GONE, now=now)
    elif now - webhook.failing_since >= timedelta(hours=settings.WEBHOOK_PAUSE_HOURS):
        webhook_pause(webhook=webhook, because=FAILING, now=now)
