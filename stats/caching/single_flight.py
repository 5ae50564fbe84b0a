"""One computation per key at a time, among the threads of a process and among processes."""

import secrets
import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from enum import Enum

from stats.caching.entry import Entry
from stats.caching.shared import SharedCache

THREAD_PATIENCE_SECONDS = 30.0
PROCESS_PATIENCE_SECONDS = 2.0
POLL_SECONDS = 0.004


class Way(Enum):
    """How an entry came to be: computed for the caller, found where it was kept, or computed meanwhile for another."""

    COMPUTED = "computed"
    FOUND = "found"
    JOINED = "joined"


@dataclass(frozen=True, slots=True)
class Landing:
    """An entry, and how it came to be."""

    entry: Entry
    way: Way


class _Flight:
    __slots__ = ("entry", "landed", "waiting")

    def __init__(self) -> None:
        self.landed = threading.Event()
        self.entry: Entry | None = None
        self.waiting = 0


class ThreadFlights:
    """Shares a computation among the threads that ask for the same key while it runs.

    An exception reaches only the caller who computed; those who waited try themselves, one after another.
    Who has waited `patience_seconds` computes without regard to others.
    """

    def __init__(self, *, patience_seconds: float = THREAD_PATIENCE_SECONDS) -> None:
        self._patience_seconds = patience_seconds
        self._lock = threading.Lock()
        self._flights: dict[Hashable, _Flight] = {}

    def waiting(self, key: Hashable) -> int:
        """How many callers wait for the computation of `key` now."""
        with self._lock:
            flight = self._flights.get(key)
            return 0 if flight is None else flight.waiting

    def run(self, key: Hashable, work: Callable[[], Landing]) -> Landing:
        """The result of `work`, or of the `work` of another thread that runs for `key` already."""
        deadline = time.monotonic() + self._patience_seconds
        while (remaining := deadline - time.monotonic()) > 0:
            flight, leading = self._boarded(key)
            if leading:
                return self._lead(key, flight, work)
            self._wait(flight, remaining)
            if flight.entry is not None:
                return Landing(flight.entry, Way.JOINED)
        return work()

    def _boarded(self, key: Hashable) -> tuple[_Flight, bool]:
        with self._lock:
            flight = self._flights.get(key)
            if flight is None:
                flight = self._flights[key] = _Flight()
                return flight, True
            flight.waiting += 1
            return flight, False

    def _wait(self, flight: _Flight, seconds: float) -> None:
        try:
            flight.landed.wait(seconds)
        finally:
            with self._lock:
                flight.waiting -= 1

    def _lead(self, key: Hashable, flight: _Flight, work: Callable[[], Landing]) -> Landing:
        try:
            landing = work()
            flight.entry = landing.entry
            return landing
        finally:
            with self._lock:
                del self._flights[key]
            flight.landed.set()


class ProcessFlights:
    """Shares a computation among processes through a claim in Redis; without Redis everybody computes.

    Who finds a key claimed looks again every `poll_seconds`, takes over a claim that ended without an entry,
    and after `patience_seconds` computes without one.
    """

    def __init__(
        self,
        shared: SharedCache,
        *,
        patience_seconds: float = PROCESS_PATIENCE_SECONDS,
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        self._shared = shared
        self._patience_seconds = patience_seconds
        self._poll_seconds = poll_seconds

    def run(self, key: str, compute: Callable[[], Entry], store: Callable[[Entry, str], None]) -> Landing:
        """The entry that is stored under `key`, or that another process computes, or the one of `compute`.

        `store` is given what was computed, and the token of the claim that it has to end.
        """
        token, way = secrets.token_hex(16), Way.FOUND
        deadline = time.monotonic() + self._patience_seconds
        while (claim := self._shared.claim(key, token)) is not None:
            if claim.entry is not None:
                return Landing(claim.entry, way)
            if claim.owned or time.monotonic() >= deadline:
                break
            way = Way.JOINED
            time.sleep(self._poll_seconds)
        try:
            entry = compute()
        except BaseException:
            self._shared.release(key, token)
            raise
        store(entry, token)
        return Landing(entry, Way.COMPUTED)
