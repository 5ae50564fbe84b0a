"""Waiting for jobs to end or to ask, in the event loop: no request holds a thread meanwhile."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from typing import NamedTuple
from uuid import UUID

logger = logging.getLogger(__name__)

# How often the database is asked which jobs have ended or ask: one query for all who wait.
_PERIOD_SECONDS = 0.1
_AFTER_ERROR_SECONDS = 1.0


class JobEnd(NamedTuple):
    """The end of a job, or its question, as an event that answers wait for."""

    uuid: UUID


class JobEnds:
    """The ends and questions of jobs, for the coroutines of one event loop that wait for them."""

    def __init__(self, ended: Callable[[Collection[UUID]], Awaitable[Collection[UUID]]]) -> None:
        """`ended` returns those of some jobs that have ended or ask."""
        self._ended = ended
        self._waiting: dict[UUID, set[asyncio.Future[None]]] = {}
        self._poller: asyncio.Task[None] | None = None

    async def wait(self, end: JobEnd) -> None:
        """Return when the job has ended or asks."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(end.uuid, set()).add(future)
        if self._poller is None or self._poller.done():
            self._poller = asyncio.create_task(self._poll())
        try:
            await future
        finally:
            self._forget(end.uuid, future)

    async def _poll(self) -> None:
        while self._waiting:
            await asyncio.sleep(_PERIOD_SECONDS)
            try:
                ended = await self._ended(list(self._waiting))
            except Exception:  # whatever it is, the callers wait on
                logger.exception("the ends of jobs cannot be read")
                await asyncio.sleep(_AFTER_ERROR_SECONDS)
                continue
            for uuid in ended:
                for future in self._waiting.get(uuid, ()):
                    if not future.done():
                        future.set_result(None)

    def _forget(self, uuid: UUID, future: asyncio.Future[None]) -> None:
        futures = self._waiting[uuid]
        futures.discard(future)
        if not futures:
            del self._waiting[uuid]
