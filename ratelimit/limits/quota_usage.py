"""How much of each quota is reserved, in the database. Tokens are given only after they are reserved here."""

from datetime import UTC, datetime, timedelta

from ratelimit.limits.quotas import QuotaCharge, QuotaPeriod, Reservation, period_at, reservation_size
from ratelimit.limits.token_bucket import SECOND_US
from ratelimit.models import QuotaUse

# Longer than a month: a row that nobody wrote for so long is of a period that is over on any clock.
KEPT = timedelta(days=40)


def quota_reserve(identity: str, quota: QuotaCharge, *, now_us: int) -> Reservation:
    """Reserve tokens of the period that is now, never more than the quota; 0 where none are left.

    Call it outside of a transaction: a rollback would take back tokens that were already given. Raises
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
        # Only if nobody else has reserved meanwhile; otherwise somebody has, so the loop ends.
        if rows.filter(booked=reserved).update(booked=reserved + tokens, updated_at=now):
            return Reservation(period, tokens, reserved + tokens)


def quota_reserved(*, identity: str, period: QuotaPeriod) -> int:
    """Tokens reserved in all of a caller's quota. Raises DatabaseError."""
    reserved = QuotaUse.objects.filter(identity=identity, period=period.name).values_list("booked", flat=True)
    return reserved.first() or 0


def quota_usage_delete_old(*, now: datetime) -> int:
    """Remove the rows of periods long over. Returns how many."""
    removed, _ = QuotaUse.objects.filter(updated_at__lt=now - KEPT).delete()
    return removed
