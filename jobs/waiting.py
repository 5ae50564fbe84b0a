"""Waiting for jobs to end, in the event loop: no request holds a thread meanwhile."""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Collection
from typing import NamedTuple
from uuid import UUID

logger = logging.getLogger(__name__)

LONGEST_WAIT_SECONDS = 30
# How often the database is asked which jobs have ended: one query for all who wait.
_PERIOD_SECONDS = 0.1
_AFTER_ERROR_SECONDS = 1.0
_WAIT = re.compile(r"wait\s*=\s*\"?([0-9]{1,9})\"?", re.ASCII | re.IGNORECASE)


class JobWait(NamedTuple):
    """A request waits for a job to end, for at most `seconds`."""

    uuid: UUID
    seconds: int


def preferred_wait(header: str) -> int:
    """Return the seconds of `Prefer: wait=N` (RFC 7240), at most LONGEST_WAIT_SECONDS; 0 without such a preference."""
    for preference in header.split(","):
        if found := _WAIT.fullmatch(preference.partition(";")[0].strip()):
            return min(int(found[1]), LONGEST_WAIT_SECONDS)
    return 0


class JobEnds:
    """The ends of jobs, for the coroutines of one event loop that wait for them."""

    def __init__(self, ended: Callable[[Collection[UUID]], Awaitable[dict[UUID, bytes]]]) -> None:
        """`ended` returns the JSON documents of those of some jobs that have ended, by id."""
        self._ended = ended
        self._waiting: dict[UUID, set[asyncio.Future[bytes | None]]] = {}
        self._poller: asyncio.Task[None] | None = None
        self._is_closed = False

    async def wait(self, wait: JobWait) -> bytes | None:
        """Return the job's document once it has ended; None after the time is up, or after `close`."""
        if self._is_closed:
            return None
        future: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(wait.uuid, set()).add(future)
        if self._poller is None or self._poller.done():
            self._poller = asyncio.create_task(self._poll())
        try:
            async with asyncio.timeout(wait.seconds):
                return await future
        except TimeoutError:
            return None
        finally:
            self._forget(wait.uuid, future)

    def close(self) -> None:
        """End all waiting, so that the process can end."""
        self._is_closed = True
        for futures in self._waiting.values():
            _resolve(futures, None)

    async def _poll(self) -> None:
        while self._waiting and not self._is_closed:
            await asyncio.sleep(_PERIOD_SECONDS)
            try:
                ended = await self._ended(list(self._waiting))
            except Exception:  # whatever it is, the callers wait on
                logger.exception("the ends of jobs cannot be read")
                await asyncio.sleep(_AFTER_ERROR_SECONDS)
                continue
            for uuid, document in ended.items():
                _resolve(self._waiting.get(uuid, set()), document)

    def _forget(self, uuid: UUID, future: asyncio.Future[bytes | None]) -> None:
        futures = self._waiting[uuid]
        futures.discard(future)
        if not futures:
            del self._waiting[uuid]


def _resolve(futures: Collection[asyncio.Future[bytes | None]], document: bytes | None) -> None:
    for future in futures:
        if not future.done():
            future.set_result(document)
