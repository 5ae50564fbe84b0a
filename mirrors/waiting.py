"""Waiting for logs and declarations to change, in the event loop: no request holds a thread meanwhile.

The files are looked at again and again: the live feed (`NewCommits`) follows channels of trades, quotes and status,
and a mirror copies every dataset. One look at 50 symbols, the most of a call, takes about 1 ms, four times a second.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import NamedTuple, Self

from store.datasets import DATASETS
from trades.stores import market_store

# How often files are looked at for each who waits: a stat call for each log.
_PERIOD_SECONDS = 0.25


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

    async def wait(self, change: LogsChange) -> None:
        """Return when a change has happened."""
        while not await self._run(change.has_happened):
            await asyncio.sleep(_PERIOD_SECONDS)
