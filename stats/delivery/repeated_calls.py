"""The answer to one repeated call, held in this process as long as nothing that it depends on has changed."""

from collections.abc import Callable, Hashable
from http import HTTPStatus
from typing import NamedTuple

from stats.caching.response_cache import RESPONSE_CACHE
from stats.delivery.answers import AnswerKey, FinishedAnswer, LogName, TakeSnapshot, answer_in_memory
from store.timestamps import SECOND_NS
from trades.stores import market_store
from web.requests.compression import Encoding
from web.requests.conditional import is_current

# Answers of more logs are not held: they are large, and the event loop would check each log for commits.
MOST_LOGS = 256


class _Watch(NamedTuple):
    """The logs that an answer depends on, and their stamp; see `MarketStore.change_stamp`."""

    logs: frozenset[LogName]
    stamp: Callable[[], Hashable]


class _Held(NamedTuple):
    """The key of an answer that is the newest while the stamp is `seen`, from `from_ns` on and before `until_ns`."""

    key: AnswerKey
    watch: _Watch
    seen: Hashable
    from_ns: int
    until_ns: int | None


class _Sent(NamedTuple):
    """The headers that were sent last, and what they were made from. computed_at: of the entry; None for a 304.

    The body is not kept: it belongs to the response cache, whose size is limited.
    """

    key: AnswerKey
    computed_at: float | None
    second: int
    headers: dict[str, str]


class RepeatedCall:
    """The newest answer to a query in a format and encoding. Threads may use it at once.

    logs: those that the snapshot will most likely watch; None if they are not known before. A wrong guess costs a second
    snapshot.
    """

    __slots__ = ("_checked", "_encoding", "_format", "_held", "_logs", "_sent", "_take_snapshot", "_watch")

    def __init__(
        self,
        take_snapshot: TakeSnapshot,
        answer_format: str,
        encoding: Encoding | None = None,
        *,
        logs: frozenset[LogName] | None = None,
    ) -> None:
        self._take_snapshot = take_snapshot
        self._format = answer_format
        self._encoding = encoding
        self._logs = logs
        self._watch: _Watch | None = None
        self._held: _Held | None = None
        self._sent: _Sent | None = None
        self._checked: tuple[_Held, object] | None = None

    def from_memory(
        self, *, if_none_match: str | None, now_ns: int, poll: object | None = None
    ) -> FinishedAnswer | None:
        """Return the newest answer, ready to send; None if it is not in this process's memory.

        Within a second, `headers` is the same object as long as the answer stays the same. poll: see `if_newest`.
        """
        key = self.if_newest(now_ns, poll=poll)
        if key is None:
            return None
        entry = None
        if not is_current(if_none_match, key.etag):
            entry = RESPONSE_CACHE.get(key.cache_key)
            if entry is None:
                return None
        computed_at = None if entry is None else entry.computed_at
        second, sent = now_ns // SECOND_NS, self._sent
        if sent is None or (sent.computed_at, sent.second) != (computed_at, second) or sent.key is not key:
            headers = answer_in_memory(key, entry, now_ns=now_ns).headers
            sent = self._sent = _Sent(key, computed_at, second, headers)
        if entry is None:
            return FinishedAnswer(HTTPStatus.NOT_MODIFIED, sent.headers)
        return FinishedAnswer(HTTPStatus.OK, sent.headers, entry.body, entry.tokens)

    def if_newest(self, now_ns: int, *, poll: object | None = None) -> AnswerKey | None:
        """Return the key of the held answer; None if it may have changed. Costs a stat call for each log and one more.

        poll: stands for one poll of the event loop for data. One check is enough for it, because all requests that it
        found were sent before.
        """
        held = self._held
        if held is None or now_ns < held.from_ns or (held.until_ns is not None and now_ns >= held.until_ns):
            return None
        checked = self._checked
        if poll is not None and checked is not None and checked[0] is held and checked[1] is poll:
            return held.key
        try:
            is_newest = held.watch.stamp() == held.seen
        except OSError:
            return None
        if is_newest and poll is not None:
            self._checked = held, poll
        return held.key if is_newest else None

    def newest(self, now_ns: int) -> AnswerKey:
        """Return the key of the answer at the newest commits, and hold it if it has at most `MOST_LOGS` logs.

        The first call takes two snapshots if the logs to watch are not known before. Raises the errors of the snapshot, and
        `OSError`.
        """
        key = self.if_newest(now_ns)
        if key is not None:
            return key
        self._held = None
        while True:
            logs, watch = self._logs, self._watch
            if watch is None and logs is not None:
                watch = self._watch = _Watch(logs, market_store().change_stamp(logs))
            # Taken before the snapshot: a commit that it misses changes the stamp afterwards.
            seen = None if watch is None else watch.stamp()
            snapshot = self._take_snapshot(now_ns=now_ns)
            key = AnswerKey(snapshot, self._format, self._encoding)
            if watch is not None and snapshot.watched == watch.logs:
                self._held = _Held(key, watch, seen, now_ns, snapshot.expires_ns)
                return key
            logs = snapshot.watched
            self._logs, self._watch = None if logs is None or len(logs) > MOST_LOGS else logs, None
            if watch is not None or self._logs is None:
                return key
