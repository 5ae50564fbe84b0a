"""Lots in the memory of one process, for when Redis is away: each process books its own."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass

from cachetools import LRUCache

from ratelimit.limits.quotas.book import lot_for
from ratelimit.limits.quotas.periods import Period, period_at
from ratelimit.limits.quotas.spends import Counter, Lot, Spend, is_short_of, is_used_up

MAX_COUNTERS = 10_000

Counters = tuple[Counter | None, ...]


@dataclass(slots=True)
class _Held:
    period: Period
    counter: Counter


class QuotaHand:
    """Tokens at hand by caller and unit. Beyond `capacity` the longest unused are lost. Thread-safe."""

    def __init__(self, *, capacity: int = MAX_COUNTERS) -> None:
        self._held: LRUCache[tuple[str, str], _Held] = LRUCache(capacity)
        self._lock = threading.Lock()

    def pay(self, identity: str, spends: Sequence[Spend], *, now_us: int) -> tuple[bool, Counters]:
        """Whether every quota had enough, and how they stand: all are charged, or none.

        Raises DatabaseError.
        """
        with self._lock:
            counters = [self._current(identity, spend, now_us=now_us) for spend in spends]
            lots: list[Lot | None] = [None] * len(spends)
            for i, spend in enumerate(spends):
                if is_short_of(spend, counters[i]) and not is_used_up(spend, counters[i]):
                    lots[i], counters[i] = self._with_lot(identity, spend, counters[i], now_us=now_us)
            is_paid = not any(map(is_short_of, spends, counters))
            for i, (spend, lot) in enumerate(zip(spends, lots, strict=True)):
                counters[i] = _after(counters[i], lot, spend.tokens if is_paid else 0, is_paid=is_paid)
                self._keep(identity, spend.unit, counters[i], now_us=now_us)
            return is_paid, tuple(counters)

    def standing(self, identity: str, spends: Sequence[Spend], *, now_us: int) -> Counters:
        with self._lock:
            return tuple(self._current(identity, spend, now_us=now_us) for spend in spends)

    def hand_over(self, identity: str, spends: Sequence[Spend]) -> tuple[Lot | None, ...]:
        """What is at hand, which is then nobody's here any more."""
        with self._lock:
            held = [self._held.pop((identity, spend.unit), None) for spend in spends]
        return tuple(
            None if one is None else Lot(one.period, one.counter.rest, one.counter.booked) for one in held
        )

    def __len__(self) -> int:
        return len(self._held)

    def _current(self, identity: str, spend: Spend, *, now_us: int) -> Counter | None:
        held = self._held.get((identity, spend.unit))
        if held is None or not held.period.begins_us <= now_us < held.period.ends_us:
            return None
        return held.counter

    def _with_lot(
        self, identity: str, spend: Spend, counter: Counter | None, *, now_us: int
    ) -> tuple[Lot, Counter]:
        period = period_at(spend.unit, now_us)
        lot = lot_for(identity, spend, counter, now_us=now_us, is_expected=False, period=period)
        return lot, Counter((counter.rest if counter else 0) + lot.tokens, lot.booked)

    def _keep(self, identity: str, unit: str, counter: Counter | None, *, now_us: int) -> None:
        if counter is not None:
            self._held[identity, unit] = _Held(period_at(unit, now_us), counter)


def _after(counter: Counter | None, lot: Lot | None, tokens: int, *, is_paid: bool) -> Counter | None:
    """What is left when a request was charged, or refused: then a lot that was not to be kept is gone."""
    if counter is None:
        return None
    lent = 0 if is_paid or lot is None or lot.is_kept else lot.tokens
    return Counter(counter.rest - tokens - lent, counter.booked)
