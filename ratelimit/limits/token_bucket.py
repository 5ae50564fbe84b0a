"""A token bucket, stored as one number: the instant at which it will be full again (GCRA, virtual scheduling).

The arithmetic is exact, on integers. Instants and durations are counted in *parts*: a part is 1/rate of a
microsecond, so one token refills in `period_us` parts at any rate. The script `admission.lua` computes the same
with pairs (microseconds, parts), because its numbers are doubles, which are exact only up to 53 bits.
The types are NamedTuples because every request makes several, and a frozen dataclass takes several times as long to
make.
"""

from typing import NamedTuple

SECOND_US = 1_000_000
BURST_SECONDS = 2
# A debt brings a bucket at most this many bursts below empty.
DEBT_BURSTS = 1


class Bucket(NamedTuple):
    """A bucket of at most `burst` tokens; `rate` tokens flow in every `period_us` microseconds. All are at least 1."""

    rate: int
    burst: int
    period_us: int = SECOND_US

    @property
    def capacity(self) -> int:
        """The time that an empty bucket takes to fill up, in parts."""
        return self.burst * self.period_us


class Charge(NamedTuple):
    """A charge of `cost` tokens to a caller's bucket `name`. The bucket's period is one second.

    is_debt: whether the work is done, so that the tokens are taken even if the bucket has too few.
    """

    identity: str
    name: str
    bucket: Bucket
    cost: int = 1
    is_debt: bool = False


class Taken(NamedTuple):
    """Whether the tokens were given, and when the bucket is full (an instant in parts)."""

    admitted: bool
    full_at: int


class BucketState(NamedTuple):
    """A bucket after a charge, as a caller sees it. `now_us` is in microseconds since the epoch."""

    admitted: bool
    name: str
    limit: int
    remaining: int
    refill_us: int
    now_us: int
    until_full_us: int
    retry_after_us: int

    @property
    def reset(self) -> int:
        """The epoch second, rounded up, at which the bucket will be full."""
        return -(-(self.now_us + self.until_full_us) // SECOND_US)

    @property
    def debt_us(self) -> int:
        """Microseconds until the bucket owes nothing, if nobody takes tokens."""
        return max(0, self.until_full_us - self.refill_us)


def burst_of(rate: int) -> int:
    """Return the size in tokens of a bucket with that rate per second."""
    return BURST_SECONDS * rate


def take(bucket: Bucket, *, full_at: int | None, now_us: int, cost: int = 1, is_debt: bool = False) -> Taken:
    """Take `cost` tokens at `now_us`; of a debt, as many as the bucket can owe.

    `full_at` is the stored state, an instant in parts. None, or an instant before now, means a full bucket. If the
    clock was set back, the instant may be later than that of the deepest debt; it then means that debt. A cost above
    the burst is never admitted.
    """
    start = now_us * bucket.rate
    deepest = start + (1 + DEBT_BURSTS) * bucket.capacity
    full_before = start if full_at is None else min(max(start, full_at), deepest)
    full_after = full_before + cost * bucket.period_us
    if is_debt:
        return Taken(True, min(full_after, deepest))
    return Taken(True, full_after) if full_after <= start + bucket.capacity else Taken(False, full_before)


def bucket_state(
    bucket: Bucket, taken: Taken, *, name: str, now_us: int, epoch_now_us: int, cost: int = 1
) -> BucketState:
    """Return the bucket's state after `take`.

    `now_us` is the one given to `take`; `epoch_now_us` is the same instant since the epoch. `retry_after_us` is the
    time until the bucket has `cost` tokens if nobody takes any; 0 if admitted.
    """
    used = taken.full_at - now_us * bucket.rate
    return charged_state(bucket, used, admitted=taken.admitted, name=name, now_us=epoch_now_us, cost=cost)


def charged_state(
    bucket: Bucket, used: int, *, admitted: bool, name: str, now_us: int, cost: int
) -> BucketState:
    """Return the bucket's state like `bucket_state`. used: the time until it is full, in parts."""
    rate, burst, period_us = bucket
    capacity = burst * period_us
    missing = 0 if admitted else max(0, used + cost * period_us - capacity)
    return BucketState(
        admitted,
        name,
        burst,
        max(0, capacity - used) // period_us,
        -(-capacity // rate),
        now_us,
        -(-used // rate),
        -(-missing // rate),
    )
