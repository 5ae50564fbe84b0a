"""What comes of a request for admission, as a caller is told."""

from collections.abc import Sequence
from typing import NamedTuple

from ratelimit.limits.buckets.token_bucket import SECOND_US, Standing
from ratelimit.limits.quotas.periods import period_at
from ratelimit.limits.quotas.spends import Counter, QuotaStanding, Spend, is_short_of, is_used_up

RATE_LIMITED = "rate_limited"
QUOTA_EXCEEDED = "quota_exceeded"


class Admission(NamedTuple):
    """How a bucket and quotas stand after a request.

    It was charged in all of them, or in none if one of them refused.
    """

    bucket: Standing
    quotas: tuple[QuotaStanding, ...] = ()

    @property
    def admitted(self) -> bool:
        return self.bucket.admitted and (not self.quotas or all(quota.admitted for quota in self.quotas))

    @property
    def retry_after_us(self) -> int:
        """The span after which the request is admitted, if the caller sends none before; 0 if it was."""
        return max(self.bucket.retry_after_us, *(quota.retry_after_us for quota in self.quotas), 0)

    @property
    def retry_after(self) -> int:
        """The same in whole seconds, rounded up."""
        return -(-self.retry_after_us // SECOND_US)

    @property
    def code(self) -> str:
        """Why it was refused: QUOTA_EXCEEDED or RATE_LIMITED; "" if it was not."""
        if any(not quota.admitted for quota in self.quotas):
            return QUOTA_EXCEEDED
        return "" if self.bucket.admitted else RATE_LIMITED

    @property
    def message(self) -> str:
        """The refusal in words."""
        used_up = [quota.name for quota in self.quotas if not quota.admitted]
        reason = (
            f"the quota of the {' and of the '.join(used_up)} is used up"
            if used_up
            else "the limit is reached"
        )
        return f"{reason}; retry in {self.retry_after} s"


def admission_of(
    bucket: Standing, spends: Sequence[Spend], counters: Sequence[Counter | None], *, is_short: bool
) -> Admission:
    """The admission of a request.

    is_short: the bucket had enough, the quotas had not, and so nothing was charged.
    """
    refused: Sequence[bool] = ()
    if is_short or not bucket.admitted:
        # Of a bucket that refused: who waits for it only to find a quota used up waits in vain.
        refused = list(map(is_used_up, spends, counters))
        if is_short and not any(refused):
            refused = list(map(is_short_of, spends, counters))
    now_us = bucket.now_us
    return Admission(
        bucket,
        tuple(
            QuotaStanding(
                period_at(spend.unit, now_us),
                spend.limit,
                None if counter is None else counter.remaining(spend.limit),
                not (refused and refused[number]),
                now_us,
            )
            for number, (spend, counter) in enumerate(zip(spends, counters, strict=True))
        ),
    )
