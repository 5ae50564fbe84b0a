"""Buckets in the memory of one process, for when Redis is away: each process gives its share of the rate."""

import threading
from collections import OrderedDict
from dataclasses import dataclass

from ratelimit.token_bucket import SECOND_US, Bucket, Charge, Standing, standing, take

MAX_BUCKETS = 10_000

_Key = tuple[str, str, int]


@dataclass(slots=True)
class _State:
    """Instants and spans in parts. `known_at` is when the share would be full had nothing been taken here.

    `claimed` is as much of the difference as is being charged to the shared bucket just now. `told_after` counts the
    failed calls to Redis before it last told its state.
    """

    full_at: int
    known_at: int
    claimed: int = 0
    told_after: int = 0

    def debt(self, start: int) -> int:
        """What was taken here since Redis last told its state and was not refilled by `start`, which is now."""
        return max(0, self.full_at - max(self.known_at, start))


class LocalBuckets:
    """One bucket per caller, kind and rate, with `1/workers` of the rate and of the burst (at least a token).

    `remember` keeps them in step with the shared ones, so that losing Redis gives nobody a second burst. What was
    taken here is owed to the shared bucket, less what the share has refilled, so that regaining it gives none either.
    Bounded: beyond `capacity` the bucket longest unused is dropped. `now_us` is of a monotonic clock. Thread-safe.
    """

    def __init__(self, *, workers: int, capacity: int = MAX_BUCKETS) -> None:
        self._workers = max(1, workers)
        self._capacity = capacity
        self._states: OrderedDict[_Key, _State] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, charge: Charge, *, now_us: int, epoch_now_us: int) -> Standing:
        """The standing after a charge to this process's share of the bucket; never raises."""
        share = self._share(charge.bucket)
        with self._lock:
            state = self._used(charge, start=now_us * share.rate)
            taken = take(share, full_at=state.full_at, now_us=now_us, cost=charge.cost)
            state.full_at = taken.full_at
        return standing(
            share, taken, kind=charge.kind, now_us=now_us, epoch_now_us=epoch_now_us, cost=charge.cost
        )

    def claim_owed(self, charge: Charge, *, now_us: int) -> int:
        """The parts of the shared bucket that are owed to it by now and that nobody else is charging to it.

        Whoever has claimed them tells by `remember` or `put_back` what came of it.
        """
        with self._lock:
            state = self._states.get(_key(charge))
            if state is None:
                return 0
            unclaimed = max(0, state.debt(now_us * charge.bucket.rate) - state.claimed)
            owed = -(-unclaimed // self._workers)
            state.claimed += owed * self._workers
            return owed

    def missing(self, charge: Charge, *, now_us: int, breaks: int) -> int:
        """Parts that the shared bucket must be missing still, if Redis may have lost it since it told its state.

        breaks: how many calls to Redis have failed so far. As long as none has, Redis knows better: 0.
        """
        with self._lock:
            state = self._states.get(_key(charge))
            if state is None or state.told_after == breaks:
                return 0
            return max(0, state.known_at - now_us * charge.bucket.rate)

    def put_back(self, charge: Charge, *, owed: int) -> None:
        """Let what was claimed be claimed again: the shared bucket was not reached."""
        with self._lock:
            state = self._states.get(_key(charge))
            if state is not None:
                state.claimed = max(0, state.claimed - owed * self._workers)

    def remember(
        self,
        charge: Charge,
        standing: Standing,
        *,
        now_us: int,
        settled: int = 0,
        breaks: int = 0,
        is_doubtful: bool = False,
    ) -> None:
        """Note how full the shared bucket is, of which `settled` parts were claimed here.

        A share needs the same time to fill up, and longer for what was taken from it meanwhile. breaks: how many calls
        to Redis had failed before this one. In doubt, because one failed during it, what was told before counts too.
        """
        start = now_us * charge.bucket.rate
        until_full = min(standing.until_full_us * charge.bucket.rate, self._share(charge.bucket).capacity)
        paid = settled * self._workers
        with self._lock:
            state = self._used(charge, start=start)
            unpaid = max(0, state.debt(start) - paid)
            state.claimed = max(0, state.claimed - paid) if unpaid else 0
            state.known_at = max(start + until_full, state.known_at if is_doubtful else 0)
            state.full_at = state.known_at + unpaid
            if not is_doubtful:
                state.told_after = breaks

    def __len__(self) -> int:
        return len(self._states)

    def _used(self, charge: Charge, *, start: int) -> _State:
        key = _key(charge)
        state = self._states.setdefault(key, _State(full_at=start, known_at=start))
        self._states.move_to_end(key)
        if len(self._states) > self._capacity:
            self._states.popitem(last=False)
        return state

    def _share(self, bucket: Bucket) -> Bucket:
        burst = max(1, bucket.burst // self._workers)
        return Bucket(rate=bucket.rate, burst=burst, period_us=SECOND_US * self._workers)


def _key(charge: Charge) -> _Key:
    return charge.identity, charge.kind, charge.bucket.rate
