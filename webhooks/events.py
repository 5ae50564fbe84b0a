"""Events: their kinds, how they are written, and the deliveries that are made of them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from threading import Lock
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

from cachetools import TTLCache, cached
from django.db import transaction

from ratelimit.access.denials import denial_of
from ratelimit.callers import Caller
from ratelimit.credentials.identify import caller_if_valid
from web.correlation import correlation_id
from web.endpoints import ANY_CALLER, Access
from webhooks.models import ACTIVE, Delivery, Webhook, WebhookEvent

_AT_ONCE = 100
_OWN = Access(ANY_CALLER)
_TRADING = Access("trading:read", sensitivity="confidential")
_MARKET = Access("market:read", sensitivity="internal")


@dataclass(frozen=True, slots=True)
class EventKind:
    """A kind of events. access: of whoever is told."""

    text: str
    access: Access = _OWN


TEST, WEBHOOK_PAUSED, ALERT_FIRED = "webhook.test", "webhook.paused", "alert.fired"
FEED_DOWN, FEED_UP = "feed.down", "feed.up"
EVENT_KINDS: Mapping[str, EventKind] = {
    "job.succeeded": EventKind("One's own job has succeeded."),
    "job.failed": EventKind("One's own job has failed."),
    "job.cancelled": EventKind("One's own job was cancelled."),
    "job.needs_confirmation": EventKind("One's own job needs confirmation."),
    "order.accepted": EventKind("An order passed all checks.", _TRADING),
    "order.rejected": EventKind("An order was refused by a check.", _TRADING),
    "order.partially_filled": EventKind("A part of an order was filled.", _TRADING),
    "order.filled": EventKind("An order was filled whole.", _TRADING),
    "order.cancelled": EventKind("An order was cancelled.", _TRADING),
    "order.replaced": EventKind("Another order took an order's place.", _TRADING),
    "order.expired": EventKind("An order expired.", _TRADING),
    "execution": EventKind("A fill, with quantity, price and fee.", _TRADING),
    "account.alert": EventKind(
        "An alert of an account, such as a changed drawdown zone, a halt or a margin call.", _TRADING
    ),
    "gap.found": EventKind("A gap is being filled, because an answer met it.", _MARKET),
    "gap.filled": EventKind("A gap was filled.", _MARKET),
    "gap.exhausted": EventKind("No source could fill a gap.", _MARKET),
    "correction": EventKind("Stored rows were corrected or cancelled.", _MARKET),
    FEED_DOWN: EventKind("A feed is down for a minute.", _MARKET),
    FEED_UP: EventKind("A feed that was down is live for a minute.", _MARKET),
    "key.expiring": EventKind("One's own key, or one that one owns, expires in 14, 7 or 1 days."),
    ALERT_FIRED: EventKind("One's own alert has fired.", Access("market:read")),
    WEBHOOK_PAUSED: EventKind("One's own other webhook was paused."),
    TEST: EventKind("The test that was asked for."),
}
# What webhooks may choose.
CHOOSABLE = tuple(name for name in EVENT_KINDS if name != TEST)


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
    uuid: UUID | None = None,
) -> WebhookEvent:
    """Write an event, within the transaction of what it tells. See `WebhookEvent`.

    callback_url: tell `owner` there, too. uuid: of what is told once, however often it is written.
    """
    columns = {"kind": kind, "subject": subject, "owner": owner, "account": account, "symbol": symbol}
    event, _ = WebhookEvent.objects.get_or_create(
        uuid=uuid or uuid4(),
        defaults={**columns, "correlation_id": correlation_id(), "data": data, "created_at": now},
    )
    if callback_url:
        delivery_make(event, _callback_webhook(owner, callback_url, now), now=now, url=callback_url)
    return event


def events_write(events: Iterable[WebhookEvent]) -> None:
    """Write those of the events whose kinds are chosen, within the transaction of what they tell.

    For events of which there are many: if nobody chose them, no row is written, and the usual call makes no query.
    """
    chosen = chosen_kinds()
    if chosen:
        WebhookEvent.objects.bulk_create([event for event in events if event.kind in chosen])


@cached(TTLCache(maxsize=1, ttl=1), lock=Lock())
def chosen_kinds() -> frozenset[str]:
    """Return the kinds that active webhooks chose, at most a second ago. Who changes a webhook calls `cache_clear`."""
    lists = Webhook.objects.filter(state=ACTIVE).order_by().values_list("kinds", flat=True).distinct()
    return frozenset(kind for kinds in lists for kind in kinds)


def delivery_make(event: WebhookEvent, webhook: Webhook, *, now: datetime, url: str = "") -> Delivery:
    """Make the delivery of an event to a webhook. It is due at once."""
    return Delivery.objects.create(
        event=event, webhook=webhook, url=url, subject=event.subject, next_at=now, created_at=now
    )


def _callback_webhook(owner: str, url: str, now: datetime) -> Webhook:
    """Return the row that stands for the origin of a callback URL: a dead receiver is one, whatever its paths."""
    origin = urlsplit(url)._replace(path="", query="").geturl().lower()
    return Webhook.objects.get_or_create(
        owner=owner, url=origin, is_callback=True, defaults={"created_at": now}
    )[0]


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
    callers = {owner: caller_if_valid(owner, now=now) for owner in {each.owner for each in webhooks}}
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
        and event.owner in ("", caller.identity)
        and denial_of(caller, kind.access) is None
        and (not event.account or caller.owns(event.account))
    )
