"""Lanes: small thread pools for blocking work of an event loop. Nobody who has many tasks delays another."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar, TypeVarTuple
from weakref import WeakValueDictionary

from web.requests.after_answer import postponed_work

Arguments = TypeVarTuple("Arguments")
Result = TypeVar("Result")

logger = logging.getLogger(__name__)


class Lane:
    """A pool of up to `threads` threads, which do tasks first in, first out.

    After every task its thread does the work that the task postponed (see `after_answer`), and calls `after`. For one
    event loop's thread.
    """

    def __init__(self, name: str, *, threads: int, after: Callable[[], None]) -> None:
        self._after = after
        self._threads: list[int] = []
        self._pool = ThreadPoolExecutor(
            threads, name, initializer=lambda: self._threads.append(threading.get_ident())
        )
        # Of several threads one caller never has all, nor a longer place in the queue.
        self._most_of_caller = max(1, threads - 1)
        self._callers: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        # Number of unfinished tasks. A task is finished once the event loop has its result.
        self.open = 0
        # Number of finished tasks.
        self.finished = 0

    def processor_seconds(self) -> float:
        """Return the processor time of the threads so far; 0 if the system does not tell (macOS)."""
        clock_of = getattr(time, "pthread_getcpuclockid", None)
        return sum(time.clock_gettime(clock_of(thread)) for thread in self._threads) if clock_of else 0.0

    def run(self, function: Callable[[*Arguments], Result], *arguments: *Arguments) -> asyncio.Future[Result]:
        """Run `function(*arguments)` in a thread, whoever has asked for it."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()
        self.open += 1
        self._pool.submit(self._do, future, loop, function, arguments)
        return future

    async def run_for(
        self, caller: str, function: Callable[[*Arguments], Result], *arguments: *Arguments
    ) -> Result:
        """Run `function(*arguments)` in a thread. A caller's other tasks wait while it has all threads but one."""
        async with self._callers.setdefault(caller, asyncio.Semaphore(self._most_of_caller)):
            return await self.run(function, *arguments)

    def _do(
        self,
        future: asyncio.Future[Any],
        loop: asyncio.AbstractEventLoop,
        function: Callable[..., object],
        arguments: tuple[object, ...],
    ) -> None:
        failure: BaseException | None = None
        result = None
        with postponed_work() as works:
            try:
                result = function(*arguments)
            except BaseException as error:  # noqa: BLE001 raised where the task is awaited
                failure = error
        try:
            loop.call_soon_threadsafe(self._deliver, future, result, failure)
        except RuntimeError:  # the loop is closed
            return
        for work in (*works, self._after):
            try:
                work()
            except Exception:
                logger.exception("Work after a request failed")

    def _deliver(self, future: asyncio.Future[Any], result: object, error: BaseException | None) -> None:
        self.open -= 1
        self.finished += 1
        if future.done():
            return
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)
