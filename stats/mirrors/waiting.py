"""Waiting for logs and declarations to change, in the event loop: no request holds a thread meanwhile.

The files are looked at again and again: the live feed (`NewCommits`) follows channels of trades, quotes and status,
and a mirror copies every dataset. One look at 50 symbols, the most of a call, takes about 2 ms, four times a second.
However many wait, looking takes a twentieth of the time at most: then each looks less often.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import NamedTuple, Self

from store.datasets import DATASETS
from trades.stores import market_store

# How often files are looked at for each who waits: a stat call for each log.
_PERIOD_SECONDS = 0.25
# After a look without news nobody looks for so many times as long as it took, but at most for so long.
_REST, _LONGEST_REST_SECONDS = 20, 1.0


class LogsChange(NamedTuple):
    """The event that the logs of some symbols, or any declaration, are not as they were `seen`."""

    stamp: Callable[[], Hashable]
    seen: Hashable

    @classmethod
    def of(cls, symbols: Sequence[str]) -> Self:
        """Return the next change. Raises `OSError`, `StoreUnavailable`."""
        logs = [(dataset, symbol) for dataset in DATASETS.values() for symbol in symbols]
        stamp = market_store().change_stamp(logs)
        return cls(stamp, stamp())

    def has_happened(self) -> bool:
        """Return whether something has changed. Raises `OSError`."""
        return self.stamp() != self.seen


class LogsChanges:
    """Waits for changes. `run` calls a function in a thread."""

    def __init__(self, run: Callable[[Callable[[], bool]], Awaitable[bool]]) -> None:
        self._run = run
        self._turn = asyncio.Lock()

    async def wait(self, change: LogsChange) -> None:
        """Return when a change has happened."""
        while not await self._looked(change):
            await asyncio.sleep(_PERIOD_SECONDS)

    async def _looked(self, change: LogsChange) -> bool:
        """Look in one's turn, and return whether the change has happened."""
        async with self._turn:
            began = time.monotonic()
            if await self._run(change.has_happened):
                return True
            await asyncio.sleep(min(_REST * (time.monotonic() - began), _LONGEST_REST_SECONDS))
        return False
