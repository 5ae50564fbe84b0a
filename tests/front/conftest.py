"""One front with a live feed for all tests of a module: to start it takes a second."""

from collections.abc import Iterator

import pytest

from tests.front.front_server import echo, running
from tests.front.front_sockets import EchoFeed


class FeedOfTest(EchoFeed):
    """Leaves each socket to the feed of the test that runs."""

    feed: EchoFeed

    async def __call__(self, scope, receive, send) -> None:
        await self.feed(scope, receive, send)


@pytest.fixture(scope="module")
def feed_of_test() -> Iterator[FeedOfTest]:
    live = FeedOfTest()
    with running(echo, live=live) as live.port:
        yield live


@pytest.fixture
def feed(feed_of_test: FeedOfTest) -> EchoFeed:
    feed_of_test.feed = EchoFeed()
    feed_of_test.feed.port = feed_of_test.port
    return feed_of_test.feed
