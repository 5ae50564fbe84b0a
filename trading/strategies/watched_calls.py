"""How a strategy's process and the one that watches it know of each other: memory that both share."""

import mmap
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

_BYTES, _FAILURE_FROM = 4096, 8


class WatchedCalls:
    """Since when the strategy has not answered a call, and why it failed. Each call costs a microsecond.

    The monotonic clock is the same in all processes.
    """

    def __init__(self, descriptor: int | None = None) -> None:
        """descriptor: of the memory that another process made; None makes it."""
        if descriptor is None:
            with tempfile.TemporaryFile() as file:
                file.truncate(_BYTES)
                descriptor = os.dup(file.fileno())
        self.descriptor = descriptor
        self._memory = mmap.mmap(descriptor, _BYTES)
        self._called_ns = memoryview(self._memory)[:_FAILURE_FROM].cast("q")

    @contextmanager
    def call(self) -> Iterator[None]:
        """The strategy is called meanwhile."""
        self._called_ns[0] = time.monotonic_ns()
        try:
            yield
        finally:
            self._called_ns[0] = 0

    def forget(self) -> None:
        """The strategy is not called now: its process has ended."""
        self._called_ns[0] = 0

    @property
    def unanswered_seconds(self) -> float:
        """For how long the strategy has not answered a call; 0 if it is not called now."""
        called_ns = self._called_ns[0]
        return (time.monotonic_ns() - called_ns) / 1e9 if called_ns else 0.0

    @property
    def failure(self) -> str:
        """Why the strategy failed; empty if it did not say."""
        return self._memory[_FAILURE_FROM:].rstrip(b"\0").decode(errors="replace")

    @failure.setter
    def failure(self, words: str) -> None:
        written = words.encode(errors="replace")[: _BYTES - _FAILURE_FROM]
        self._memory[_FAILURE_FROM : _FAILURE_FROM + len(written)] = written

    def close(self) -> None:
        """Give the memory back."""
        self._called_ns.release()
        self._memory.close()
        os.close(self.descriptor)
