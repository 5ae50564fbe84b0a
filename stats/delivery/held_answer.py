"""The answer to one repeated call, held in this process as long as nothing that it depends on has changed."""

from collections.abc import Callable, Hashable
from http import HTTPStatus
from typing import NamedTuple, Protocol

from stats.caching.response_cache import RESPONSE_CACHE
from stats.delivery.finished_answers import FinishedAnswer, answer_in_memory
from stats.delivery.pinned_answer import AnswerKey, AnswerSnapshot, LogName, Representation
from store.timestamps import SECOND_NS
from trades.stores import market_store
from web.requests.conditional import is_current

# Answers of more logs are not held: they are large, and the event loop would check each log for commits.
MOST_LOGS = 256


class Pin(Protocol):
    """A parsed query, to be pinned to the newest commits."""

    def __call__(self, *, now_ns: int) -> AnswerSnapshot:
        """Return the content. now_ns: the time of the call, nanoseconds UTC."""
        ...


class LogsPin(NamedTuple):
    """A pin, and the logs that its content will most likely watch. If they are others, only time is lost."""

    pin: Pin
    logs: frozenset[LogName]

    def __call__(self, *, now_ns: int) -> AnswerSnapshot:
        """Return the content of the pin."""
        return self.pin(now_ns=now_ns)


class _Watch(NamedTuple):
    """The logs that an answer depends on, and their stamp; see `MarketStore.change_stamp`."""

    logs: frozenset[LogName]
    stamp: Callable[[], Hashable]


class _Held(NamedTuple):
    """An answer that is the newest while the stamp is `seen`, from `from_ns` on and before `until_ns`."""

    answer: AnswerKey
    watch: _Watch
    seen: Hashable
    from_ns: int
    until_ns: int | None


class _Sent(NamedTuple):
    """The headers that were sent last, and what they were made from. computed_at: of the entry; None for a 304.

    The body is not kept: it belongs to the response cache, whose size is limited.
    """

    pinned: AnswerKey
    computed_at: float | None
    second: int
    headers: dict[str, str]


class RepeatedCall:
    """The newest answer to a query in one representation. Threads may use it at once."""

    __slots__ = ("_checked", "_held", "_logs", "_pin", "_representation", "_sent", "_watch")

    def __init__(self, pin: Pin, representation: Representation) -> None:
        self._pin = pin
        self._representation = representation
        self._logs = pin.logs if isinstance(pin, LogsPin) else None
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
        pinned = self.if_newest(now_ns, poll=poll)
        if pinned is None:
            return None
        entry = None
        if not is_current(if_none_match, pinned.etag):
            entry = RESPONSE_CACHE.get(pinned.cache_key)
            if entry is None:
                return None
        computed_at = None if entry is None else entry.computed_at
        second, sent = now_ns // SECOND_NS, self._sent
        if (
            sent is None
            or (sent.computed_at, sent.second) != (computed_at, second)
            or sent.pinned is not pinned
        ):
            headers = answer_in_memory(pinned, entry, now_ns=now_ns).headers
            sent = self._sent = _Sent(pinned, computed_at, second, headers)
        if entry is None:
            return FinishedAnswer(HTTPStatus.NOT_MODIFIED, sent.headers)
        return FinishedAnswer(HTTPStatus.OK, sent.headers, entry.body, entry.tokens)

    def if_newest(self, now_ns: int, *, poll: object | None = None) -> AnswerKey | None:
        """Return the held answer; None if it may have changed. Costs a stat call for each log and one more.

        poll: stands for one poll of the event loop for data. One check is enough for it, because all requests that it
        found were sent before.
        """
        held = self._held
        if held is None or now_ns < held.from_ns or (held.until_ns is not None and now_ns >= held.until_ns):
            return None
        checked = self._checked
        if poll is not None and checked is not None and checked[0] is held and checked[1] is poll:
            return held.answer
        try:
            is_newest = held.watch.stamp() == held.seen
        except OSError:
            return None
        if is_newest and poll is not None:
            self._checked = held, poll
        return held.answer if is_newest else None

    def newest(self, now_ns: int) -> AnswerKey:
        """Return the answer at the newest commits, and hold it if it has at most `MOST_LOGS` logs.

        Raises the errors of the pin, and `OSError`.

        The first call pins twice if the logs to watch are not known before.
        """
        answer = self.if_newest(now_ns)
        if answer is not None:
            return answer
        self._held = None
        while True:
            logs, watch = self._logs, self._watch
            if watch is None and logs is not None:
                watch = self._watch = _Watch(logs, market_store().change_stamp(logs))
            # Taken before the pin: a commit that the pin misses changes the stamp afterwards.
            seen = None if watch is None else watch.stamp()
            content = self._pin(now_ns=now_ns)
            answer = AnswerKey(content, self._representation)
            if watch is not None and content.watched == watch.logs:
                self._held = _Held(answer, watch, seen, now_ns, content.expires_ns)
                return answer
            logs = content.watched
            self._logs, self._watch = None if logs is None or len(logs) > MOST_LOGS else logs, None
            if watch is not None or self._logs is None:
                return answer
