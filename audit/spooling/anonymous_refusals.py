"""Counts refusals of anonymous clients by address and minute. An address's first refusal is recorded instead."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache

from audit.spooling.lines import counted_line
from audit.spooling.spool import Spool
from web.requests.addresses import identity_of

MOST_ADDRESSES = 1_000
"""How many addresses a minute are counted separately. Others share a count, and none of their refusals is recorded."""
OTHER_ADDRESSES = "other addresses"
_MINUTE_SECONDS = 60


class AnonymousRefusals:
    """Counts this process's anonymous refusals in the current minute; an IPv6 address counts as its /64.

    The first method call after a minute's end spools the minute's counts: one line per address with more than one
    refusal. `clock` returns seconds since the epoch. Thread safe.
    """

    def __init__(self, spool: Spool, *, clock: Callable[[], float] = time.time) -> None:
        self._spool = spool
        self._clock = clock
        self._lock = threading.Lock()
        self._minute = 0
        # Refusals by address and status, without each address's first one.
        self._counted: dict[str, Counter[int]] = {}

    def take_first(self, address: str) -> bool:
        """Return whether this is the address's first refusal in this minute. If so, the caller must record it.

        Returns False for addresses after the first MOST_ADDRESSES.
        """
        with self._lock:
            self._end_minute()
            return self._take_first(identity_of(address))

    def count(self, address: str, status: int) -> bool:
        """Count a refusal; return False for the address's first in this minute, which the caller must record."""
        client = identity_of(address)
        with self._lock:
            self._end_minute()
            if self._take_first(client):
                return False
            name = client if client in self._counted else OTHER_ADDRESSES
            self._counted.setdefault(name, Counter())[status] += 1
            return True

    def settle(self) -> None:
        """Spool the counts of a minute that has ended."""
        with self._lock:
            self._end_minute()

    def close(self) -> None:
        """Spool all counts, at the end of the process."""
        with self._lock:
            self._write()

    def _take_first(self, client: str) -> bool:
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
    """This process's counter for `spool`."""
    return AnonymousRefusals(spool)
