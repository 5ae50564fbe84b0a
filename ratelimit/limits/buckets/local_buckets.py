"""Buckets in the memory of one process, for when Redis is away: each process gives its share of the rate."""

import threading
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from cachetools import LRUCache

from ratelimit.limits.buckets.token_bucket import SECOND_US, Bucket, Charge, Standing, Taken, standing, take

MAX_BUCKETS = 10_000

_Key = tuple[str, str, int]


@dataclass(slots=True)
class _State:
    """What a process knows of one bucket. Instants and amounts are in parts.

    known_at: when the shared bucket will be full, by Redis's last answer. given_at: when the share will be
    full, by what it gave. taken: given without Redis and not yet paid. claimed: those of `taken` that a
    request is paying just now. failures_when_told: `failures()` as it was before Redis's last answer.
    """

    known_at: int
    given_at: int
    taken: int = 0
    claimed: int = 0
    failures_when_told: int = 0

    def owed(self, now: int) -> int:
        """What was given without Redis, is not being paid, and has not flowed in again since."""
        return max(0, min(self.taken - self.claimed, self.given_at - max(self.known_at, now)))


class Debt(NamedTuple):
    """What one process says of a shared bucket when it charges it; amounts are in parts.

    missing: the bucket lacks at least these, whatever Redis holds. presumed: it lacks these if Redis holds no
    such bucket, and may have lost it. owed: given without Redis, to be taken now. claimed: what `owed` stands
    for, in parts of the share.
    """

    missing: int = 0
    presumed: int = 0
    owed: int = 0
    claimed: int = 0


NO_DEBT = Debt()


class LocalBuckets:
    """Shares of buckets, by caller, name and rate.

    A share is `1/workers` of the rate and of the burst, for worker `number` of them. Redis away: `take_alone`
    charges the share. Redis back: `claim` says what the share gave meanwhile, which is charged to the shared
    bucket, and `remember` or `put_back` what came of that. After `settle`, while other workers may still give
    their shares, `take_alongside` charges the share beside the shared bucket. So neither losing Redis nor
    regaining it gives anybody a second burst. Where a share's burst is less than a token, the workers take
    turns: in each span in which the whole rate gives one token, one worker may give it, and a token that it
    does not give lapses. This needs one clock for all workers of a machine. At most `capacity` buckets are
    kept, those used last. `now_us` is of a monotonic clock. Thread-safe.
    """

    def __init__(self, *, workers: int, number: int = 0, capacity: int = MAX_BUCKETS) -> None:
        self._workers = max(1, workers)
        self._number = number % self._workers
        self._states: LRUCache[_Key, _State] = LRUCache(capacity)
        self._lock = threading.Lock()
        self._settling_until_us = 0

    def take_alone(self, charge: Charge, *, now_us: int, epoch_now_us: int) -> Standing:
        """The standing after a charge to this process's share of the bucket; never raises.

        A cost above the share's burst is charged as that burst: it would not be admitted as long as Redis is
        away.
        """
        with self._lock:
            state = self._used(charge, now_us)
            share, taken = self._take(charge, max(state.known_at, state.given_at), now_us=now_us)
            state.given_at = taken.full_at
            state.taken += self._parts(charge) if taken.admitted else 0
        return self._standing(charge, share, taken, now_us=now_us, epoch_now_us=epoch_now_us)

    def settle(self, *, until_us: int) -> None:
        """Note that Redis is back.

        Others may not know before an instant, and go on giving their shares. Until then whoever asks the
        shared bucket takes from the share, too. A process without others has nobody to wait for.
        """
        self._settling_until_us = until_us if self._workers > 1 else 0

    def is_settling(self, now_us: int) -> bool:
        return now_us < self._settling_until_us

    def take_alongside(self, charge: Charge, *, now_us: int, epoch_now_us: int) -> Standing:
        """The standing after a charge to the share beside the same charge to the shared bucket.

        Only what the share itself gave counts, not how full the shared bucket is known to be, and nothing
        becomes owed.
        """
        with self._lock:
            state = self._used(charge, now_us)
            share, taken = self._take(charge, state.given_at, now_us=now_us)
            state.given_at = taken.full_at
        return self._standing(charge, share, taken, now_us=now_us, epoch_now_us=epoch_now_us)

    def give_back_alone(self, charge: Charge) -> None:
        """Undo a `take_alone` that was admitted."""
        with self._lock:
            state = self._states.get(_key(charge))
            if state is not None:
                given = self._parts(charge)
                state.given_at -= given
                state.taken -= min(given, state.taken)

    def note_given(self, charge: Charge, *, now_us: int) -> None:
        """Count what only the shared bucket was asked for as given by the share."""
        with self._lock:
            state = self._used(charge, now_us)
            state.given_at = max(state.given_at, now_us * charge.bucket.rate) + self._parts(charge)

    def give_back_alongside(self, charge: Charge) -> None:
        """Undo a `take_alongside` that was admitted, as the shared bucket gave nothing."""
        with self._lock:
            state = self._states.get(_key(charge))
            if state is not None:
                state.given_at -= self._parts(charge)

    def _take(self, charge: Charge, full_at: int, *, now_us: int) -> tuple[Bucket, Taken]:
        """The share of a bucket, and what comes of a charge to it, which is at most its burst."""
        share = self._share(charge.bucket)
        cost = min(charge.cost, share.burst)
        # Another thread may have noted what it was told later than this one began.
        full_at = min(full_at, now_us * share.rate + 2 * share.capacity)
        if cost == 0 or self._until_turn(charge.bucket, now_us) == 0:
            return share, take(share, full_at=full_at, now_us=now_us, cost=cost)
        return share, Taken(False, max(full_at, now_us * share.rate))

    def _standing(
        self, charge: Charge, share: Bucket, taken: Taken, *, now_us: int, epoch_now_us: int
    ) -> Standing:
        cost = min(charge.cost, share.burst)
        told = standing(share, taken, name=charge.name, now_us=now_us, epoch_now_us=epoch_now_us, cost=cost)
        if told.admitted:
            return told
        until_turn = self._until_turn(charge.bucket, now_us + told.retry_after_us)
        return told._replace(retry_after_us=told.retry_after_us + until_turn)

    def _parts(self, charge: Charge) -> int:
        """What a charge is in parts of the share."""
        share = self._share(charge.bucket)
        return min(charge.cost, share.burst) * share.period_us

    def _until_turn(self, bucket: Bucket, now_us: int) -> int:
        """Microseconds until this worker may give a token; 0 if it may now, or has a share of its own."""
        if bucket.burst >= self._workers:
            return 0
        # In parts, of which a token is worth a second's.
        cycle = self._workers * SECOND_US
        position = (now_us * bucket.rate - self._number * SECOND_US) % cycle
        return 0 if position < SECOND_US else -(-(cycle - position) // bucket.rate)

    def claim(self, charge: Charge, *, now_us: int, failures: int) -> Debt:
        """What to tell Redis of the shared bucket with this charge.

        What is owed is claimed, so that no other thread pays it. failures: the number of failures by now. If
        it has not grown since Redis's last answer, Redis knows what is missing, and only a bucket that it
        does not have is presumed. Every claim ends by `remember` or by `put_back`.
        """
        bucket, start = charge.bucket, now_us * charge.bucket.rate
        with self._lock:
            state = self._states.get(_key(charge))
            if state is None:
                return NO_DEBT
            known = max(0, state.known_at - start)
            missing = 0 if state.failures_when_told == failures else known
            if self.is_settling(now_us):
                # The share gave already what is asked for, and others may fill the bucket up meanwhile.
                given = (state.given_at - start) // self._workers - charge.cost * bucket.period_us
                missing = max(missing, given)
            owed, claimed = state.owed(start), state.taken - state.claimed
            state.claimed = state.taken
        return Debt(missing, known, -(-owed // self._workers), claimed)

    def put_back(self, charge: Charge, debt: Debt) -> None:
        """End a claim that was not paid, as Redis was not reached: it can be claimed again."""
        with self._lock:
            state = self._states.get(_key(charge))
            if state is not None:
                state.claimed = max(0, state.claimed - debt.claimed)

    def remember(
        self,
        charge: Charge,
        standing: Standing,
        *,
        now_us: int,
        told_us: int | None = None,
        paid: Debt = NO_DEBT,
        failures: int = 0,
        is_doubtful: bool = False,
    ) -> None:
        """Note how full the shared bucket is, and that a debt is `paid`.

        It was asked at `now_us` and answered at `told_us`. A share is taken to need the same time to fill up.
        failures: their number before the call. is_doubtful: an attempt failed during it; then the later of
        this answer's instant and the last one's holds, and the answer does not clear the failure.
        """
        rate = charge.bucket.rate
        told_at = (now_us if told_us is None else told_us) * rate
        until_full = min(standing.until_full_us * rate, 2 * self._share(charge.bucket).capacity)
        with self._lock:
            state = self._used(charge, now_us)
            if state.failures_when_told != failures:
                state.given_at = max(state.given_at, state.known_at)
            state.taken = max(0, state.taken - paid.claimed)
            state.claimed = max(0, state.claimed - paid.claimed)
            state.known_at = max(told_at + until_full, state.known_at if is_doubtful else 0)
            if not is_doubtful:
                state.failures_when_told = failures

    def __len__(self) -> int:
        return len(self._states)

    def _used(self, charge: Charge, now_us: int) -> _State:
        key = _key(charge)
        state = self._states.get(key)
        if state is None:
            start = now_us * charge.bucket.rate
            state = self._states[key] = _State(known_at=start, given_at=start)
        return state

    def _share(self, bucket: Bucket) -> Bucket:
        return _share(bucket, self._workers)


@lru_cache(maxsize=1024)
def _share(bucket: Bucket, workers: int) -> Bucket:
    burst = max(1, bucket.burst // workers)
    return Bucket(rate=bucket.rate, burst=burst, period_us=SECOND_US * workers)


def _key(charge: Charge) -> _Key:
    return charge.identity, charge.name, charge.bucket.rate
