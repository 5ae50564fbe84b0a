"""`cached`: a function that computes an answer becomes one that looks for it first."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import update_wrapper
from typing import Generic, Protocol, TypeVar

from stats.caching.entry import Entry
from stats.caching.single_flight import Landing, Way
from stats.caching.tiers import Cached, Outcome, Tiers, process_tiers
from store.timestamps import SECOND_NS

_HOUR = 3_600
_DAY = 86_400
_STEPS = ((_HOUR, 30), (_DAY, 300), (3 * _DAY, 3_600))
_OLD = 7 * _DAY
_COARSE_FACTOR = 4


def seconds_to_live(end_ns: int | None, *, now_ns: int, coarse: bool) -> int:
    """Seconds that an answer up to `end_ns` is kept, by the age of that end; 0 if it lies in the future.

    Both times are nanoseconds since the epoch, `end_ns` as requested, before any rounding up; None is all
    that is stored, whose end is now. `coarse` says that the interval is a day or longer: four times.
    """
    age_ns = 0 if end_ns is None else now_ns - end_ns
    if age_ns < 0:
        return 0
    seconds = next((kept for limit, kept in _STEPS if age_ns < limit * SECOND_NS), _OLD)
    return seconds * _COARSE_FACTOR if coarse else seconds


class CacheQuery(Protocol):
    """What the cache must know of a query.

    `cache_key` names one representation of one version of the answer (`str` of a `CacheKey`);
    `cache_end_ns` is the requested end before rounding, None for all that is stored; `cache_coarse` says
    that the interval is a day or longer.
    """

    @property
    def cache_symbol(self) -> str: ...
    @property
    def cache_end_ns(self) -> int | None: ...
    @property
    def cache_coarse(self) -> bool: ...
    @property
    def cache_key(self) -> str: ...


Q = TypeVar("Q", bound=CacheQuery)


@dataclass(frozen=True, slots=True)
class _Ask:
    key: str
    symbol: str
    epoch: int
    seconds: int


class CachedAnswer(Generic[Q]):
    """A function of queries whose answers are kept; see `cached`."""

    def __init__(self, answer: Callable[[Q, int], Entry], *, tiers: Callable[[], Tiers]) -> None:
        self._answer = answer
        self._tiers = tiers
        update_wrapper(self, answer)

    def __call__(self, query: Q, *, now_ns: int, bypass: bool = False) -> Cached:
        """The answer, kept or computed. With `bypass` it is computed, and neither looked for nor stored."""
        if bypass:
            return Cached(self._answer(query, now_ns), Outcome.BYPASS)
        found = self.held(query)
        if found is not None:
            return found
        at, symbol = self._tiers(), query.cache_symbol
        seconds = seconds_to_live(query.cache_end_ns, now_ns=now_ns, coarse=query.cache_coarse)
        ask = _Ask(query.cache_key, symbol, at.epochs.current(symbol), seconds)
        return _fetch(at, ask, lambda: self._answer(query, now_ns))

    def held(self, query: Q) -> Cached | None:
        """The answer if this process holds it in memory: neither Redis nor the store is asked."""
        at = self._tiers()
        found = at.local.get(query.cache_key, epoch=at.epochs.current(query.cache_symbol))
        if found is not None:
            at.statistics.hit_local(len(found.entry.body))
        return found


def cached(
    *, tiers: Callable[[], Tiers] = process_tiers
) -> Callable[[Callable[[Q, int], Entry]], CachedAnswer[Q]]:
    """Keep the answers of a function: in the process, then in Redis, one computation per key at a time.

    The function takes a query and the time of the call, in nanoseconds since the epoch.

    Exceptions of the function pass to its own caller and nothing is kept. Redis's never appear. An answer
    up to an end in the future is shared among those who wait for it, and not kept.
    """
    return lambda answer: CachedAnswer(answer, tiers=tiers)


def _fetch(at: Tiers, ask: _Ask, compute: Callable[[], Entry]) -> Cached:
    """The answer from Redis, or from a computation."""
    # The epoch is part of the name: who asks after an invalidation does not join what began before it.
    landing = at.threads.run((ask.key, ask.epoch), lambda: _fly(at, ask, compute))
    if landing.way is Way.COMPUTED:
        return Cached(landing.entry, Outcome.MISS)
    count = at.statistics.hit_shared if landing.way is Way.FOUND else at.statistics.joined
    count(len(landing.entry.body))
    return Cached(landing.entry, Outcome.HIT)


def _fly(at: Tiers, ask: _Ask, compute: Callable[[], Entry]) -> Landing:
    """Look and compute for all threads that wait; what landed since this caller looked is taken instead."""
    kept = at.local.get(ask.key, epoch=ask.epoch)
    if kept is not None:
        return Landing(kept.entry, Way.JOINED)

    def counted() -> Entry:
        at.statistics.missed()
        return compute()

    if not ask.seconds:
        return Landing(counted(), Way.COMPUTED)
    landing = at.processes.run(ask.key, counted, lambda entry, token: _land(at, ask, entry, token))
    ready = Cached(landing.entry, Outcome.HIT)
    size = len(landing.entry.body)
    at.local.put(ask.key, ready, size=size, epoch=ask.epoch, seconds=ask.seconds)
    return landing


def _land(at: Tiers, ask: _Ask, entry: Entry, token: str) -> None:
    """Store what was computed, unless it was invalidated meanwhile: then it is this caller's answer only."""
    if at.epochs.current(ask.symbol) != ask.epoch:
        at.shared.release(ask.key, token)
        return
    stored = at.shared.land(ask.key, token, entry, seconds=ask.seconds)
    if stored:
        at.statistics.stored(stored)
