"""A child process of the supervisor. It is restarted after a delay if it ends, and ends with its parent.

A Python child is forked from the supervisor, which has loaded all modules: they are loaded once, and what no process
changes is in the memory once. Where a fork is not safe (macOS) the child is a program of its own.
"""

import ctypes
import math
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import Pipe
from typing import TypeVar

from django.db import connections

from ops.command_line.forks import CAN_FORK, ChildProcess, ForkedProcess
from ops.log_masking import log_uncaught
from ops.serve.installation import InstallationError
from ops.serve.watchdog import Watchdog

_PR_SET_PDEATHSIG = 1


def end_with_parent() -> Callable[[], None]:
    """Return a function for `preexec_fn` that makes the kernel kill the child when this process's main thread ends.

    Linux only; on other systems Python children poll `parent_is`. The C function is loaded before the fork, because
    little is allowed between fork and exec.
    """
    parent = os.getpid()
    prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None

    def bind() -> None:
        if prctl is not None:
            prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # the parent has ended since the fork
            os._exit(1)

    return bind


Result = TypeVar("Result")


def in_fork(function: Callable[[], Result], *, name: str, seconds: float | None = None) -> Result:
    """Call `function` in a fork; return its result or raise its error. Its threads and database connections end with it.

    Where a fork is not safe it is called in this process. seconds: the fork is ended after so long; None for never.
    Raises `InstallationError` if the fork was ended or killed.
    """
    if not CAN_FORK:
        try:
            return function()
        finally:
            connections.close_all()
    receiver, sender = Pipe(duplex=False)
    bind_to_parent = end_with_parent()

    def run() -> None:
        bind_to_parent()
        try:
            sender.send((function(), None))
        except Exception as error:  # noqa: BLE001 raised in the other process
            error.add_note(traceback.format_exc())
            sender.send((None, error))

    process = ForkedProcess(run, title=f"marketdata {name}", keep=[sender.fileno()])
    sender.close()
    outcome: tuple[Result, Exception | None] | None = None
    try:
        with suppress(EOFError):  # it was killed
            outcome = receiver.recv() if receiver.poll(seconds) else None
    finally:
        os.kill(process.pid, signal.SIGTERM)  # after a stop signal it still runs
        exit_code = process.wait()
    if outcome is None:
        raise InstallationError(f"The {name} ended with exit code {exit_code}")
    result, error = outcome
    if error is not None:
        raise error
    return result


def parent_is(pid: int | None) -> bool:
    """Return whether `pid` is still this process's parent; True for None."""
    return pid is None or os.getppid() == pid


def end_when_parent_has_ended(parent: int) -> None:
    """Watch the parent in a thread, and end this process at once when it has ended. Uncaught errors are logged."""
    log_uncaught()
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    never = threading.Event()
    while parent_is(parent):
        never.wait(1)
    os._exit(1)


_LONGEST_DELAY_SECONDS = 5.0
_STEADY_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Program:
    """A program that the supervisor runs.

    `command` is its command line. Where forks are safe, `main` is called in a fork instead, unless it is None.
    `before` is called in the supervisor before each start. `bind_to_parent` is called in the new process; it makes the
    process end with its parent. `watchdog` receives the process's proofs of life. The process keeps to `core`, unless
    that is None or exists no longer.
    """

    name: str
    command: Callable[[], list[str]]
    bind_to_parent: Callable[[], None]
    descriptors: tuple[int, ...] = ()
    main: Callable[[], object] | None = None
    before: Callable[[], None] | None = None
    watchdog: Watchdog | None = None
    core: int | None = None


@dataclass(slots=True)
class Child:
    """A program's process. While there is none, `due_at` is the monotonic time at which to start it, in seconds."""

    program: Program
    process: subprocess.Popen[bytes] | ChildProcess | None = None
    due_at: float = 0.0
    _started_at: float = 0.0
    _failures: int = 0

    @property
    def running(self) -> bool:
        """Whether the process was started and not yet reaped."""
        return self.process is not None

    @property
    def is_alive(self) -> bool:
        """Whether the process runs and, if it has a watchdog, has proved that it serves."""
        watchdog = self.program.watchdog
        return self.running and (watchdog is None or watchdog.has_started)

    def hold(self) -> None:
        """Start no process until `release`."""
        self.due_at = math.inf

    def release(self) -> None:
        """Let the process start that was held."""
        if self.due_at == math.inf:
            self.due_at = 0.0

    def start(self) -> None:
        """Start the process. Raises OSError, SubprocessError and whatever `before` raises."""
        program = self.program
        self._started_at = time.monotonic()
        if program.before is not None:
            program.before()
        if CAN_FORK and program.main is not None:
            self.process = self._forked(program.main)
        else:
            self.process = subprocess.Popen(  # noqa: S603 our own command lines, no shell
                program.command(),
                stdin=subprocess.DEVNULL,
                pass_fds=program.descriptors,
                preexec_fn=self._begin,  # noqa: PLW1509 the supervisor has one thread
            )

    def _forked(self, main: Callable[[], object]) -> ForkedProcess:
        def run() -> None:
            self._begin()
            main()

        return ForkedProcess(run, title=f"marketdata {self.program.name}", keep=self.program.descriptors)

    def _begin(self) -> None:
        """Prepare the new process, in which this runs."""
        # Ctrl-C, or a terminal that is closed, reaches the supervisor alone, which ends its children in their order.
        os.setpgid(0, 0)
        if self.program.core is not None:
            with suppress(OSError):
                os.sched_setaffinity(0, {self.program.core})
        self.program.bind_to_parent()

    def postpone(self) -> float:
        """Schedule the next start. Return the delay in seconds, which grows while the process keeps failing."""
        now = time.monotonic()
        self._failures = 1 if now - self._started_at > _STEADY_SECONDS else self._failures + 1
        delay = restart_delay(self._failures)
        self.due_at = now + delay
        return delay

    def reap(self) -> str | None:
        """If the process has ended, return a sentence that says how, and forget the process. Otherwise return None."""
        if self.process is None or (code := self.process.poll()) is None:
            return None
        pid, self.process = self.process.pid, None
        reason = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        return f"{self.program.name} (process {pid}) {reason}"

    def send(self, signal_number: int) -> None:
        """Send a signal to the process, if there is one."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.kill(self.process.pid, signal_number)


def restart_delay(failures: int) -> float:
    """Return the seconds to wait after 1, 2, 3, … failures in a row: 0.1, 0.2, 0.4, …, at most 5."""
    return min(0.1 * 2.0 ** min(failures - 1, 10), _LONGEST_DELAY_SECONDS)
