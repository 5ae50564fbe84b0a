"""Lanes: small thread pools for blocking work of an event loop.

A task costs about half as much as with `loop.run_in_executor`: it needs one queue, one future and one wake-up.
Callers take turns, so that one who has many tasks waiting does not delay another.
"""

import asyncio
import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, NamedTuple, TypeVar, TypeVarTuple, cast

from web.requests.after_answer import postponed_work

Arguments = TypeVarTuple("Arguments")
Result = TypeVar("Result")

logger = logging.getLogger(__name__)


class _Task(NamedTuple):
    caller: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    future: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop


class _WaitingTasks:
    """The tasks that wait, by caller. Callers take turns; each has at most `most` tasks running. Thread safe."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._waiting: dict[str, deque[_Task]] = {}
        self._running: Counter[str] = Counter()
        self._lock = threading.Lock()
        # An item for each task. A thread that takes one finds no task if all that wait are of callers who may not run
        # more; then a thread that has finished one puts the item back.
        self._items: SimpleQueue[None] = SimpleQueue()
        self._taken_for_nothing = 0

    def put(self, task: _Task) -> None:
        with self._lock:
            self._waiting.setdefault(task.caller, deque()).append(task)
        self._items.put(None)

    def take(self) -> _Task:
        """Wait for a task and return it. Call `finish` after it."""
        while True:
            self._items.get()
            with self._lock:
                caller = self._next()
                if caller is None:
                    self._taken_for_nothing += 1
                    continue
                tasks = self._waiting.pop(caller)
                task = tasks.popleft()
                if tasks:
                    self._waiting[caller] = tasks
                self._running[caller] += 1
                return task

    def finish(self, task: _Task) -> None:
        with self._lock:
            self._running[task.caller] -= 1
            if not self._running[task.caller]:
                del self._running[task.caller]
            if self._taken_for_nothing:
                self._taken_for_nothing -= 1
                self._items.put(None)

    def _next(self) -> str | None:
        """Return the caller whose turn it is, of those who may run a task."""
        for caller in self._waiting:
            if not caller or self._running.get(caller, 0) < self._most:
                return caller
        return None


class Lane:
    """A pool of up to `threads` daemon threads, which do the tasks of each caller first in, first out.

    Of several threads one caller never has all, so that another never waits behind tasks of one caller only. After
    every task its thread does the work that the task postponed (see `after_answer`), and calls `after`. A new
    thread starts only if a task finds all threads busy, because each thread holds memory.
    """

    def __init__(self, name: str, *, threads: int, after: Callable[[], None]) -> None:
        self._name = name
        self._threads = threads
        self._after = after
        self._waiting = _WaitingTasks(max(1, threads - 1))
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
        """Run `function(*arguments)` in a thread, for nobody's turn. Otherwise like `run_for`."""
        return self.run_for("", function, *arguments)

    def run_for(
        self, caller: str, function: Callable[[*Arguments], Result], *arguments: *Arguments
    ) -> asyncio.Future[Result]:
        """Run `function(*arguments)` in a thread, in a caller's turn. Call it in the loop that awaits the future."""
        self._open += 1
        if len(self._running) < min(self._open, self._threads):
            self._start()
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        self._waiting.put(_Task(caller, function, arguments, future, loop))
        return cast("asyncio.Future[Result]", future)

    def _start(self) -> None:
        name = f"{self._name}-{len(self._running)}"
        thread = threading.Thread(target=self._work, name=name, daemon=True)
        thread.start()
        self._running.append(thread)

    def _work(self) -> None:
        while True:
            task = self._waiting.take()
            self._do(task)
            self._waiting.finish(task)

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
