"""Refusals of callers without an identity, by address and minute: the first is recorded whole, the rest are counted."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache

from audit.spooling.lines import counted_line
from audit.spooling.spool import Spool
from http_requests.addresses import identity_of

MOST_ADDRESSES = 1_000
"""More addresses within a minute share one count, and nothing of theirs is recorded whole."""
OTHER_ADDRESSES = "other addresses"
_MINUTE_SECONDS = 60


class AnonymousRefusals:
    """Counts this process's refusals of the current minute; an IPv6 address counts as its /64.

    The counts of a minute are spooled at the first call after it: one line for each address that was refused
    more than once. `clock` gives seconds since the epoch. Thread safe.
    """

    def __init__(self, spool: Spool, *, clock: Callable[[], float] = time.time) -> None:
        self._spool = spool
        self._clock = clock
        self._lock = threading.Lock()
        self._minute = 0
        # Statuses by address; of an address that was refused once there are none.
        self._counted: dict[str, Counter[int]] = {}

    def is_first(self, address: str) -> bool:
        """Whether nothing of the address was refused in this minute, and it is among the first MOST_ADDRESSES.

        Then this refusal is to be recorded whole, and the next ones are not the first.
        """
        with self._lock:
            self._end_minute()
            return self._noted(identity_of(address))

    def is_counted(self, address: str, status: int) -> bool:
        """Count a refusal; False if it is the address's first, which is to be recorded whole."""
        client = identity_of(address)
        with self._lock:
            self._end_minute()
            if self._noted(client):
                return False
            known = client if client in self._counted else OTHER_ADDRESSES
            self._counted.setdefault(known, Counter())[status] += 1
            return True

    def settle(self) -> None:
        """Spool the counts of a minute that has ended."""
        with self._lock:
            self._end_minute()

    def close(self) -> None:
        """Spool all counts: the process ends."""
        with self._lock:
            self._write()

    def _noted(self, client: str) -> bool:
        if client in self._counted or len(self._counted) >= MOST_ADDRESSES:
            return False
        self._counted[client] = Counter()
        return True

    def _end_minute(self) -> None:
        minute = int(self._clock() // _MINUTE_SECONDS)
        if minute != self._minute:
            self._write()
            self._minute = minute

    def _write(self) -> None:
        at = datetime.fromtimestamp(self._minute * _MINUTE_SECONDS, UTC)
        counted, self._counted = self._counted, {}
        for address, statuses in counted.items():
            if statuses:
                self._spool.append(counted_line(address, statuses, at))


@lru_cache(maxsize=8)
def refusals_of(spool: Spool) -> AnonymousRefusals:
    """Return the one counter of this process for `spool`."""
    return AnonymousRefusals(spool)
