"""Quotas: so many tokens in a UTC day or month.

Lots of them are booked in the database before they are handed out. Of a lot, what is not handed out yet is
*at hand*, in Redis or in a process while Redis is away. What is lost with either was booked before, so that
never more is given than the quota.
"""

from dataclasses import dataclass

from ratelimit.limits.buckets.token_bucket import SECOND_US
from ratelimit.limits.quotas.periods import Period

# The largest that is exact in every reader of JSON, and in the doubles in which scripts in Redis count.
MAX_QUOTA = 2**53 - 1
LOTS_PER_QUOTA = 1000


@dataclass(frozen=True, slots=True)
class Spend:
    """Tokens of a quota (`limit` per `unit`) that a request costs; 0 tokens only ask how it stands."""

    unit: str
    limit: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Counter:
    """Of a caller's quota in a period: tokens at hand, and tokens booked in all, those at hand included."""

    rest: int
    booked: int

    def usable(self, limit: int) -> int:
        """Tokens at hand that may be given; a limit below what is booked already is kept, too."""
        return max(0, self.rest - max(0, self.booked - limit))

    def remaining(self, limit: int) -> int:
        """Tokens that may still be given in the period."""
        return max(0, limit - self.booked + self.rest)


@dataclass(frozen=True, slots=True)
class Lot:
    """Tokens that were booked, after which `booked` are in all.

    One that is not kept is for the request that needs it.
    """

    period: Period
    tokens: int
    booked: int
    is_kept: bool = True


@dataclass(frozen=True, slots=True)
class QuotaStanding:
    """What a caller is told about a quota.

    `remaining` is None where it is not known and not worth a query.
    """

    period: Period
    limit: int
    remaining: int | None
    admitted: bool
    now_us: int

    @property
    def name(self) -> str:
        return self.period.unit

    @property
    def until_reset_us(self) -> int:
        return self.period.ends_us - self.now_us

    @property
    def retry_after_us(self) -> int:
        """The span after which the next period's quota is there; 0 if admitted."""
        return 0 if self.admitted else self.until_reset_us

    @property
    def reset(self) -> int:
        """The epoch second at which the period ends."""
        return self.period.ends_us // SECOND_US


def lot_of(limit: int) -> int:
    """Tokens that are booked at once."""
    return max(1, limit // LOTS_PER_QUOTA)


def is_used_up(spend: Spend, counter: Counter | None) -> bool:
    """Whether what is left is too little, however much is booked. Not known is not used up."""
    return counter is not None and counter.remaining(spend.limit) < spend.tokens


def is_short_of(spend: Spend, counter: Counter | None) -> bool:
    """Whether what is at hand is too little, so that a lot has to be booked."""
    return (0 if counter is None else counter.usable(spend.limit)) < spend.tokens
