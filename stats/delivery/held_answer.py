"""The answer to one repeated call, held in this process as long as nothing that it depends on has changed."""

from collections.abc import Callable, Hashable
from typing import NamedTuple, Protocol

from stats.delivery.pinned_answer import PinnedAnswer, PinnedContent, Representation, WatchedLog
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


class HeldAnswer:
    """The newest answer to a query in one representation. Threads may use it at once."""

    __slots__ = ("_held", "_pin", "_representation")

    def __init__(self, pin: Pin, representation: Representation) -> None:
        self._pin = pin
        self._representation = representation
        self._held: _Held | None = None

    def if_newest(self, now_ns: int) -> PinnedAnswer | None:
        """Return the held answer; None if it may have changed. Costs a stat call for each log and one more."""
        held = self._held
        if held is None or now_ns < held.from_ns or (held.until_ns is not None and now_ns >= held.until_ns):
            return None
        try:
            return held.answer if held.watch.stamp() == held.seen else None
        except OSError:
            return None

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
