"""Makes a delivery for each event and webhook that match."""

from datetime import datetime

from django.db import transaction

from ratelimit.access.denials import denial_of
from ratelimit.callers import Caller
from ratelimit.credentials.identify import caller_of_principal
from webhooks.events import EVENT_KINDS
from webhooks.models import ACTIVE, Delivery, Webhook, WebhookEvent

_AT_ONCE = 100


def events_fan_out(*, now: datetime) -> bool:
    """Make the deliveries of the oldest hundred new events; return whether there were any.

    Concurrent calls take turns, because deliveries of one subject are made in the order of its events.
    """
    new = WebhookEvent.objects.filter(fanned_out_at=None).order_by("pk")
    # On SQLite a transaction excludes all other writers.
    if not new.exists():
        return False
    with transaction.atomic():
        events = list(new.select_for_update()[:_AT_ONCE])
        Delivery.objects.bulk_create(_deliveries(events, now), ignore_conflicts=True)
        WebhookEvent.objects.filter(pk__in=[each.pk for each in events]).update(fanned_out_at=now)
    return True


def _deliveries(events: list[WebhookEvent], now: datetime) -> list[Delivery]:
    kinds = {event.kind for event in events}
    webhooks = [each for each in Webhook.objects.filter(state=ACTIVE) if kinds.intersection(each.kinds)]
    callers = {owner: caller_of_principal(owner, now=now) for owner in {each.owner for each in webhooks}}
    return [
        Delivery(event=event, webhook=webhook, subject=event.subject, next_at=now, created_at=now)
        for event in events
        for webhook in webhooks
        if _is_chosen(event, webhook) and may_see(callers[webhook.owner], event)
    ]


def _is_chosen(event: WebhookEvent, webhook: Webhook) -> bool:
    """Return whether a webhook chose an event. A filter is for events that have what it filters."""
    return (
        event.kind in webhook.kinds
        and (not event.account or not webhook.accounts or event.account in webhook.accounts)
        and (not event.symbol or not webhook.symbols or event.symbol in webhook.symbols)
    )


def may_see(caller: Caller | None, event: WebhookEvent) -> bool:
    """Return whether a caller may be told of an event. Its grants count as they are now. None may see nothing."""
    kind = EVENT_KINDS.get(event.kind)
    return (
        caller is not None
        and kind is not None
        and event.owner in ("", caller.principal)
        and denial_of(caller, kind.access) is None
        and (not event.account or caller.owns(event.account))
    )
