"""Whether a request may pass.

Shared buckets and quotas say so, or this process's share of them while Redis is away.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from functools import cache

from django.conf import settings
from django.db import DatabaseError
from redis.exceptions import RedisError

from metrics.declarations import LIMIT_DECISIONS
from ratelimit.limits.admission import Admission, admission_of
from ratelimit.limits.buckets.leases import Leases, lot
from ratelimit.limits.buckets.local_buckets import LocalBuckets
from ratelimit.limits.buckets.token_bucket import SECOND_US, Charge, Standing
from ratelimit.limits.quotas.book import lot_for
from ratelimit.limits.quotas.hand import QuotaHand
from ratelimit.limits.quotas.periods import period_at
from ratelimit.limits.quotas.spends import Lot, Spend, is_short_of, is_used_up
from ratelimit.limits.shared_buckets import Told, failures, take_shared
from redis_calls.connection import PAUSE_SECONDS

logger = logging.getLogger(__name__)

# How often a request tries to get at lots of which others were quicker to take; the last times it books one
# in any case.
_TRIES = 6
_TRIES_OF_LOTS_OF_OTHERS = 3
# So much later than another process may one find that Redis is back: a pause of the breaker and the timeout
# of a probe, several times.
_LATE_PAUSES = 5
LATE_US = round(_LATE_PAUSES * PAUSE_SECONDS * SECOND_US)


class Limiter:
    """The limiter of one process, number `number` of `workers`.

    `clock` is monotonic, `wall_clock` since the epoch, both in ns.
    """

    def __init__(
        self,
        *,
        workers: int,
        number: int = 0,
        clock: Callable[[], int] = time.monotonic_ns,
        wall_clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._clock = clock
        self._wall_clock = wall_clock
        self._leases = Leases()
        self._local = LocalBuckets(workers=workers, number=number)
        self._hand = QuotaHand()
        self._booking = threading.Lock()
        self._is_local = False

    def admit(self, charge: Charge, spends: Sequence[Spend] = ()) -> Admission:
        """Whether a bucket and quotas gave what a request costs: all of them, or none.

        Raises DatabaseError.
        """
        now_ns = self._clock()
        is_settling = self._local.is_settling(now_ns // 1000)
        admit = self._admit_settling if is_settling else self._admit_shared
        kept_by = "redis"
        try:
            admission = admit(charge, spends, now_ns)
        except RedisError as error:
            self._note_away(error)
            admission, kept_by = self._admit_locally(charge, spends), "process"
        LIMIT_DECISIONS.add(charge.name, "admitted" if admission.admitted else "refused", kept_by)
        return admission

    def _admit_shared(self, charge: Charge, spends: Sequence[Spend], now_ns: int) -> Admission:
        """What Redis says, or a lease of what it gave. Raises RedisError, DatabaseError."""
        key = (charge.identity, charge.name, charge.bucket.rate)
        # Where there is a quota each token counts, so that no request takes more than it costs.
        tokens = charge.cost if spends or not charge.cost else lot(charge.bucket.rate, charge.cost)
        if tokens == charge.cost:
            told = self._ask(charge, spends, now_ns)
        else:
            leased = self._leases.spend(key, cost=charge.cost, now_ns=now_ns)
            if leased is not None:
                return Admission(leased)
            told = self._ask(charge._replace(cost=tokens), spends, now_ns)
            if told.standing.admitted:
                self._leases.deposit(key, tokens=tokens - charge.cost, standing=told.standing, now_ns=now_ns)
        if self._is_local:
            self._note_back(now_us=now_ns // 1000)
            if told.is_given:
                self._local.note_given(charge, now_us=now_ns // 1000)
        return _admission(told, spends)

    def _admit_settling(self, charge: Charge, spends: Sequence[Spend], now_ns: int) -> Admission:
        """What both Redis and this process's share give. Raises RedisError, DatabaseError."""
        share = self._local.take_alongside(
            charge, now_us=now_ns // 1000, epoch_now_us=self._wall_clock() // 1000
        )
        if not share.admitted:
            return self._refused_locally(charge, spends, share)
        is_given = False
        try:
            told = self._ask(charge, spends, now_ns)
            is_given = told.is_given
        finally:
            if not is_given:
                self._local.give_back_alongside(charge)
        if self._is_local:
            self._note_back(now_us=now_ns // 1000)
        return _admission(told, spends)

    def _ask(self, charge: Charge, spends: Sequence[Spend], now_ns: int) -> Told:
        """What Redis says, with lots booked if it has too little of a quota.

        Raises RedisError, DatabaseError.
        """
        lots: Sequence[Lot | None] = ()
        # What was at hand here while Redis was away is handed over once Redis is known to be back.
        if spends and not self._is_local and len(self._hand):
            lots = self._hand.hand_over(charge.identity, spends)
        told = self._take_shared(charge, spends, lots, now_us=now_ns // 1000)
        if not told.is_short or any(map(is_used_up, spends, told.counters)):
            return told
        with self._booking:
            # Another thread may have brought a lot meanwhile.
            told = self._take_shared(charge, spends, now_us=self._clock() // 1000)
            for number in range(_TRIES):
                if not told.is_short or any(map(is_used_up, spends, told.counters)):
                    break
                is_expected = number < _TRIES_OF_LOTS_OF_OTHERS
                lots = _lots(charge.identity, spends, told, is_expected=is_expected)
                told = self._take_shared(charge, spends, lots, now_us=self._clock() // 1000)
        return told

    def _take_shared(
        self, charge: Charge, spends: Sequence[Spend], lots: Sequence[Lot | None] = (), *, now_us: int
    ) -> Told:
        """Charge the shared bucket, and with it what this process gave away by itself. Raises RedisError."""
        failed_before = failures()
        debt = self._local.claim(charge, now_us=now_us, failures=failed_before)
        try:
            told = take_shared(charge, spends=spends, lots=lots, debt=debt)
        except RedisError:
            self._local.put_back(charge, debt)
            raise
        self._local.remember(
            charge,
            told.standing,
            now_us=now_us,
            told_us=self._clock() // 1000,
            paid=debt,
            failures=failed_before,
            is_doubtful=failures() != failed_before,
        )
        return told

    def _admit_locally(self, charge: Charge, spends: Sequence[Spend]) -> Admission:
        epoch_now_us = self._wall_clock() // 1000
        standing = self._local.take_alone(charge, now_us=self._clock() // 1000, epoch_now_us=epoch_now_us)
        if not spends:
            return Admission(standing)
        if not standing.admitted:
            return self._refused_locally(charge, spends, standing)
        try:
            is_paid, counters = self._hand.pay(charge.identity, spends, now_us=epoch_now_us)
        except DatabaseError:
            self._local.give_back_alone(charge)
            raise
        if not is_paid:
            standing = self._given_back(charge, standing)
        return admission_of(standing, spends, counters, is_short=not is_paid)

    def _given_back(self, charge: Charge, standing: Standing) -> Standing:
        self._local.give_back_alone(charge)
        return standing._replace(remaining=min(standing.limit, standing.remaining + charge.cost))

    def _refused_locally(self, charge: Charge, spends: Sequence[Spend], standing: Standing) -> Admission:
        counters = self._hand.standing(charge.identity, spends, now_us=standing.now_us)
        return admission_of(standing, spends, counters, is_short=False)

    def _note_away(self, error: RedisError) -> None:
        if not self._is_local:
            self._is_local = True
            logger.warning("Redis is away, limits are kept by each process alone: %s", error)

    def _note_back(self, *, now_us: int) -> None:
        self._is_local = False
        self._local.settle(until_us=now_us + LATE_US)
        logger.info("Redis is back, limits are shared again")


def _admission(told: Told, spends: Sequence[Spend]) -> Admission:
    if not spends:
        return Admission(told.standing)
    return admission_of(told.standing, spends, told.counters, is_short=told.is_short)


def _lots(identity: str, spends: Sequence[Spend], told: Told, *, is_expected: bool) -> list[Lot | None]:
    """A lot for each quota that is short of one, in the period that is now by Redis's clock.

    Raises DatabaseError.
    """
    now_us = told.standing.now_us
    lots: list[Lot | None] = []
    for spend, counter in zip(spends, told.counters, strict=True):
        if not is_short_of(spend, counter):
            lots.append(None)
            continue
        period = period_at(spend.unit, now_us)
        lots.append(lot_for(identity, spend, counter, now_us=now_us, is_expected=is_expected, period=period))
    return lots


@cache
def process_limiter() -> Limiter:
    return Limiter(workers=settings.WORKERS, number=settings.WORKER_NUMBER)
