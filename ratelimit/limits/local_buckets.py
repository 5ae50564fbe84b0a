"""Buckets in the memory of one process, for when Redis is away: each process gives its share of the rate."""

import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import NamedTuple

from ratelimit.limits.token_bucket import SECOND_US, Bucket, Charge, Standing, Taken, standing, take

MAX_BUCKETS = 10_000

_Key = tuple[str, str, int]


@dataclass(slots=True)
class _State:
    """Instants in parts: when the shared bucket will be full, as Redis last told, and when the share will be, by what it gave.

    `taken` parts were given since Redis last told and may be owed, `claimed` of them are being charged to the shared bucket
    just now. `told_after` counts the failed calls to Redis before it last told this bucket's state.
    """

    known_at: int
    given_at: int
    taken: int = 0
    claimed: int = 0
    told_after: int = 0

    def owed(self, now: int) -> int:
        """What was given, neither Redis nor the share has refilled, and is not being charged."""
        return max(0, min(self.taken - self.claimed, self.given_at - max(self.known_at, now)))


class Debt(NamedTuple):
    """Parts of the shared bucket: missing in any case, missing where Redis has no such bucket, and given without Redis.

    `claimed` are the parts of the share that are owed by whoever has this.
    """

    missing: int = 0
    presumed: int = 0
    owed: int = 0
    claimed: int = 0


NO_DEBT = Debt()


class LocalBuckets:
    """One bucket per caller, name and rate, with `1/workers` of the rate and of the burst, for worker `number` of them.

    Where that burst is less than a token, the workers take turns: time is cut into spans in which the whole rate gives one
    token, each worker in turn may give one in its span, and what it does not give lapses. All together then give no more
    than the whole would, wherever a caller asks. The clock of all workers of a machine is the same.
    `remember` keeps them in step with the shared ones, so that losing Redis gives nobody a second burst. Regaining it gives
    none either: what a share gave and has not refilled is owed to the shared bucket, and until all have found Redis again none gives more
    than its share.
    Bounded: beyond `capacity` the bucket longest unused is dropped. `now_us` is of a monotonic clock. Thread-safe.
    """

    def __init__(self, *, workers: int, number: int = 0, capacity: int = MAX_BUCKETS) -> None:
        self._workers = max(1, workers)
        self._number = number % self._workers
        self._capacity = capacity
        self._states: OrderedDict[_Key, _State] = OrderedDict()
        self._lock = threading.Lock()
        self._settling_until_us = 0

    def take(self, charge: Charge, *, now_us: int, epoch_now_us: int) -> Standing:
        """The standing after a charge to this process's share of the bucket; never raises.

        A cost above the share's burst is charged as that burst: it would not be admitted as long as Redis is away.
        """
        with self._lock:
            state = self._used(charge, now_us)
            share, taken = self._take(charge, max(state.known_at, state.given_at), now_us=now_us)
            state.given_at = taken.full_at
            state.taken += self._parts(charge) if taken.admitted else 0
        return self._standing(charge, share, taken, now_us=now_us, epoch_now_us=epoch_now_us)

    def settle(self, *, until_us: int) -> None:
        """Note that Redis is back, but that others may not know before an instant and go on giving their shares.

        Until then whoever asks the shared bucket takes from the share, too. A process without others has nobody to wait for.
        """
        self._settling_until_us = until_us if self._workers > 1 else 0

    def is_settling(self, now_us: int) -> bool:
        return now_us < self._settling_until_us

    def take_too(self, charge: Charge, *, now_us: int, epoch_now_us: int) -> Standing:
        """The standing after a charge to the share that the shared bucket is asked for, too: what others had there is no matter."""
        with self._lock:
            state = self._used(charge, now_us)
            share, taken = self._take(charge, state.given_at, now_us=now_us)
            state.given_at = taken.full_at
        return self._standing(charge, share, taken, now_us=now_us, epoch_now_us=epoch_now_us)

    def give_back(self, charge: Charge) -> None:
        """Undo a charge that was admitted."""
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

    def give_back_too(self, charge: Charge) -> None:
        """Undo a `take_too` that was admitted: the shared bucket gave nothing."""
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
        return replace(told, retry_after_us=told.retry_after_us + until_turn)

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

    def claim(self, charge: Charge, *, now_us: int, breaks: int) -> Debt:
        """What the shared bucket lacks by what is known here, with what is owed to it and nobody else is charging to it.

        breaks: how many calls to Redis have failed so far. As long as none has, Redis knows better, unless it was emptied
        or its clock was set. Whoever has claimed tells by `remember` or `put_back` what came of it.
        """
        bucket, start = charge.bucket, now_us * charge.bucket.rate
        with self._lock:
            state = self._states.get(_key(charge))
            if state is None:
                return NO_DEBT
            known = max(0, state.known_at - start)
            missing = 0 if state.told_after == breaks else known
            if self.is_settling(now_us):
                # The share has given already what the shared bucket is asked for, and others may fill that up meanwhile.
                given = (state.given_at - start) // self._workers - charge.cost * bucket.period_us
                missing = max(missing, given)
            owed, claimed = state.owed(start), state.taken - state.claimed
            state.claimed = state.taken
        return Debt(missing, known, -(-owed // self._workers), claimed)

    def put_back(self, charge: Charge, debt: Debt) -> None:
        """Let what was claimed be claimed again: the shared bucket was not reached."""
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
        breaks: int = 0,
        is_doubtful: bool = False,
    ) -> None:
        """Note how full the shared bucket is, as was asked at `now_us` and told at `told_us`, and that a debt is `paid`.

        A share needs the same time to fill up. breaks: how many calls to Redis had failed before this one. In doubt,
        because one failed during it, what was told before counts too.
        """
        rate = charge.bucket.rate
        told_at = (now_us if told_us is None else told_us) * rate
        until_full = min(standing.until_full_us * rate, 2 * self._share(charge.bucket).capacity)
        with self._lock:
            state = self._used(charge, now_us)
            if state.told_after != breaks:
                state.given_at = max(state.given_at, state.known_at)
            state.taken = max(0, state.taken - paid.claimed)
            state.claimed = max(0, state.claimed - paid.claimed)
            state.known_at = max(told_at + until_full, state.known_at if is_doubtful else 0)
            if not is_doubtful:
                state.told_after = breaks

    def __len__(self) -> int:
        return len(self._states)

    def _used(self, charge: Charge, now_us: int) -> _State:
        key, start = _key(charge), now_us * charge.bucket.rate
        state = self._states.setdefault(key, _State(known_at=start, given_at=start))
        self._states.move_to_end(key)
        if len(self._states) > self._capacity:
            self._states.popitem(last=False)
        return state

    def _share(self, bucket: Bucket) -> Bucket:
        burst = max(1, bucket.burst // self._workers)
        return Bucket(rate=bucket.rate, burst=burst, period_us=SECOND_US * self._workers)


def _key(charge: Charge) -> _Key:
    return charge.identity, charge.name, charge.bucket.rate
