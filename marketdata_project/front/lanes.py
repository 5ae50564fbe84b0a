"""Lanes: small thread pools for blocking work of an event loop.

A task costs about half as much as with `loop.run_in_executor`: it needs one queue, one future and one wake-up.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, NamedTuple, TypeVar, TypeVarTuple, cast

from http_requests.after_answer import postponed_work

Arguments = TypeVarTuple("Arguments")
Result = TypeVar("Result")

logger = logging.getLogger(__name__)


class _Task(NamedTuple):
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    future: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop


class Lane:
    """A pool of up to `threads` daemon threads, which do tasks first in, first out.

    After every task its thread does the work that the task postponed (see `after_answer`), and calls `after`. A new
    thread starts only if a task finds all threads busy, because each thread holds memory.
    """

    def __init__(self, name: str, *, threads: int, after: Callable[[], None]) -> None:
        self._name = name
        self._threads = threads
        self._after = after
        self._tasks: SimpleQueue[_Task] = SimpleQueue()
        self._running: list[threading.Thread] = []
        self._open = 0
        self._finished = 0

    @property
    def open(self) -> int:
        """Number of unfinished tasks. A task is finished once the event loop has its result."""
        return self._open

    @property
    def finished(self) -> int:
        """Number of tasks whose result the event loop has."""
        return self._finished

    def processor_seconds(self) -> float:
        """Return the processor time of the threads so far; 0 if the system does not tell (macOS)."""
        clock_of = getattr(time, "pthread_getcpuclockid", None)
        if clock_of is None:
            return 0.0
        return sum(time.clock_gettime(clock_of(thread.ident)) for thread in self._running if thread.ident)

    def run(self, function: Callable[[*Arguments], Result], *arguments: *Arguments) -> asyncio.Future[Result]:
        """Run `function(*arguments)` in a thread. Call `run` in the event loop that awaits the future."""
        self._open += 1
        if len(self._running) < min(self._open, self._threads):
            self._start()
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        self._tasks.put(_Task(function, arguments, future, loop))
        return cast("asyncio.Future[Result]", future)

    def _start(self) -> None:
        name = f"{self._name}-{len(self._running)}"
        thread = threading.Thread(target=self._work, name=name, daemon=True)
        thread.start()
        self._running.append(thread)

    def _work(self) -> None:
        while True:
            self._do(self._tasks.get())

    def _do(self, task: _Task) -> None:
        failure: BaseException | None = None
        result = None
        with postponed_work() as works:
            try:
                result = task.function(*task.arguments)
            except BaseException as error:  # noqa: BLE001 raised where the task is awaited
                failure = error
        try:
            task.loop.call_soon_threadsafe(self._deliver, task.future, result, failure)
        except RuntimeError:  # the loop is closed
            return
        for work in (*works, self._after):
            try:
                work()
            except Exception:
                logger.exception("Work after a request failed")

    def _deliver(self, future: asyncio.Future[Any], result: object, error: BaseException | None) -> None:
        self._open -= 1
        self._finished += 1
        if future.done():
            return
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)
