"""Admits or refuses requests, by the shared limits in Redis, or by this process's own limits while Redis is away."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, partial

from django.conf import settings
from redis.exceptions import RedisError

from ops.metrics.declarations import LIMIT_DECISIONS
from ops.redis.loop_connection import LoopConnection
from ratelimit.limits.admission import Admission, admission_of
from ratelimit.limits.local_limits import LocalLimits
from ratelimit.limits.quotas import QuotaCharge, Reservation, exceeds_quota, is_short_of, quota_reserve
from ratelimit.limits.shared_limits import SharedAnswer, SharedTurn, ask_shared, take_shared
from ratelimit.limits.token_bucket import Charge

logger = logging.getLogger(__name__)

# Attempts to reserve quota tokens for one request. A second attempt is needed only if, between a reservation and the
# call that sends it to Redis, the period ends or Redis loses the quota's balance.
_MAX_RESERVATION_ATTEMPTS = 3


class Limiter:
    """The limiter of one of `workers` processes.

    `clock` is monotonic, `wall_clock` counts from the epoch, both in nanoseconds.
    """

    def __init__(
        self,
        *,
        workers: int,
        clock: Callable[[], int] = time.monotonic_ns,
        wall_clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._clock = clock
        self._wall_clock = wall_clock
        self._local = LocalLimits(workers=workers)
        self._reserving = threading.Lock()
        self._is_local = False
        self._turn: SharedTurn | None = None

    def admit(self, charge: Charge, quotas: Sequence[QuotaCharge] = ()) -> Admission:
        """Charge a bucket and quotas for a request: all of them, or none. Raises DatabaseError."""
        counted_in = "redis"
        try:
            admission = _admission(self._take_shared(charge, quotas), quotas)
        except RedisError as error:
            admission, counted_in = self._admit_local(charge, quotas, error), "process"
        LIMIT_DECISIONS.add(charge.name, "admitted" if admission.admitted else "refused", counted_in)
        return admission

    def charge_debt(self, charge: Charge, quotas: Sequence[QuotaCharge] = ()) -> Admission:
        """Charge work that is done. The bucket owes the tokens that it lacks; a quota gives what it has left.

        Always admitted. Raises DatabaseError.
        """
        charge = charge._replace(is_debt=True)
        try:
            answer = self._take_shared(charge, quotas)
            # Takes what the quotas have left; nothing if another call takes that first.
            for tokens in (_least_left(quotas, answer), 0):
                if not answer.is_short:
                    break
                quotas = [replace(quota, tokens=tokens) for quota in quotas]
                answer = self._take_shared(charge, quotas)
        except RedisError as error:
            return self._admit_local(charge, quotas, error)
        return _admission(answer, quotas)

    def _admit_local(self, charge: Charge, quotas: Sequence[QuotaCharge], error: RedisError) -> Admission:
        """Charge this process's own limits. error: why Redis was not asked. Raises DatabaseError."""
        if not self._is_local:
            self._is_local = True
            logger.warning("Redis is away, limits are kept by each process alone: %s", error)
        now_us, epoch_now_us = self._clock() // 1000, self._wall_clock() // 1000
        return self._local.admit(charge, quotas, now_us=now_us, epoch_now_us=epoch_now_us)

    def admit_soon(
        self,
        charge: Charge,
        quotas: Sequence[QuotaCharge],
        *,
        redis: LoopConnection,
        then: Callable[[Admission | None], object],
    ) -> bool:
        """Charge a call from an event loop, without waiting. Return whether the charge was sent; else call `admit`.

        `then` gets the admission if the call is admitted, and None if `admit` must decide: the call was refused, or
        Redis did not answer. It is never called before this returns.
        """
        if not redis.ready_or_opening():
            return False
        settle = partial(self._settle_soon, charge, quotas, then)
        if quotas:
            return ask_shared(redis, charge, quotas, settle)
        self._turn_of(redis).ask(charge, settle)
        return True

    def _settle_soon(
        self,
        charge: Charge,
        quotas: Sequence[QuotaCharge],
        then: Callable[[Admission | None], object],
        answer: SharedAnswer | None,
    ) -> None:
        admission = None
        if answer is not None:
            self._note_answer()
            admission = _admission(answer, quotas)
        if admission is not None and not admission.admitted:
            admission = None
        if admission is not None:
            LIMIT_DECISIONS.add(charge.name, "admitted", "redis")
        then(admission)

    def _turn_of(self, redis: LoopConnection) -> SharedTurn:
        turn = self._turn
        if turn is None or not turn.is_open or turn.redis is not redis:
            turn = self._turn = SharedTurn(redis)
        return turn

    def _take_shared(self, charge: Charge, quotas: Sequence[QuotaCharge]) -> SharedAnswer:
        """Charge the limits in Redis. If Redis has too few unspent tokens of a quota, reserve more first."""
        answer = take_shared(charge, quotas=quotas)
        self._note_answer()
        if not _needs_reservation(quotas, answer):
            return answer
        with self._reserving:
            # Another thread may have reserved meanwhile.
            answer = take_shared(charge, quotas=quotas)
            for _ in range(_MAX_RESERVATION_ATTEMPTS):
                if not _needs_reservation(quotas, answer):
                    break
                reservations = _reservations(charge.identity, quotas, answer)
                answer = take_shared(charge, quotas=quotas, reservations=reservations)
        return answer

    def _note_answer(self) -> None:
        if self._is_local:
            self._is_local = False
            logger.info("Redis is back, limits are shared again")


def _admission(answer: SharedAnswer, quotas: Sequence[QuotaCharge]) -> Admission:
    if not quotas:
        return Admission(answer.bucket)
    return admission_of(answer.bucket, quotas, answer.balances, is_short=answer.is_short)


def _least_left(quotas: Sequence[QuotaCharge], answer: SharedAnswer) -> int:
    """Return how many tokens the quota with the fewest has left; 0 without a quota, or if a balance is unknown."""
    pairs = zip(quotas, answer.balances, strict=False)
    return min((balance.remaining(quota.limit) if balance else 0 for quota, balance in pairs), default=0)


def _needs_reservation(quotas: Sequence[QuotaCharge], answer: SharedAnswer) -> bool:
    return answer.is_short and not any(map(exceeds_quota, quotas, answer.balances))


def _reservations(
    identity: str, quotas: Sequence[QuotaCharge], answer: SharedAnswer
) -> list[Reservation | None]:
    """Return an item for each quota: a new reservation if the quota has too few unspent tokens, else None.

    Tokens are reserved in the period that is current by Redis's clock.
    """
    now_us = answer.bucket.now_us
    return [
        quota_reserve(identity, quota, now_us=now_us) if is_short_of(quota, balance) else None
        for quota, balance in zip(quotas, answer.balances, strict=True)
    ]


@cache
def process_limiter() -> Limiter:
    return Limiter(workers=settings.WORKERS)
