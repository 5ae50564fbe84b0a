"""Webhooks are told of a feed that is down, and of one that is up again: after a minute, once."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sources.feed_events import feeds_watch
from sources.feed_status import FeedState, publish
from sources.models import ToldFeed
from tests.sources.test_feed_status import status
from webhooks.models import WebhookEvent

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("project_redis")]
START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _feeds(settings: Any) -> None:
    settings.FEEDS = (("binance", "BTC/USDT", ""), ("binance", "ETH/USDT", ""))


def watch(seconds: int, **states: FeedState) -> list[str]:
    """Let the duty look, so many seconds after the start; return all events."""
    publish([status(f"{base}-USDT", state=state, message="451") for base, state in states.items()])
    feeds_watch(now=START + timedelta(seconds=seconds))
    events = WebhookEvent.objects.order_by("pk").values_list("kind", "symbol")
    return [f"{kind} {symbol}" for kind, symbol in events]


def test_a_feed_is_down_after_a_minute_and_that_is_told_once() -> None:
    assert watch(0, BTC="waiting", ETH="live") == []
    assert watch(59, BTC="refused", ETH="live") == []
    assert watch(60, BTC="refused", ETH="live") == ["feed.down BTC-USDT"]
    assert watch(200, BTC="refused", ETH="live") == ["feed.down BTC-USDT"]
    assert WebhookEvent.objects.get().data == {
        "symbol": "BTC-USDT", "source": "binance", "name": "BTC/USDT", "state": "refused", "message": "451",
        "since": "2026-01-02T03:04:05Z", "newest": None,
    }  # fmt: skip


def test_a_feed_is_up_again_after_a_minute_of_rows() -> None:
    for seconds in (0, 60):
        watch(seconds, BTC="waiting", ETH="live")
    down = ["feed.down BTC-USDT"]
    assert watch(70, BTC="filling", ETH="live") == down
    assert watch(140, BTC="live", ETH="live") == down
    assert watch(170, BTC="waiting", ETH="live") == down
    assert watch(180, BTC="live", ETH="live") == down
    assert watch(239, BTC="live", ETH="live") == down
    assert watch(240, BTC="live", ETH="live") == [*down, "feed.up BTC-USDT"]


def test_a_cut_of_less_than_a_minute_is_not_told() -> None:
    for seconds in (0, 50):
        assert watch(seconds, BTC="waiting", ETH="live") == []
    watch(55, BTC="live", ETH="live")
    assert watch(70, BTC="waiting", ETH="live") == []


def test_feeds_without_a_process_are_down() -> None:
    watch(0)
    assert watch(61) == ["feed.down BTC-USDT", "feed.down ETH-USDT"]


def test_while_redis_is_away_nothing_is_told(project_redis: Any) -> None:
    watch(0, BTC="live", ETH="live")
    project_redis.kill()
    for seconds in (1, 100):
        feeds_watch(now=START + timedelta(seconds=seconds))
    assert not WebhookEvent.objects.exists()


def test_a_feed_that_nobody_wants_any_more_is_forgotten(settings: Any) -> None:
    for seconds in (0, 60):
        watch(seconds, BTC="waiting", ETH="live")
    settings.FEEDS = ()
    assert watch(61) == ["feed.down BTC-USDT"]
    assert not ToldFeed.objects.exists()
