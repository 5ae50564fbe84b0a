"""A token bucket as one number: the instant at which it will be full again (a virtual scheduling GCRA).

All arithmetic is on integers and exact. Instants and spans are counted in *parts*: a part is 1/rate of a
microsecond, so that a token is worth `period_us` parts whatever the rate, and nothing is ever rounded. The
script `admission.lua` computes the same with pairs (microseconds, parts), because a double holds no more.
Every request makes a handful of these values, hence tuples: a frozen dataclass takes several times as long to
make.
"""

from typing import NamedTuple

SECOND_US = 1_000_000


class Bucket(NamedTuple):
    """Holds `burst` tokens; `rate` tokens flow in every `period_us` microseconds. All are at least 1."""

    rate: int
    burst: int
    period_us: int = SECOND_US

    @property
    def capacity(self) -> int:
        """Parts in which an empty bucket fills up."""
        return self.burst * self.period_us


class Charge(NamedTuple):
    """`cost` tokens of a bucket of one caller; `name` says which of its buckets.

    The bucket's period is a second.
    """

    identity: str
    name: str
    bucket: Bucket
    cost: int = 1


class Taken(NamedTuple):
    """Whether the tokens were given, and the bucket's state afterwards (an instant in parts)."""

    admitted: bool
    full_at: int


class Standing(NamedTuple):
    """What a caller is told about a bucket. `now_us` is microseconds since the epoch."""

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


def take(
    bucket: Bucket,
    *,
    full_at: int | None,
    now_us: int,
    cost: int = 1,
    missing: int = 0,
    presumed: int = 0,
    owed: int = 0,
) -> Taken:
    """The outcome of taking `cost` tokens at `now_us`.

    `full_at` is the state in parts, None where there is none. Without a state, or with one that cannot be
    true at `now_us`, `presumed` parts are missing: 0 of a bucket that is known to be full. At least `missing`
    parts are missing in any case, for when the state may have been lost. `owed` parts go first and in any
    case, down to a bucket that lacks a second burst: what was given cannot be had back. The state is then
    within [now, now + 2 x capacity]; one beyond, as after the clock was set back, is none. A cost above the
    burst is never admitted.
    """
    start = now_us * bucket.rate
    latest = start + bucket.capacity
    furthest = latest + bucket.capacity
    stored = start + presumed if full_at is None or not start <= full_at <= furthest else full_at
    begin = min(max(start + missing, stored) + owed, furthest)
    end = begin + cost * bucket.period_us
    return Taken(True, end) if end <= latest else Taken(False, begin)


def standing(
    bucket: Bucket, taken: Taken, *, name: str, now_us: int, epoch_now_us: int, cost: int = 1
) -> Standing:
    """The bucket as it is after `take` at the same `now_us`; `epoch_now_us` is that instant since the epoch.

    `retry_after_us` is the span after which `cost` tokens will be there, if nobody else takes any; 0 if
    admitted.
    """
    rate, burst, period_us = bucket
    capacity, used = burst * period_us, taken.full_at - now_us * rate
    missing = 0 if taken.admitted else max(0, used + cost * period_us - capacity)
    return Standing(
        admitted=taken.admitted,
        name=name,
        limit=burst,
        remaining=max(0, capacity - used) // period_us,
        refill_us=-(-capacity // rate),
        now_us=epoch_now_us,
        until_full_us=-(-used // rate),
        retry_after_us=-(-missing // rate),
    )
