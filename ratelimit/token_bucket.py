"""A token bucket as one number: the instant at which it will be full again (a virtual scheduling GCRA).

All arithmetic is on integers and exact. Instants and spans are counted in *parts*: a part is 1/rate of a
microsecond, so that a token is worth `period` parts whatever the rate, and nothing is ever rounded. The script
`token_bucket.lua` computes the same with pairs (microseconds, parts), because a double holds no more.
"""

from dataclasses import dataclass

SECOND = 1_000_000


@dataclass(frozen=True, slots=True)
class Bucket:
    """Holds `burst` tokens; `rate` tokens flow in every `period` microseconds. All are at least 1."""

    rate: int
    burst: int
    period: int = SECOND

    @property
    def capacity(self) -> int:
        """Parts in which an empty bucket fills up."""
        return self.burst * self.period


@dataclass(frozen=True, slots=True)
class Taken:
    """Whether the tokens were given, and the bucket's state afterwards (an instant in parts)."""

    admitted: bool
    full_at: int


@dataclass(frozen=True, slots=True)
class Standing:
    """What a caller is told about a bucket. `now` is microseconds since the epoch, spans are microseconds."""

    admitted: bool
    kind: str
    limit: int
    remaining: int
    refill: int
    now: int
    until_full: int
    retry_after: int

    @property
    def reset(self) -> int:
        """The epoch second, rounded up, at which the bucket will be full."""
        return -(-(self.now + self.until_full) // SECOND)


def take(bucket: Bucket, *, full_at: int | None, now: int, cost: int = 1) -> Taken:
    """Take `cost` tokens at `now` (microseconds); `full_at` is the state in parts, None for a full bucket.

    The state is first brought into [now, now + capacity]: a clock that was set back denies for one refill at
    most. A cost of more than the burst is never admitted.
    """
    start = now * bucket.rate
    latest = start + bucket.capacity
    begin = start if full_at is None else min(max(full_at, start), latest)
    end = begin + cost * bucket.period
    return Taken(True, end) if end <= latest else Taken(False, begin)


def standing(bucket: Bucket, taken: Taken, *, kind: str, now: int, epoch_now: int, cost: int = 1) -> Standing:
    """Describe the bucket after `take`, at the same `now`; `epoch_now` is the same instant since the epoch.

    `retry_after` is the span after which `cost` tokens will be there, if nobody else takes any; 0 if admitted.
    """
    used = taken.full_at - now * bucket.rate
    missing = 0 if taken.admitted else max(0, used + cost * bucket.period - bucket.capacity)
    return Standing(
        admitted=taken.admitted,
        kind=kind,
        limit=bucket.burst,
        remaining=(bucket.capacity - used) // bucket.period,
        refill=-(-bucket.capacity // bucket.rate),
        now=epoch_now,
        until_full=-(-used // bucket.rate),
        retry_after=-(-missing // bucket.rate),
    )
