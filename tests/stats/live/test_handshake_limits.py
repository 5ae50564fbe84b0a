"""No client of an address keeps the others from opening WebSockets; wrong queries and credentials cost tokens of the address."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import RequestFactory

from ratelimit.authorize import LimitReached
from ratelimit.exceptions import CredentialError
from ratelimit.limits.services import admit_address
from stats.live.application import LiveFeed
from stats.live.callers import identified
from stats.live.hub import Lanes
from tests.api_client import Api
from web.correlation import ENVIRON_NAME
from web.requests.received import call_in

ADDRESS = "192.0.2.1"
MANY = 300


@pytest.fixture
def feed(db: Any, project_redis: Any, settings: Any) -> LiveFeed:
    settings.ADDRESS_RATE = 10
    return LiveFeed(Lanes(*[Api] * len(Lanes._fields)))  # type: ignore[arg-type]  # no lane is used


def opens(feed: LiveFeed, query: str = "") -> bool:
    """Whether a WebSocket is admitted, or refused because of its address's limit."""
    environ = RequestFactory(REMOTE_ADDR=ADDRESS).get(f"/ws/v1/stream{query}").environ
    try:
        return feed._admitted({**environ, ENVIRON_NAME: "a"}) is None
    except LimitReached:
        return False


def guesses(key: str) -> bool:
    """Whether the key of a message is looked at and found wrong, or refused because of its address's limit."""
    headers = {"authorization": f"Api-Key {key}"}
    call = call_in(RequestFactory(REMOTE_ADDR=ADDRESS).get("/ws/v1/stream").environ)
    try:
        identified(call._replace(headers=headers))
    except CredentialError:
        return True
    except LimitReached:
        return False
    pytest.fail("the key is valid")


def emptied(call: Callable[[], bool]) -> int:
    """Call until the limit is reached; return how many calls it took."""
    return next(number for number in range(MANY) if not call())


def test_sockets_opened_in_a_loop_lock_nobody_out(feed: LiveFeed) -> None:
    assert all(opens(feed) for _ in range(MANY))
    assert admit_address(ADDRESS).admitted


@pytest.mark.parametrize("kind", ["calls of other paths", "wrong queries", "wrong keys"])
def test_what_an_address_is_refused_locks_out_no_stream_of_it(feed: LiveFeed, kind: str) -> None:
    refused: dict[str, Callable[[], bool]] = {
        "calls of other paths": lambda: admit_address(ADDRESS).admitted,
        "wrong queries": lambda: opens(feed, "?format=xml"),
        "wrong keys": lambda: guesses("md_00000000_x"),
    }
    assert emptied(refused[kind]) < MANY // 3
    assert opens(feed)
