"""The decorator `cached`: stores a function's answers in the response cache."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import update_wrapper
from typing import Generic, Protocol, TypeVar

from stats.caching.entry import Entry
from stats.caching.single_flight import EntrySource, FlightResult
from stats.caching.tiers import CachedEntry, CacheTiers, Outcome, process_tiers
from store.timestamps import SECOND_NS

_HOUR = 3_600
_DAY = 86_400
# Seconds to live by the age of an answer's end: (age below, seconds), and the seconds for older ends.
_STEPS = ((_HOUR, 30), (_DAY, 300), (3 * _DAY, 3_600))
_OLD = 7 * _DAY
_COARSE_FACTOR = 4


def seconds_to_live(end_ns: int | None, *, now_ns: int, coarse: bool) -> int:
    """How many seconds Redis keeps an answer, by the age of its end; 0 if the end is in the future.

    end_ns: the requested end before rounding, nanoseconds since the epoch; None means now. now_ns: the time of
    the call. coarse: whether intervals are a day or longer; multiplies the result by four.
    """
    age_ns = 0 if end_ns is None else now_ns - end_ns
    if age_ns < 0:
        return 0
    seconds = next((kept for limit, kept in _STEPS if age_ns < limit * SECOND_NS), _OLD)
    return seconds * _COARSE_FACTOR if coarse else seconds


class CacheQuery(Protocol):
    """The properties of a query that the cache uses.

    cache_key: the `str` of a `CacheKey`; it names one representation of one version of the answer.
    cache_end_ns: the requested end before rounding; None if there is none. cache_coarse: whether intervals are
    a day or longer.
    """

    @property
    def cache_end_ns(self) -> int | None: ...
    @property
    def cache_coarse(self) -> bool: ...
    @property
    def cache_key(self) -> str: ...


Q = TypeVar("Q", bound=CacheQuery)


@dataclass(frozen=True, slots=True)
class _Lookup:
    tiers: CacheTiers
    key: str
    seconds: int


class CachedFunction(Generic[Q]):
    """A function of queries whose answers are cached; see `cached`."""

    def __init__(self, answer: Callable[[Q, int], Entry], *, tiers: Callable[[], CacheTiers]) -> None:
        self._answer = answer
        self._tiers = tiers
        update_wrapper(self, answer)

    def __call__(self, query: Q, *, now_ns: int, bypass: bool = False) -> CachedEntry:
        """Return the answer, from the cache or computed. bypass: neither read nor write the cache."""
        if bypass:
            return CachedEntry(self._answer(query, now_ns), Outcome.BYPASS)
        found = self.held(query)
        if found is not None:
            return found
        seconds = seconds_to_live(query.cache_end_ns, now_ns=now_ns, coarse=query.cache_coarse)
        lookup = _Lookup(self._tiers(), query.cache_key, seconds)
        return _fetch(lookup, lambda: self._answer(query, now_ns))

    def held(self, query: Q) -> CachedEntry | None:
        """The answer in this process's memory; None if it is not there. Uses neither Redis nor the store."""
        tiers = self._tiers()
        found = tiers.local.get(query.cache_key)
        if found is not None:
            tiers.statistics.hit_local(len(found.entry.body))
        return found


def cached(
    *, tiers: Callable[[], CacheTiers] = process_tiers
) -> Callable[[Callable[[Q, int], Entry]], CachedFunction[Q]]:
    """Decorator: cache a function's answers in process memory and in Redis, and compute each key once at a time.

    The function takes a query and the time of the call, in nanoseconds since the epoch. If it raises, nothing
    is cached and only its own caller gets the exception. Redis errors are never raised. An answer whose end is
    in the future is shared with concurrent callers, but not cached.
    """
    return lambda answer: CachedFunction(answer, tiers=tiers)


def _fetch(lookup: _Lookup, compute: Callable[[], Entry]) -> CachedEntry:
    """Return the answer from Redis, from another request's computation, or from `compute`."""
    tiers = lookup.tiers
    result = tiers.threads.run(lookup.key, lambda: _fetch_alone(lookup, compute))
    if result.source is EntrySource.COMPUTED:
        return CachedEntry(result.entry, Outcome.MISS)
    count = tiers.statistics.hit_shared if result.source is EntrySource.FOUND else tiers.statistics.joined
    count(len(result.entry.body))
    return CachedEntry(result.entry, Outcome.HIT)


def _fetch_alone(lookup: _Lookup, compute: Callable[[], Entry]) -> FlightResult:
    """Like `_fetch`, but run by one thread, for all threads that wait for the key."""
    tiers, key = lookup.tiers, lookup.key
    # Another thread may have cached the answer since this caller read the memory.
    kept = tiers.local.get(key)
    if kept is not None:
        return FlightResult(kept.entry, EntrySource.JOINED)

    def counted() -> Entry:
        tiers.statistics.missed()
        return compute()

    if not lookup.seconds:
        return FlightResult(counted(), EntrySource.COMPUTED)
    result = tiers.processes.run(key, counted, lambda entry, token: _store(lookup, entry, token))
    size = len(result.entry.body)
    tiers.local.put(key, CachedEntry(result.entry, Outcome.HIT), size=size, seconds=lookup.seconds)
    return result


def _store(lookup: _Lookup, entry: Entry, token: str) -> None:
    stored = lookup.tiers.shared.store(lookup.key, token, entry, seconds=lookup.seconds)
    if stored:
        lookup.tiers.statistics.stored(stored)
