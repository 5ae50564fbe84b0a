"""`cached`: a function that computes an answer becomes one that looks for it first."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import update_wrapper
from typing import Generic, Protocol, TypeVar

from stats.caching.entry import Entry
from stats.caching.single_flight import Landing
from stats.caching.tiers import Cached, Outcome, Tiers, process_tiers
from stats.caching.time_to_live import seconds_to_live


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
    if ask.seconds:
        entry = at.shared.get(ask.key)
        if entry is not None:
            at.statistics.hit_shared(len(entry.body))
            return _keep(at, ask, entry)
    # The epoch is part of the name: who asks after an invalidation does not join what began before it.
    landing = at.threads.run((ask.key, ask.epoch), lambda: _fly(at, ask, compute))
    if not landing.joined:
        return Cached(landing.entry, Outcome.MISS)
    at.statistics.joined(len(landing.entry.body))
    return Cached(landing.entry, Outcome.HIT)


def _fly(at: Tiers, ask: _Ask, compute: Callable[[], Entry]) -> Landing:
    """Compute for all threads that wait; what landed since this caller looked is taken instead."""
    kept = at.local.get(ask.key, epoch=ask.epoch)
    if kept is not None:
        return Landing(kept.entry, joined=True)
    if not ask.seconds:
        at.statistics.missed()
        return Landing(compute(), joined=False)
    landing = at.processes.run(ask.key, lambda: _compute_and_store(at, ask, compute))
    _keep(at, ask, landing.entry)
    return landing


def _compute_and_store(at: Tiers, ask: _Ask, compute: Callable[[], Entry]) -> Entry:
    at.statistics.missed()
    entry = compute()
    if at.epochs.current(ask.symbol) == ask.epoch:  # else invalidated meanwhile: this caller's answer only
        stored = at.shared.put(ask.key, entry, seconds=ask.seconds)
        if stored:
            at.statistics.stored(stored)
    return entry


def _keep(at: Tiers, ask: _Ask, entry: Entry) -> Cached:
    """Hold the answer in this process, ready to be returned as it is."""
    ready = Cached(entry, Outcome.HIT)
    at.local.put(ask.key, ready, size=len(entry.body), epoch=ask.epoch, seconds=ask.seconds)
    return ready
