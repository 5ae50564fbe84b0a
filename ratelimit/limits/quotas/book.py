"""What was booked of quotas, in the database: tokens are handed out only after they stand here."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db import connection

from ratelimit.limits.buckets.token_bucket import SECOND_US
from ratelimit.limits.quotas.periods import Period
from ratelimit.limits.quotas.spends import Counter, Lot, Spend, lot_of
from ratelimit.models import QuotaUse

# Longer than a month: what nobody has written for so long is of a period that is over, whatever a clock says.
KEPT = timedelta(days=40)


@dataclass(frozen=True, slots=True)
class Booking:
    """Tokens that were booked just now, and tokens booked in all."""

    granted: int
    booked: int


def quota_book(
    *, identity: str, period: Period, limit: int, tokens: int, expected: int | None, now: datetime
) -> Booking:
    """A booking of at most `tokens`, such that never more than `limit` is booked.

    expected: how much the caller believes is booked in all. If it is more by now, somebody else has just
    booked a lot, and nothing is. None: whatever is booked. Raises DatabaseError.
    """
    rows = QuotaUse.objects.filter(identity=identity, period=period.name)
    while True:
        booked = rows.values_list("booked", flat=True).first()
        if booked is None:
            QuotaUse.objects.get_or_create(
                identity=identity, period=period.name, defaults={"updated_at": now}
            )
            booked = 0
        granted = max(0, min(tokens, limit - booked))
        if granted == 0 or (expected is not None and booked > expected):
            return Booking(0, booked)
        # Only if nobody else has booked meanwhile; otherwise somebody has, so that this ends.
        if rows.filter(booked=booked).update(booked=booked + granted, updated_at=now):
            return Booking(granted, booked + granted)


def lot_for(
    identity: str, spend: Spend, counter: Counter | None, *, now_us: int, is_expected: bool, period: Period
) -> Lot:
    """A lot for a request that is short of one, with 0 tokens if there is none to be had.

    Within a transaction only what the request costs is booked: it is taken back if the transaction is rolled
    back, and what others had got of it by then would be given twice.
    """
    is_kept = not connection.in_atomic_block
    booking = quota_book(
        identity=identity,
        period=period,
        limit=spend.limit,
        tokens=max(lot_of(spend.limit), spend.tokens) if is_kept else spend.tokens,
        expected=counter.booked if counter is not None and is_expected else None,
        now=datetime.fromtimestamp(now_us / SECOND_US, UTC),
    )
    return Lot(period, booking.granted, booking.booked, is_kept)


def quota_booked(*, identity: str, period: Period) -> int:
    """Tokens booked in all of a caller's quota. Raises DatabaseError."""
    booked = QuotaUse.objects.filter(identity=identity, period=period.name).values_list("booked", flat=True)
    return booked.first() or 0


def quotas_forget_old(*, now: datetime) -> int:
    """How many rows of periods long over were removed."""
    removed, _ = QuotaUse.objects.filter(updated_at__lt=now - KEPT).delete()
    return removed
