"""The tokens of quotas that callers used: counted in Redis, written to the database once a minute.

A count that Redis has lost is read back from the database. While Redis is away a process counts for itself, from what
the database has; the processes learn of each other's counts once a minute.
"""

import threading
from collections.abc import Sequence

from cachetools import LRUCache
from django.db import Error
from django.db.models import F, Value
from django.db.models.functions import Greatest
from django.utils import timezone

from ratelimit.limits.quotas import QuotaCharge, period_at
from ratelimit.models import QuotaUse

MAX_UNSHARED = 10_000

_Key = tuple[str, str]
"""An identity and the name of a period."""


class QuotaCounts:
    """What a process knows of used tokens. Thread-safe. `now_us` is in microseconds since the epoch."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._flushing = threading.Lock()
        # Since the last flush: the newest counts by Redis, tokens given without Redis, and counts in the database.
        self._counted: dict[_Key, int] = {}
        self._spent: dict[_Key, int] = {}
        self._read: dict[_Key, int] = {}
        # The counts with tokens of which Redis does not know.
        self._unshared: LRUCache[_Key, bool] = LRUCache(MAX_UNSHARED)

    def note(self, identity: str, quotas: Sequence[QuotaCharge], used: Sequence[int], *, now_us: int) -> None:
        """Note the counts that Redis has after a charge. They include what this process counted without Redis."""
        keys = _keys(identity, quotas, now_us)
        with self._lock:
            for key, count in zip(keys, used, strict=True):
                self._counted[key] = max(count, self._counted.get(key, 0))
                if self._unshared:
                    self._unshared.pop(key, None)
                    self._spent.pop(key, None)
                    self._read.pop(key, None)

    def has_unshared(self, identity: str, quotas: Sequence[QuotaCharge], *, now_us: int) -> bool:
        """Return whether this process has counted tokens of which Redis does not know."""
        if not self._unshared:
            return False
        with self._lock:
            return any(key in self._unshared for key in _keys(identity, quotas, now_us))

    def known(self, identity: str, quotas: Sequence[QuotaCharge], *, now_us: int) -> list[int]:
        """Return the counts by the database and this process. Raises DatabaseError."""
        keys = _keys(identity, quotas, now_us)
        stored = self._stored(keys, is_fresh=True)
        with self._lock:
            return self._used(keys, stored)

    def spend(
        self, identity: str, quotas: Sequence[QuotaCharge], *, now_us: int, is_debt: bool
    ) -> tuple[list[int], bool]:
        """Count tokens without Redis: those of all quotas, or none if one has too few; a debt always.

        Returns the counts after it, and whether the tokens were counted. Raises DatabaseError.
        """
        keys = _keys(identity, quotas, now_us)
        stored = self._stored(keys)
        with self._lock:
            used = self._used(keys, stored)
            if not is_debt and any(
                quota.is_exceeded_by(count) for quota, count in zip(quotas, used, strict=True)
            ):
                return used, False
            for key, quota in zip(keys, quotas, strict=True):
                if quota.tokens:
                    self._spent[key] = self._spent.get(key, 0) + quota.tokens
                    self._unshared[key] = True
            return [count + quota.tokens for count, quota in zip(used, quotas, strict=True)], True

    def flush(self) -> None:
        """Write new counts to the database. Raises django.db.Error; then the next call writes the rest."""
        with self._flushing:
            with self._lock:
                counted, self._counted = self._counted, {}
                spent, self._spent = self._spent, {}
            try:
                for key in {**counted, **spent}:
                    _write(key, counted=counted.get(key, 0), spent=spent.get(key, 0))
                    counted.pop(key, None)
                    spent.pop(key, None)
            except Error:
                with self._lock:
                    for key, count in counted.items():
                        self._counted[key] = max(count, self._counted.get(key, 0))
                    for key, count in spent.items():
                        self._spent[key] = count + self._spent.get(key, 0)
                raise
            finally:
                self._read = {}

    def _stored(self, keys: Sequence[_Key], *, is_fresh: bool = False) -> dict[_Key, int]:
        """Return the counts in the database; unless is_fresh, as they were read since the last flush.

        It is not called with the lock, for which event loops wait.
        """
        stored = (
            {} if is_fresh else {key: count for key in keys if (count := self._read.get(key)) is not None}
        )
        if len(stored) < len(keys):
            rows = QuotaUse.objects.filter(identity=keys[0][0], period__in=[period for _, period in keys])
            booked = dict(rows.values_list("period", "booked"))
            stored = {key: booked.get(key[1], 0) for key in keys}
            self._read.update(stored)
        return stored

    def _used(self, keys: Sequence[_Key], stored: dict[_Key, int]) -> list[int]:
        return [max(stored[key], self._counted.get(key, 0)) + self._spent.get(key, 0) for key in keys]


def _keys(identity: str, quotas: Sequence[QuotaCharge], now_us: int) -> list[_Key]:
    return [(identity, period_at(quota.unit, now_us).name) for quota in quotas]


def _write(key: _Key, *, counted: int, spent: int) -> None:
    identity, period = key
    rows, now = QuotaUse.objects.filter(identity=identity, period=period), timezone.now()
    values = {"booked": Greatest(F("booked"), Value(counted)) + spent, "updated_at": now}
    if not rows.update(**values):
        QuotaUse.objects.get_or_create(identity=identity, period=period, defaults={"updated_at": now})
        rows.update(**values)
