"""WebSockets without a credential have a bucket of their address that no other call of the address empties."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import RequestFactory

from ratelimit.authorize import LimitReached
from ratelimit.limits.services import admit_address
from stats.live.application import LiveFeed
from stats.live.hub import Lanes
from tests.api_client import Api
from web.correlation import ENVIRON_NAME

ADDRESS, OTHER = "192.0.2.1", "192.0.2.2"
OFFICE = 100


@pytest.fixture
def feed(db: Any, project_redis: Any, settings: Any) -> LiveFeed:
    settings.ADDRESS_RATE = 10
    return LiveFeed(Lanes(*[Api] * len(Lanes._fields)))  # type: ignore[arg-type]  # no lane is used


def opens(feed: LiveFeed, query: str = "", address: str = ADDRESS) -> bool:
    """Whether a WebSocket is admitted, or refused because of its address's limit."""
    environ = RequestFactory(REMOTE_ADDR=address).get(f"/ws/v1/stream{query}").environ
    try:
        return feed._admitted({**environ, ENVIRON_NAME: "a"}) is None
    except LimitReached:
        return False


def emptied(call: Callable[[], bool]) -> int:
    """Call until the limit is reached; return how many calls it took."""
    return next(number for number in range(OFFICE + 100) if not call())


def test_refused_paths_do_not_lock_out_a_stream_of_their_address(feed: LiveFeed) -> None:
    assert emptied(lambda: admit_address(ADDRESS).admitted) < OFFICE
    assert opens(feed)


def test_refused_queries_do_not_lock_out_a_stream_of_their_address(feed: LiveFeed) -> None:
    assert emptied(lambda: opens(feed, "?format=xml")) < OFFICE
    assert opens(feed)


def test_an_address_opens_ten_seconds_worth_of_streams_at_once_and_no_more(feed: LiveFeed) -> None:
    assert OFFICE <= emptied(lambda: opens(feed)) < OFFICE + 50
    assert not opens(feed)
    assert opens(feed, address=OTHER)
    assert admit_address(ADDRESS).admitted
