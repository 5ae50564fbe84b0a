"""Ensures that each key is computed once at a time, among the threads of a process and among processes."""

import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from stats.caching.entry import Entry
from stats.caching.shared import SharedCache

THREAD_PATIENCE_SECONDS = 30.0
PROCESS_PATIENCE_SECONDS = 2.0
POLL_SECONDS = 0.004


class EntrySource(Enum):
    """Where an entry came from.

    COMPUTED: computed by this caller. FOUND: from the shared cache. JOINED: computed by a concurrent caller.
    """

    COMPUTED = "computed"
    FOUND = "found"
    JOINED = "joined"


@dataclass(frozen=True, slots=True)
class FlightResult:
    """An entry and its source."""

    entry: Entry
    source: EntrySource


class _Flight:
    __slots__ = ("entry", "finished", "waiting")

    def __init__(self) -> None:
        self.finished = threading.Event()
        self.entry: Entry | None = None
        self.waiting = 0


class ThreadFlights:
    """Shares one computation among the threads that ask for its key while it runs.

    If it raises, only the computing thread gets the exception; then the next waiting thread computes. A thread
    that has waited `patience_seconds` computes by itself.
    """

    def __init__(self, *, patience_seconds: float = THREAD_PATIENCE_SECONDS) -> None:
        self._patience_seconds = patience_seconds
        self._lock = threading.Lock()
        self._flights: dict[str, _Flight] = {}

    def waiting(self, key: str) -> int:
        """The number of threads that wait for the computation of `key`."""
        with self._lock:
            flight = self._flights.get(key)
            return 0 if flight is None else flight.waiting

    def run(self, key: str, work: Callable[[], FlightResult]) -> FlightResult:
        """Return the result of `work`, or of the `work` that another thread is running for `key`."""
        deadline = time.monotonic() + self._patience_seconds
        while (remaining := deadline - time.monotonic()) > 0:
            flight, is_leader = self._join(key)
            if is_leader:
                return self._lead(key, flight, work)
            self._wait(flight, remaining)
            if flight.entry is not None:
                return FlightResult(flight.entry, EntrySource.JOINED)
        return work()

    def _join(self, key: str) -> tuple[_Flight, bool]:
        with self._lock:
            flight = self._flights.get(key)
            if flight is None:
                flight = self._flights[key] = _Flight()
                return flight, True
            flight.waiting += 1
            return flight, False

    def _wait(self, flight: _Flight, seconds: float) -> None:
        try:
            flight.finished.wait(seconds)
        finally:
            with self._lock:
                flight.waiting -= 1

    def _lead(self, key: str, flight: _Flight, work: Callable[[], FlightResult]) -> FlightResult:
        try:
            result = work()
            flight.entry = result.entry
            return result
        finally:
            with self._lock:
                del self._flights[key]
            flight.finished.set()


class ProcessFlights:
    """Shares one computation among processes by a claim in Redis. Without Redis each process computes.

    A process that finds a key claimed polls every `poll_seconds`. If the claim ends without an entry, the
    process claims the key. After `patience_seconds` it computes without a claim.
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

    def run(
        self, key: str, compute: Callable[[], Entry], store: Callable[[Entry, str], None]
    ) -> FlightResult:
        """Return the stored entry of `key`, or wait for the one that another process computes, or compute it.

        store: takes the computed entry and the claim's token; it must end the claim.
        """
        token, source = secrets.token_hex(16), EntrySource.FOUND
        deadline = time.monotonic() + self._patience_seconds
        while (claim := self._shared.claim(key, token)) is not None:
            if claim.entry is not None:
                return FlightResult(claim.entry, source)
            if claim.owned or time.monotonic() >= deadline:
                break
            source = EntrySource.JOINED
            time.sleep(self._poll_seconds)
        try:
            entry = compute()
        except BaseException:
            self._shared.release(key, token)
            raise
        store(entry, token)
        return FlightResult(entry, EntrySource.COMPUTED)
