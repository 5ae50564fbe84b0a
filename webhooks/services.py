"""Services of webhooks: create, change, rotate, pause, resume, delete, test, replay; delete what is old."""

from datetime import datetime, timedelta
from typing import Any, TypeVar

from django.conf import settings
from django.db import transaction
from django.db.models import Count, Model, QuerySet

from ratelimit.callers import Caller
from ratelimit.credentials.identify import caller_if_valid
from store.instant_text import format_instant
from web.requests.field_errors import field_refusal
from webhooks.events import TEST, WEBHOOK_PAUSED, chosen_kinds, delivery_make, event_write
from webhooks.models import ACTIVE, BY_OWNER, PAUSED, PENDING, Delivery, MarketAlert, Webhook, WebhookEvent
from webhooks.signing import new_secret, sealed_secret

Row = TypeVar("Row", bound=Model)
MOST_WEBHOOKS = 100
# Of an owner, also of its callbacks.
MOST_DELIVERIES = 100_000
_DELETED_AT_ONCE = 10_000


def check_fewer(own: QuerySet[Row], most: int, *, field: str, named: str) -> None:
    """Raise ValidationError if there are so many rows. For the transaction that adds a row: concurrent calls take turns."""
    own.select_for_update().order_by("pk").first()
    if own.count() >= most:
        raise field_refusal(field, f"the caller has {most:,} {named}, the most; delete one", "too_many")


@transaction.atomic
def webhook_create(*, caller: Caller, values: dict[str, Any], now: datetime) -> tuple[Webhook, str]:
    """Create a webhook; return it with its secret. Raises ValidationError if the caller has MOST_WEBHOOKS."""
    own = Webhook.objects.filter(owner=caller.identity, is_callback=False)
    check_fewer(own, MOST_WEBHOOKS, field="url", named="webhooks")
    secret = new_secret()
    columns = {"owner": caller.identity, "created_at": now}
    webhook = Webhook.objects.create(**columns, **values, secret=sealed_secret(secret))
    chosen_kinds.cache_clear()
    return webhook, secret


def webhook_change(*, webhook: Webhook, values: dict[str, Any], now: datetime) -> None:
    """Change what values are given. A pause keeps what is pending; see `webhook_resume`."""
    state = values.pop("state", webhook.state)
    for name, value in values.items():
        setattr(webhook, name, value)
    webhook.save(update_fields=values)
    chosen_kinds.cache_clear()
    if state != webhook.state:
        if state == ACTIVE:
            webhook_resume(webhook=webhook, now=now)
        else:
            webhook_pause(webhook=webhook, because=BY_OWNER, now=now)


def webhook_rotate(*, webhook: Webhook, overlap: timedelta, now: datetime) -> str:
    """Return a new secret. For the overlap each call is signed with the former one, too.

    Raises ValidationError while the overlap of an earlier rotation lasts, unless the new one is zero.
    """
    until = webhook.old_secret_until
    if overlap and until is not None and until > now:
        message = f"the former secret is used until {format_instant(until)}; rotate then, or end its use by 0"
        raise field_refusal("overlap_seconds", message, "out_of_range")
    secret = new_secret()
    webhook.secret, webhook.old_secret = sealed_secret(secret), webhook.secret
    webhook.old_secret_until = now + overlap
    webhook.save(update_fields=["secret", "old_secret", "old_secret_until"])
    return secret


def webhook_pause(*, webhook: Webhook, because: str, now: datetime) -> None:
    """Pause a webhook, and tell its owner by the event of it. because: see `webhooks.models`."""
    with transaction.atomic():
        active = Webhook.objects.filter(pk=webhook.pk, state=ACTIVE)
        if active.update(state=PAUSED, paused_because=because):
            webhook.state, webhook.paused_because = PAUSED, because
            data = {"id": str(webhook.uuid), "url": webhook.url, "paused_because": because}
            event_write(
                kind=WEBHOOK_PAUSED, subject=_subject(webhook), data=data, owner=webhook.owner, now=now
            )


def webhook_resume(*, webhook: Webhook, now: datetime) -> None:
    """Call a webhook again, at once with what is pending."""
    with transaction.atomic():
        webhook.deliveries.filter(state=PENDING).update(next_at=now, attempts=0)
        webhook.state, webhook.paused_because = ACTIVE, ""
        webhook.failing_since = webhook.retry_at = None
        webhook.save(update_fields=["state", "paused_because", "failing_since", "retry_at"])
    chosen_kinds.cache_clear()


def webhook_test(*, webhook: Webhook, now: datetime) -> Delivery:
    """Send a test event to a webhook, to one that fails at once, too; a paused one gets it when it is resumed."""
    with transaction.atomic():
        data = {"webhook": str(webhook.uuid)}
        event = event_write(kind=TEST, subject=_subject(webhook), owner=webhook.owner, data=data, now=now)
        Webhook.objects.filter(pk=webhook.pk).update(retry_at=None)
        return delivery_make(event, webhook, now=now)


def delivery_replay(*, delivery: Delivery, now: datetime) -> None:
    """Send a delivery again, with the same id, whatever its state."""
    delivery.state, delivery.attempts, delivery.next_at, delivery.ended_at = PENDING, 0, now, None
    delivery.save(update_fields=["state", "attempts", "next_at", "ended_at"])
    Webhook.objects.filter(pk=delivery.webhook_id).update(retry_at=None)


def _subject(webhook: Webhook) -> str:
    return f"webhook:{webhook.uuid}"


def events_delete_old(*, now: datetime) -> None:
    """Delete what is no longer needed.

    Events that are WEBHOOK_RETENTION_DAYS old, with their deliveries; deliveries beyond MOST_DELIVERIES of an owner; origins of
    callbacks without deliveries; alerts whose owner's credential ended.
    """
    oldest = now - timedelta(days=settings.WEBHOOK_RETENTION_DAYS)
    WebhookEvent.objects.filter(created_at__lte=oldest).delete()
    counted = Webhook.objects.order_by().values_list("owner", flat=True).annotate(count=Count("deliveries"))
    for owner in counted.filter(count__gt=MOST_DELIVERIES):
        newest_first = Delivery.objects.filter(webhook__owner=owner).order_by("-pk")
        beyond = list(newest_first.values_list("pk", flat=True)[MOST_DELIVERIES:])
        # All at once would keep other writers waiting.
        for first in range(0, len(beyond), _DELETED_AT_ONCE):
            Delivery.objects.filter(pk__in=beyond[first : first + _DELETED_AT_ONCE]).delete()
    Webhook.objects.filter(is_callback=True, deliveries=None).delete()
    for owner in MarketAlert.objects.order_by().values_list("owner", flat=True).distinct():
        if caller_if_valid(owner, now=now) is None:
            MarketAlert.objects.filter(owner=owner).delete()
