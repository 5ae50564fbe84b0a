"""Buckets in the memory of one process, for when Redis is away: each process gives its share of the rate."""

import threading
from collections import OrderedDict
from dataclasses import dataclass, replace

from ratelimit.limits.token_bucket import SECOND_US, Bucket, Charge, Standing, Taken, standing, take

MAX_BUCKETS = 10_000

_Key = tuple[str, str, int]


@dataclass(slots=True)
class _State:
    """Instants and spans in parts. `known_at` is when the share would be full had nothing been taken here.

    `taken` is what was taken here since Redis last told its state and may be owed, `claimed` as much of that as is being charged to the shared bucket just now.
    `told_after` counts the failed calls to Redis before it last told its state. `settling_at` is when the share would be full
    had Redis not come back.
    """

    full_at: int
    known_at: int
    taken: int = 0
    claimed: int = 0
    told_after: int = 0
    settling_at: int = 0

    def debt(self, refilled_until: int) -> int:
        """What was taken here since Redis last told its state and was not refilled by an instant."""
        return max(0, min(self.taken, self.full_at - max(self.known_at, refilled_until)))


class LocalBuckets:
    """One bucket per caller, name and rate, with `1/workers` of the rate and of the burst, for worker `number` of them.

    Where that burst is less than a token, the workers take turns: time is cut into spans in which the whole rate gives one
    token, each worker in turn may give one in its span, and what it does not give lapses. All together then give no more
    than the whole would, wherever a caller asks. The clock of all workers of a machine is the same.
    `remember` keeps them in step with the shared ones, so that losing Redis gives nobody a second burst. What was
    taken here is owed to the shared bucket, less what the share had refilled when Redis was last known to be away, so that
    regaining it gives none either: others may have had all of its rate since.
    Bounded: beyond `capacity` the bucket longest unused is dropped. `now_us` is of a monotonic clock. Thread-safe.
    """

    def __init__(self, *, workers: int, number: int = 0, capacity: int = MAX_BUCKETS) -> None:
        self._workers = max(1, workers)
        self._number = number % self._workers
        self._capacity = capacity
        self._states: OrderedDict[_Key, _State] = OrderedDict()
        self._lock = threading.Lock()
        self._away_us = 0

    def note_away(self, *, now_us: int) -> None:
        """Redis was tried and did not answer: whatever this process gave until now, nobody had it from there."""
        self._away_us = now_us

    def take(self, charge: Charge, *, now_us: int, epoch_now_us: int) -> Standing:
        """The standing after a charge to this process's share of the bucket; never raises.

        A cost above the share's burst is charged as that burst: it would not be admitted as long as Redis is away.
        """
        with self._lock:
            state = self._used(charge, start=now_us * charge.bucket.rate)
            full_at = max(state.full_at, state.settling_at)
            share, taken = self._take(charge, full_at, now_us=now_us)
            if full_at <= self._refilled_until(charge, now_us):
                state.taken = 0
            state.taken += self._parts(charge) if taken.admitted else 0
            state.full_at = state.settling_at = taken.full_at
        return self._standing(charge, share, taken, now_us=now_us, epoch_now_us=epoch_now_us)

    def settle(self, charge: Charge, *, now_us: int, epoch_now_us: int) -> Standing:
        """The standing of this process's share after a charge that the shared bucket is to be asked for, too.

        So it is for a while after Redis is back: other processes may still give their shares without asking.
        """
        with self._lock:
            state = self._used(charge, start=now_us * charge.bucket.rate)
            share, taken = self._take(charge, max(state.full_at, state.settling_at), now_us=now_us)
            state.settling_at = taken.full_at
        return self._standing(charge, share, taken, now_us=now_us, epoch_now_us=epoch_now_us)

    def unsettle(self, charge: Charge) -> None:
        """Undo a `settle` that was admitted: the shared bucket gave nothing."""
        with self._lock:
            state = self._states.get(_key(charge))
            if state is not None:
                state.settling_at -= self._parts(charge)

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
        return replace(told, retry_after_us=told.retry_after_us + until_turn)

    def _parts(self, charge: Charge) -> int:
        """What a charge is in parts of the share."""
        share = self._share(charge.bucket)
        return min(charge.cost, share.burst) * share.period_us

    def give_back(self, charge: Charge) -> None:
        """Undo a charge that was admitted."""
        with self._lock:
            state = self._states.get(_key(charge))
            if state is not None:
                given = self._parts(charge)
                state.full_at -= given
                state.settling_at -= given
                state.taken -= min(given, state.taken)

    def _until_turn(self, bucket: Bucket, now_us: int) -> int:
        """Microseconds until this worker may give a token; 0 if it may now, or has a share of its own."""
        if bucket.burst >= self._workers:
            return 0
        # In parts, of which a token is worth a second's.
        cycle = self._workers * SECOND_US
        position = (now_us * bucket.rate - self._number * SECOND_US) % cycle
        return 0 if position < SECOND_US else -(-(cycle - position) // bucket.rate)

    def claim_owed(self, charge: Charge, *, now_us: int) -> int:
        """The parts of the shared bucket that are owed to it by now and that nobody else is charging to it.

        Whoever has claimed them tells by `remember` or `put_back` what came of it.
        """
        with self._lock:
            state = self._states.get(_key(charge))
            if state is None:
                return 0
            unclaimed = max(0, state.debt(self._refilled_until(charge, now_us)) - state.claimed)
            owed = -(-unclaimed // self._workers)
            state.claimed += owed * self._workers
            return owed

    def missing(self, charge: Charge, *, now_us: int, breaks: int) -> tuple[int, int]:
        """Parts that the shared bucket must be missing still: in any case, and if Redis has no such bucket.

        breaks: how many calls to Redis have failed so far. As long as none has, Redis knows better, unless it was emptied
        or its clock was set.
        """
        with self._lock:
            state = self._states.get(_key(charge))
            if state is None:
                return 0, 0
            known = max(0, state.known_at - now_us * charge.bucket.rate)
            return (0 if state.told_after == breaks else known), known

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
        told_us: int | None = None,
        settled: int = 0,
        breaks: int = 0,
        is_doubtful: bool = False,
    ) -> None:
        """Note how full the shared bucket is, as was asked at `now_us` and told at `told_us`; `settled` parts were claimed here.

        A share needs the same time to fill up, and longer for what was taken from it meanwhile. breaks: how many calls
        to Redis had failed before this one. In doubt, because one failed during it, what was told before counts too.
        """
        rate, paid = charge.bucket.rate, settled * self._workers
        start, told_at = now_us * rate, (now_us if told_us is None else told_us) * rate
        until_full = standing.until_full_us * rate
        with self._lock:
            state = self._used(charge, start=start)
            unpaid = max(0, state.debt(self._refilled_until(charge, now_us)) - paid)
            state.claimed = max(0, state.claimed - paid) if unpaid else 0
            before = state.known_at if is_doubtful else 0
            state.known_at = max(told_at + min(until_full, 2 * self._share(charge.bucket).capacity), before)
            state.taken = unpaid
            state.full_at = state.known_at + unpaid
            if not is_doubtful:
                state.told_after = breaks

    def __len__(self) -> int:
        return len(self._states)

    def _refilled_until(self, charge: Charge, now_us: int) -> int:
        """Up to when what was taken here counts as refilled, in parts."""
        is_alone = self._workers == 1
        return (now_us if is_alone else min(now_us, self._away_us)) * charge.bucket.rate

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
    return charge.identity, charge.name, charge.bucket.rate
