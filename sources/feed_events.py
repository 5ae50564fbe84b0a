"""Tells webhooks of feeds that are down, and of those that are up again."""

from datetime import datetime, timedelta

from django.db import transaction
from redis.exceptions import RedisError

from sources.feed_status import ShownFeed, shown_feeds
from sources.models import ToldFeed
from store.instant_text import format_instant
from store.timestamps import format_timestamp
from webhooks.events import FEED_DOWN, FEED_UP, event_write

AFTER = timedelta(seconds=60)


def feeds_watch(*, now: datetime) -> None:
    """Write an event for each feed that was down, or up again, for AFTER: one for each change.

    While Redis is away, nobody knows how feeds do, and nothing is told. A feed that fills a hole is not up yet.
    """
    try:
        feeds = {feed.symbol: feed for feed in shown_feeds()}
    except RedisError:
        return
    told = {row.symbol: row for row in ToldFeed.objects.all()}
    ToldFeed.objects.filter(symbol__in=told.keys() - feeds.keys()).delete()
    for symbol, feed in feeds.items():
        if feed.state != "filling":
            _watch(feed, told.get(symbol) or ToldFeed(symbol=symbol), now)


def _watch(feed: ShownFeed, told: ToldFeed, now: datetime) -> None:
    is_down = not feed.is_up
    if is_down == told.is_down:
        if told.changed_at is not None:
            told.changed_at = None
            told.save()
    elif told.changed_at is None:
        told.changed_at = now
        told.save()
    elif now - told.changed_at >= AFTER:
        with transaction.atomic():
            row = ToldFeed.objects.filter(symbol=told.symbol, is_down=told.is_down)
            if row.update(is_down=is_down, changed_at=None):
                _tell(feed, since=told.changed_at, now=now)


def _tell(feed: ShownFeed, *, since: datetime, now: datetime) -> None:
    data = {
        "symbol": feed.symbol,
        "source": feed.source,
        "name": feed.name,
        "state": feed.state,
        "message": feed.message,
        "since": format_instant(since),
        "newest": None if feed.newest_ns is None else format_timestamp(feed.newest_ns),
    }
    kind = FEED_UP if feed.is_up else FEED_DOWN
    event_write(kind=kind, subject=f"symbol:{feed.symbol}", symbol=feed.symbol, data=data, now=now)
