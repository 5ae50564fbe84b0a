"""The answer to one repeated call, held in this process as long as nothing that it depends on has changed."""

from collections.abc import Callable, Hashable
from typing import NamedTuple, Protocol

from http_requests.conditional import is_current
from stats.caching.response_cache import RESPONSE_CACHE
from stats.caching.shared import Entry
from stats.delivery.finished_answers import FinishedAnswer, answer_in_memory
from stats.delivery.pinned_answer import PinnedAnswer, PinnedContent, Representation, WatchedLog
from store.timestamps import SECOND_NS
from trades.stores import market_store


class Pin(Protocol):
    """A parsed query, to be pinned to the newest commits."""

    def __call__(self, *, now_ns: int) -> PinnedContent:
        """Return the content. now_ns: the time of the call, nanoseconds UTC."""
        ...


class _Watch(NamedTuple):
    """The logs that an answer depends on, and their stamp; see `MarketStore.change_stamp`."""

    logs: frozenset[WatchedLog]
    stamp: Callable[[], Hashable]


class _Held(NamedTuple):
    """An answer that is the newest while the stamp is `seen`, from `from_ns` on and before `until_ns`."""

    answer: PinnedAnswer
    watch: _Watch
    seen: Hashable
    from_ns: int
    until_ns: int | None


class _Sent(NamedTuple):
    """The answer that was sent last, and what it was made from. entry: None for a 304."""

    pinned: PinnedAnswer
    entry: Entry | None
    second: int
    finished: FinishedAnswer


class HeldAnswer:
    """The newest answer to a query in one representation. Threads may use it at once."""

    __slots__ = ("_checked", "_held", "_pin", "_representation", "_sent")

    def __init__(self, pin: Pin, representation: Representation) -> None:
        self._pin = pin
        self._representation = representation
        self._held: _Held | None = None
        self._sent: _Sent | None = None
        self._checked: tuple[_Held, object] | None = None

    def finished_if_cached(
        self, *, if_none_match: str | None, now_ns: int, turn: object | None = None
    ) -> FinishedAnswer | None:
        """Return the newest answer, ready to send; None if it is not in this process's memory.

        Within a second, the same object is returned as long as the answer stays the same. turn: see `if_newest`.
        """
        pinned = self.if_newest(now_ns, turn=turn)
        if pinned is None:
            return None
        entry = None
        if not is_current(if_none_match, pinned.etag):
            entry = RESPONSE_CACHE.get(pinned.cache_key)
            if entry is None:
                return None
        second, sent = now_ns // SECOND_NS, self._sent
        if sent is None or sent.pinned is not pinned or sent.entry is not entry or sent.second != second:
            finished = answer_in_memory(pinned, entry, now_ns=now_ns)
            sent = self._sent = _Sent(pinned, entry, second, finished)
        return sent.finished

    def if_newest(self, now_ns: int, *, turn: object | None = None) -> PinnedAnswer | None:
        """Return the held answer; None if it may have changed. Costs a stat call for each log and one more.

        turn: stands for a turn of the event loop. The first check in a turn is enough, because all requests of the
        turn were sent before it began.
        """
        held = self._held
        if held is None or now_ns < held.from_ns or (held.until_ns is not None and now_ns >= held.until_ns):
            return None
        checked = self._checked
        if turn is not None and checked is not None and checked[0] is held and checked[1] is turn:
            return held.answer
        try:
            is_newest = held.watch.stamp() == held.seen
        except OSError:
            return None
        if is_newest and turn is not None:
            self._checked = held, turn
        return held.answer if is_newest else None

    def newest(self, now_ns: int) -> PinnedAnswer:
        """Return the answer at the newest commits, and hold it. Raises the errors of the pin, and `OSError`."""
        answer = self.if_newest(now_ns)
        if answer is not None:
            return answer
        held, self._held = self._held, None
        watch = self._watch(now_ns) if held is None else held.watch
        # Taken before the pin: a commit that the pin misses changes the stamp afterwards.
        seen = None if watch is None else watch.stamp()
        content = self._pin(now_ns=now_ns)
        answer = PinnedAnswer(content, self._representation)
        if watch is not None and content.watched == watch.logs:
            self._held = _Held(answer, watch, seen, now_ns, content.expires_ns)
        return answer

    def _watch(self, now_ns: int) -> _Watch | None:
        """Return the watch of the logs that the answer depends on now; None if they cannot be named."""
        logs = self._pin(now_ns=now_ns).watched
        return None if logs is None else _Watch(logs, market_store().change_stamp(logs))
