"""Events: written in the transaction of what they tell, seen by those who may."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import reduce
from operator import or_
from threading import Lock
from typing import Any

import orjson
from cachetools import TTLCache, cached
from django.db.models import Q, QuerySet

from ratelimit.access.denials import denial_of
from ratelimit.callers import Caller
from store.instant_text import format_instant
from webhooks.kinds import EVENT_KINDS
from webhooks.models import ACTIVE, Delivery, Webhook, WebhookEvent


def event_write(
    *,
    kind: str,
    subject: str,
    data: Mapping[str, Any],
    now: datetime,
    owner: str = "",
    account: str = "",
    symbol: str = "",
    callback_url: str = "",
) -> None:
    """Write an event, within the transaction of what it tells. See `WebhookEvent`.

    Nothing is written if no active webhook chose the kind: that costs one query. callback_url: tell `owner` there, too.
    """
    if not callback_url and kind not in chosen_kinds(owner):
        return
    event = WebhookEvent.objects.create(
        kind=kind, subject=subject, owner=owner, account=account, symbol=symbol, data=data, created_at=now
    )
    if callback_url:
        delivery_make(event, _callback_webhook(owner, callback_url, now), now=now, url=callback_url)


def events_write(events: Iterable[WebhookEvent]) -> None:
    """Write those of the events whose kinds are chosen, within the transaction of what they tell.

    For events of which there are many: a webhook that another process has made is known a second later, and the
    usual call makes no query.
    """
    chosen = recently_chosen_kinds()
    if chosen:
        WebhookEvent.objects.bulk_create([event for event in events if event.kind in chosen])


@cached(TTLCache(maxsize=1, ttl=1), lock=Lock())
def recently_chosen_kinds() -> frozenset[str]:
    """Return `chosen_kinds`, at most a second old. A process that changes a webhook calls its `cache_clear`."""
    return chosen_kinds()


def chosen_kinds(owner: str = "") -> frozenset[str]:
    """Return the kinds that active webhooks chose, or those of an owner: one query."""
    webhooks = Webhook.objects.filter(state=ACTIVE, is_callback=False)
    lists = (webhooks.filter(owner=owner) if owner else webhooks).order_by().values_list("kinds", flat=True)
    return frozenset(kind for kinds in lists.distinct() for kind in kinds.split())


def webhooks_of(kinds: tuple[str, ...]) -> QuerySet[Webhook]:
    """Return the active webhooks that chose one of these kinds."""
    chosen = reduce(or_, (Q(kinds__contains=f" {kind} ") for kind in kinds))
    return Webhook.objects.filter(chosen, state=ACTIVE)


def delivery_make(event: WebhookEvent, webhook: Webhook, *, now: datetime, url: str = "") -> Delivery:
    """Make the delivery of an event to a webhook. It is due at once."""
    return Delivery.objects.create(
        event=event, webhook=webhook, url=url, subject=event.subject, next_at=now, created_at=now
    )


def _callback_webhook(owner: str, url: str, now: datetime) -> Webhook:
    """Return the row that stands for the origin of a callback URL: a dead receiver is one, whatever its paths."""
    scheme, _, rest = url.partition("://")
    origin = f"{scheme}://{rest.partition('/')[0].partition('?')[0]}".lower()
    columns = {"created_by": owner, "created_at": now}
    return Webhook.objects.get_or_create(owner=owner, url=origin, is_callback=True, defaults=columns)[0]


def may_see(caller: Caller, event: WebhookEvent) -> bool:
    """Return whether a caller may be told of an event. Its grants count as they are now."""
    kind = EVENT_KINDS.get(event.kind)
    return (
        kind is not None
        and event.owner in ("", caller.principal)
        and denial_of(caller, kind.access) is None
        and (not event.account or caller.owns(event.account))
    )


def event_id(event: WebhookEvent) -> str:
    """Return the `webhook-id`: the same in all calls for the event."""
    return f"evt_{event.uuid.hex}"


def event_body(event: WebhookEvent) -> bytes:
    """Return the body of a call."""
    timestamp = format_instant(event.created_at)
    return orjson.dumps({"type": event.kind, "timestamp": timestamp, "data": event.data})
