"""Posts the demo market to the own server, as a vendor's feed would: by the Python client, with a key of its own."""

import logging
import math
import random
import secrets
import time
from pathlib import Path
from typing import NoReturn

from marketdata_client import Client, MarketDataError, Refused, Retries
from trades.sample.feed import FeedPost, FeedRows, SampleFeed
from trades.sample.feed_key import KEY_FILE

logger = logging.getLogger(__name__)

_TIMEOUT_SECONDS = 10.0
# Pauses are between a half and the whole of what doubles.
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0
# What may be over later: a revoked key, a slow body, too many requests, a full disk.
_MAY_PASS = frozenset({401, 403, 408, 429, *range(500, 600)})
# All rows of an outage in one batch: a batch says that no row before its end is missing.
_BATCH_ROWS = 100_000


class FeedSender:
    """Posts to the server at `url` with `key`, until a post is stored or refused."""

    def __init__(self, *, url: str, key: str) -> None:
        retries = Retries(
            attempts=math.inf,
            first_pause=_FIRST_PAUSE,
            longest_pause=_LONGEST_PAUSE,
            statuses=_MAY_PASS,
            on_pause=lambda error, _seconds: self._log(error),
        )
        self._client = Client(url, key, retries=retries, timeout=_TIMEOUT_SECONDS, trust_env=False)
        self._status = 200

    def deliver(self, post: FeedPost) -> None:
        """Post until it is stored, or refused for good."""
        try:
            send(self._client, post)
            self._status = 200
        except MarketDataError as error:
            self._log(error)

    def _log(self, error: MarketDataError) -> None:
        """Log the first of several failures with the same status; 0 is no answer."""
        status = error.status if isinstance(error, Refused) else 0
        if status != self._status:
            logger.warning("The sample feed's POST: %d %s", status, error)
        self._status = status


def send(client: Client, post: FeedPost) -> None:
    """Post once, and again as the client does. Raises `MarketDataError`."""
    if isinstance(post, FeedRows):
        client.ingest(post.dataset, post.rows, batch_rows=_BATCH_ROWS, complete_until=post.complete_until)
    else:
        body = {"symbol": post.symbol, "corrections": [post.correction]}
        client.post("/api/v1/trades/corrections", body, idempotency_key=secrets.token_urlsafe())


def run_feed(*, url: str, run_dir: Path) -> NoReturn:
    """Post what is due, until the process ends."""
    sender = FeedSender(url=url, key=(run_dir / KEY_FILE).read_text())
    feed = SampleFeed(now_ns=time.time_ns(), rng=random.Random())  # noqa: S311 a demo's errors are no secret
    while True:
        for post in feed.posts(time.time_ns()):
            sender.deliver(post)
        time.sleep(max(feed.wait_seconds(time.time_ns()), 0.0))
