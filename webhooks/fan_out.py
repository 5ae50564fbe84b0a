"""Makes a delivery for each event and webhook that match."""

from datetime import datetime

from django.db import transaction

from ratelimit.callers import Caller
from ratelimit.credentials.identify import caller_of_principal
from webhooks.events import may_see, webhooks_of
from webhooks.models import Delivery, Webhook, WebhookEvent

_AT_ONCE = 100


def events_fan_out(*, now: datetime) -> int:
    """Make the deliveries of the oldest hundred new events; return how many events these were.

    Concurrent calls take turns, because deliveries of one subject are made in the order of its events.
    """
    new = WebhookEvent.objects.filter(fanned_out_at=None).order_by("pk")
    # On SQLite a transaction excludes all other writers.
    if not new.exists():
        return 0
    with transaction.atomic():
        events = list(new.select_for_update()[:_AT_ONCE])
        if events:
            Delivery.objects.bulk_create(_deliveries(events, now), ignore_conflicts=True)
            WebhookEvent.objects.filter(pk__in=[each.pk for each in events]).update(fanned_out_at=now)
    return len(events)


def _deliveries(events: list[WebhookEvent], now: datetime) -> list[Delivery]:
    webhooks = list(webhooks_of(tuple({each.kind for each in events})))
    callers = {
        owner: caller_of_principal(owner, now=now) for owner in {webhook.owner for webhook in webhooks}
    }
    return [
        Delivery(event=event, webhook=webhook, subject=event.subject, next_at=now, created_at=now)
        for event in events
        for webhook in webhooks
        if _wants(webhook, event, callers[webhook.owner])
    ]


def _wants(webhook: Webhook, event: WebhookEvent, caller: Caller | None) -> bool:
    """Return whether a webhook chose an event that its owner may see. A filter is for events that have what it filters."""
    return (
        caller is not None
        and event.kind in webhook.kind_names
        and (not event.account or not webhook.accounts or event.account in webhook.accounts)
        and (not event.symbol or not webhook.symbols or event.symbol in webhook.symbols)
        and may_see(caller, event)
    )
