"""How feeds do. The feed process keeps it in Redis, where every process of every host reads it."""

from collections.abc import Sequence
from typing import Literal, get_args

import msgspec

from ops.redis.script import redis_call
from sources.feed_services import WantedFeed, wanted_feeds

_KEY, _KEPT_SECONDS = "sources:feeds", 30

FeedState = Literal["live", "filling", "waiting", "refused", "down"]
STATES: tuple[FeedState, ...] = get_args(FeedState)
SETTING, CALL, COMMAND = WANTED_BY = ("setting", "call", "command")


class FeedStatus(msgspec.Struct, kw_only=True):
    """The state of one fed log. Instants are nanoseconds UTC.

    symbol: ours. name: the symbol's at the source. dataset: None until the feed process has the feed. resolution: of bars,
    else "". state: `live`: rows are stored as they come. `filling`: a hole is filled from history first. `waiting`: the
    source is away, and is asked again. `refused`: the source will not feed this symbol. `down`: nothing is known of it.
    since_ns: when the state began. newest_ns: of the newest stored row. lag_seconds: from a row's time, or a bar's end, until
    it was stored. The counts are of the feed process: connections after the first, holes, rows that filled them.
    message: why it does not work, or "".
    """

    symbol: str
    source: str
    name: str
    dataset: str | None = None
    resolution: str = ""
    state: FeedState
    since_ns: int | None = None
    newest_ns: int | None = None
    lag_seconds: float | None = None
    reconnects: int = 0
    holes: int = 0
    filled_rows: int = 0
    message: str = ""

    @property
    def is_up(self) -> bool:
        """Whether its rows come: a feed that fills a hole has its connection."""
        return self.state in {"live", "filling"}


class ShownFeed(FeedStatus, kw_only=True):
    """A feed, and how it does. wanted_by: the setting FEEDS, a call, or a command that runs now."""

    wanted_by: str


_of_json = msgspec.json.Decoder(list[FeedStatus])


def publish(statuses: Sequence[FeedStatus]) -> None:
    """Replace the statuses of all feeds; they expire after 30 s. Raises redis.exceptions.RedisError."""
    redis_call("SET", _KEY, msgspec.json.encode(statuses), "EX", _KEPT_SECONDS)


def read_statuses() -> list[FeedStatus]:
    """Return what the feed process published last, by symbol; empty if it published nothing for 30 s.

    Raises redis.exceptions.RedisError.
    """
    text = redis_call("GET", _KEY)
    return [] if text is None else sorted(_of_json.decode(text), key=lambda each: each.symbol)


def shown_feeds() -> list[ShownFeed]:
    """Return the feeds that are wanted, then those of a command, each by symbol. Raises redis.exceptions.RedisError."""
    statuses = {(each.symbol, each.source, each.name): each for each in read_statuses()}
    state: FeedState = "waiting" if statuses else "down"
    message = "" if statuses else "no feed process runs"
    shown = [
        _shown(feed, statuses.pop((feed.symbol, feed.source, feed.name), None), state, message)
        for feed in sorted(wanted_feeds())
    ]
    return shown + [
        ShownFeed(**msgspec.structs.asdict(each), wanted_by=COMMAND) for each in statuses.values()
    ]


def feeds_without_redis() -> list[ShownFeed]:
    """Return the feeds that are wanted while nobody knows how they do."""
    message = "how it does is not known: Redis is away"
    return [_shown(feed, None, "down", message) for feed in sorted(wanted_feeds())]


def _shown(feed: WantedFeed, status: FeedStatus | None, state: FeedState, message: str) -> ShownFeed:
    """Return a wanted feed. state, message: if the feed process has no status of it."""
    known = status or FeedStatus(
        symbol=feed.symbol, source=feed.source, name=feed.name, state=state, message=message
    )
    values = msgspec.structs.asdict(known) | {"resolution": feed.timeframe or known.resolution}
    return ShownFeed(**values, wanted_by=SETTING if feed.is_setting else CALL)
