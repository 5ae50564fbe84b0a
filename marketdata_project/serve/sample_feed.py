"""Posts the demo market to the own server, as a vendor's feed would: over HTTP, with a key of its own."""

import logging
import random
import time
from collections.abc import Callable
from datetime import datetime
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

from ratelimit.keys.api_keys import digest
from ratelimit.keys.selectors import key_list
from ratelimit.keys.services import key_create
from trades.instruments.services import instruments_declare
from trades.sample_feed import COIN_INSTRUMENT, FeedPost, SampleFeed
from trades.stores import market_store

logger = logging.getLogger(__name__)

KEY_FILE = "sample_feed.key"
KEY_NAME = "sample feed"
_ACTOR = "command:serve"
_TIMEOUT_SECONDS = 10.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
# Client errors that may be over later: the key, a slow body, too many requests.
_MAY_PASS = {401, 403, 408, 429}


def feed_prepare(run_dir: Path, *, now: datetime) -> None:
    """Declare the coin, and make the feed's key unless the file in `run_dir` has a valid one."""
    if not market_store().declared_instruments(symbol=COIN_INSTRUMENT.symbol):
        instruments_declare(instruments=[COIN_INSTRUMENT], actor=_ACTOR)
    path = run_dir / KEY_FILE
    path.touch(mode=0o600)
    stored = key_list().filter(digest=digest(path.read_text())).first()
    if stored is None or stored.state_at(now) != "active":
        created = key_create(name=KEY_NAME, tier="internal", scopes=["market:write"], now=now, actor=_ACTOR)
        path.write_text(created.key)


class FeedSender:
    """Posts to the server at `url` with `key`, until a request is stored or refused. `sleep` takes seconds."""

    def __init__(self, *, url: str, key: str, sleep: Callable[[float], None] = time.sleep) -> None:
        self._host, self._port = urlsplit(url).hostname or "", urlsplit(url).port
        self._headers = {"X-API-Key": key, "Content-Type": "application/json"}
        self._sleep = sleep
        self._status = 200

    def deliver(self, post: FeedPost) -> None:
        """Post until the answer is not a failure that may pass. Repeating is safe: stored rows are duplicates."""
        pause = _FIRST_PAUSE
        while True:
            status, answer = self._answer(post)
            self._log(post, status, answer)
            if 200 <= status < 500 and status not in _MAY_PASS:
                return
            self._sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _answer(self, post: FeedPost) -> tuple[int, str]:
        """Return the status and the body; 0 and the reason if there is no answer."""
        connection = HTTPConnection(self._host, self._port, timeout=_TIMEOUT_SECONDS)
        try:
            connection.request("POST", f"/api/v1/{post.path}", post.body, self._headers)
            response = connection.getresponse()
            return response.status, response.read().decode(errors="replace")
        except (OSError, HTTPException) as error:
            return 0, f"{type(error).__name__}: {error}"
        finally:
            connection.close()

    def _log(self, post: FeedPost, status: int, answer: str) -> None:
        """Log the first of several failures with the same status."""
        if status != self._status and not 200 <= status < 300:
            logger.warning("The sample feed's POST %s: %d %s", post.path, status, answer[:500])
        self._status = 200 if 200 <= status < 300 else status


def run_feed(*, url: str, run_dir: Path) -> NoReturn:
    """Post what is due, until the process ends."""
    sender = FeedSender(url=url, key=(run_dir / KEY_FILE).read_text())
    feed = SampleFeed(now_ns=time.time_ns(), rng=random.Random())  # noqa: S311 a demo's errors are no secret
    while True:
        for post in feed.posts(time.time_ns()):
            sender.deliver(post)
        time.sleep(max(feed.wait_seconds(time.time_ns()), 0.0))
