"""The tokens of quotas that callers used: counted in Redis, written to the database once a minute.

A count that Redis has lost is read back from the database.
"""

import threading
from collections.abc import Sequence

from django.db.models import F, Value
from django.db.models.functions import Greatest
from django.utils import timezone

from ratelimit.limits.quotas import QuotaCharge, period_at
from ratelimit.models import QuotaUse


class QuotaCounts:
    """The newest counts by Redis that a process saw, until they are written. Thread-safe.

    `now_us` is in microseconds since the epoch.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._flushing = threading.Lock()
        # By identity and the name of the period.
        self._counted: dict[tuple[str, str], int] = {}

    def note(self, identity: str, quotas: Sequence[QuotaCharge], used: Sequence[int], *, now_us: int) -> None:
        """Note the counts that Redis has after a charge."""
        with self._lock:
            for quota, count in zip(quotas, used, strict=True):
                key = identity, period_at(quota.unit, now_us).name
                self._counted[key] = max(count, self._counted.get(key, 0))

    def known(self, identity: str, quotas: Sequence[QuotaCharge], *, now_us: int) -> list[int]:
        """Return the counts by the database and this process. Raises DatabaseError."""
        periods = [period_at(quota.unit, now_us).name for quota in quotas]
        rows = QuotaUse.objects.filter(identity=identity, period__in=periods)
        booked = dict(rows.values_list("period", "booked"))
        return [max(booked.get(period, 0), self._counted.get((identity, period), 0)) for period in periods]

    def flush(self) -> None:
        """Write new counts to the database. Raises django.db.Error; then the next call writes the rest."""
        with self._flushing:
            with self._lock:
                counted = list(self._counted.items())
            for key, count in counted:
                _write(*key, count)
                with self._lock:
                    if self._counted[key] == count:
                        del self._counted[key]


def _write(identity: str, period: str, count: int) -> None:
    rows, now = QuotaUse.objects.filter(identity=identity, period=period), timezone.now()
    values = {"booked": Greatest(F("booked"), Value(count)), "updated_at": now}
    if not rows.update(**values):
        QuotaUse.objects.get_or_create(identity=identity, period=period, defaults={"updated_at": now})
        rows.update(**values)
