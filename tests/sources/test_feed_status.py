"""What the feed process says is read by every process, until it says nothing for 30 seconds."""

from typing import Any

import pytest
from msgspec.structs import replace

from ops.redis.script import redis_call
from sources.feed_status import FeedStatus, publish, read_statuses

pytestmark = pytest.mark.usefixtures("project_redis")


def status(symbol: str, **changes: Any) -> FeedStatus:
    """Return a status of a live feed of trades."""
    usual = FeedStatus(
        symbol=symbol,
        source="binance",
        name=symbol.replace("-", "/"),
        dataset="trades",
        resolution="",
        state="live",
        since_ns=1_700_000_000_000_000_000,
    )
    return replace(usual, **changes)


def test_statuses_are_read_as_they_were_published_by_symbol() -> None:
    bitcoin, ether = status("BTC-USDT"), status("ETH-USDT")
    publish([ether, bitcoin])
    assert read_statuses() == [bitcoin, ether]


def test_statuses_are_replaced_and_expire() -> None:
    publish([status("BTC-USDT"), status("ETH-USDT")])
    publish([status("ETH-USDT")])
    assert [each.symbol for each in read_statuses()] == ["ETH-USDT"]
    assert 25 < redis_call("TTL", "sources:feeds") <= 30
    redis_call("DEL", "sources:feeds")
    assert read_statuses() == []
