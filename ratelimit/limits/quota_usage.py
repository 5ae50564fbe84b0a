"""The reserved tokens of each quota, in the database. Tokens are given only after they are reserved here."""

from datetime import UTC, datetime, timedelta

from ratelimit.limits.quotas import QuotaCharge, QuotaPeriod, Reservation, period_at, reservation_size
from ratelimit.limits.token_bucket import SECOND_US
from ratelimit.models import QuotaUse

# How long a row is kept after it was last written. It is longer than a month, so the row's period is over by then,
# even by a wrong clock.
KEPT = timedelta(days=40)


def quota_reserve(identity: str, quota: QuotaCharge, *, now_us: int) -> Reservation:
    """Reserve tokens in the current period, never more than the quota. `tokens` is 0 if none are left.

    Do not call it in a transaction: a rollback would undo the reservation of tokens that were already given. Raises
    DatabaseError.
    """
    period, now = period_at(quota.unit, now_us), datetime.fromtimestamp(now_us / SECOND_US, UTC)
    rows = QuotaUse.objects.filter(identity=identity, period=period.name)
    while True:
        reserved = rows.values_list("booked", flat=True).first()
        if reserved is None:
            QuotaUse.objects.get_or_create(
                identity=identity, period=period.name, defaults={"updated_at": now}
            )
            reserved = 0
        tokens = max(0, min(reservation_size(quota), quota.limit - reserved))
        if tokens == 0:
            return Reservation(period, 0, reserved)
        # Succeeds only if nobody else has reserved meanwhile. Each failure means that another reservation was made,
        # so the loop ends.
        if rows.filter(booked=reserved).update(booked=reserved + tokens, updated_at=now):
            return Reservation(period, tokens, reserved + tokens)


def quota_reserved(*, identity: str, period: QuotaPeriod) -> int:
    """Return how many tokens of a caller's quota are reserved in a period. Raises DatabaseError."""
    reserved = QuotaUse.objects.filter(identity=identity, period=period.name).values_list("booked", flat=True)
    return reserved.first() or 0


def quota_usage_delete_old(*, now: datetime) -> int:
    """Delete rows that were last written more than KEPT ago. Returns how many."""
    removed, _ = QuotaUse.objects.filter(updated_at__lt=now - KEPT).delete()
    return removed
