"""Storage quotas: how many symbols a caller may create, and how many bytes it may add to the store, ever.

What a caller stored is counted after the commit: in this process at once, in the database within a second. A process
reads what others have counted at most once a second.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

from django.db.models import F

from ratelimit.callers import Caller
from ratelimit.exceptions import StorageQuotaExceeded, SymbolQuotaExceeded
from ratelimit.models import StorageUse
from ratelimit.periodic_writer import PeriodicWriter

REFRESH_SECONDS = 1.0


class StorageAmount(NamedTuple):
    """Numbers of created symbols and of stored bytes."""

    symbols: int = 0
    stored_bytes: int = 0


_NOTHING = StorageAmount()


@dataclass(slots=True)
class _Count:
    """What a caller has stored: `read`, as of the last look into the database, and `unwritten`, by this process since."""

    read: StorageAmount
    read_at: float
    unwritten: StorageAmount = _NOTHING
    is_being_written: bool = False


class StorageCounter:
    """What callers have stored, by identity (`Caller.family`). Thread-safe. `clock` is monotonic, in seconds."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._mutex = threading.Lock()
        self._flushing = threading.Lock()
        self._counts: dict[str, _Count] = {}

    def used(self, identity: str) -> StorageAmount:
        """Return what a caller has stored. Raises DatabaseError."""
        now = self._clock()
        with self._mutex:
            count = self._counts.get(identity)
            if count is not None and now - count.read_at < REFRESH_SECONDS:
                return _sum(count.read, count.unwritten)
        read = _read(identity)
        with self._mutex:
            count = self._counts.setdefault(identity, _Count(read, now))
            # What is being written may be in `read` or not.
            if not count.is_being_written:
                count.read, count.read_at = read, now
            return _sum(count.read, count.unwritten)

    def add(self, identity: str, stored: StorageAmount) -> None:
        """Count what a caller has just stored. `used` was called for it before."""
        with self._mutex:
            count = self._counts[identity]
            count.unwritten = _sum(count.unwritten, stored)

    def flush(self) -> None:
        """Write new counts to the database. Raises django.db.Error; then the next call writes the rest."""
        with self._flushing:
            for identity, count in list(self._counts.items()):
                with self._mutex:
                    stored, count.is_being_written = count.unwritten, count.unwritten != _NOTHING
                if count.is_being_written:
                    self._flush_one(identity, count, stored)

    def _flush_one(self, identity: str, count: _Count, stored: StorageAmount) -> None:
        try:
            _write(identity, stored)
            with self._mutex:
                count.read = _sum(count.read, stored)
                count.unwritten = _sum(count.unwritten, StorageAmount(-stored.symbols, -stored.stored_bytes))
        finally:
            count.is_being_written = False


def _sum(one: StorageAmount, other: StorageAmount) -> StorageAmount:
    return StorageAmount(one.symbols + other.symbols, one.stored_bytes + other.stored_bytes)


def _read(identity: str) -> StorageAmount:
    rows = StorageUse.objects.filter(identity=identity)
    return StorageAmount(*(rows.values_list("symbols", "stored_bytes").first() or ()))


def _write(identity: str, stored: StorageAmount) -> None:
    rows = StorageUse.objects.filter(identity=identity)
    added = {
        "symbols": F("symbols") + stored.symbols,
        "stored_bytes": F("stored_bytes") + stored.stored_bytes,
    }
    if not rows.update(**added):
        StorageUse.objects.get_or_create(identity=identity)
        rows.update(**added)


storage_counter = StorageCounter()


def start_storage_writer() -> PeriodicWriter:
    """Start this process's writer of `storage_counter` and return it. It stops when the process exits."""
    return PeriodicWriter("Used storage", storage_counter.flush, seconds=REFRESH_SECONDS).start()


@dataclass(frozen=True, slots=True)
class CallerAllowance:
    """What one caller may still create and store. A quota of None is unlimited."""

    identity: str
    symbol_quota: int | None
    storage_quota: int | None

    @classmethod
    def of(cls, caller: Caller) -> Self:
        return cls(caller.family, caller.symbol_quota, caller.storage_quota)

    @property
    def _is_limited(self) -> bool:
        return (self.symbol_quota, self.storage_quota) != (None, None)

    def check(self, creates_symbol: Callable[[], bool]) -> None:
        """Raise StorageQuotaExceeded, or SymbolQuotaExceeded for a write that creates a symbol, if the quota is used up.

        creates_symbol: called only if it matters. Raises DatabaseError.
        """
        if not self._is_limited:
            return
        used = storage_counter.used(self.identity)
        if self.storage_quota is not None and used.stored_bytes >= self.storage_quota:
            raise StorageQuotaExceeded(
                f"the caller may store {self.storage_quota:,} bytes and has stored {used.stored_bytes:,};"
                " ask for a larger quota"
            )
        if self.symbol_quota is not None and used.symbols >= self.symbol_quota and creates_symbol():
            raise SymbolQuotaExceeded(
                f"the caller may create {self.symbol_quota:,} symbols and has created {used.symbols:,};"
                " write to existing symbols, or ask for a larger quota"
            )

    def count(self, *, symbols: int, stored_bytes: int) -> None:
        """Count what was stored after `check`."""
        if self._is_limited:
            storage_counter.add(self.identity, StorageAmount(symbols, stored_bytes))

    def documents(self) -> list[dict[str, Any]]:
        """Return each quota's name, limit, used and remaining; none for an unlimited one. Raises DatabaseError."""
        if not self._is_limited:
            return []
        used = storage_counter.used(self.identity)
        quotas = (
            ("symbols", self.symbol_quota, used.symbols),
            ("bytes", self.storage_quota, used.stored_bytes),
        )
        return [
            {"name": name, "limit": limit, "used": number, "remaining": max(0, limit - number)}
            for name, limit, number in quotas
            if limit is not None
        ]
