"""One process that the supervisor keeps running."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from marketdata_project.serve.watchdog import Watchdog

_PR_SET_PDEATHSIG = 1


def end_with_parent() -> Callable[[], None]:
    """Return a function for `preexec_fn`: the kernel kills the child when this process's main thread ends.

    Linux only; elsewhere Python children look at `parent_is` now and then. What the function needs is loaded
    here, since little may be done between fork and exec.
    """
    parent = os.getpid()
    prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None

    def tie() -> None:
        if prctl is not None:
            prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it ended between fork and here
            os._exit(1)

    return tie


def parent_is(pid: int | None) -> bool:
    """Whether the process that started this one still lives; no `pid` means that nobody asks."""
    return pid is None or os.getppid() == pid


_LONGEST_DELAY_SECONDS = 5.0
_STEADY_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Program:
    """A program that the supervisor runs.

    `before` is called ahead of each start, `apart` puts it into a process group of its own, `watchdog` hears
    whether it can answer.
    """

    name: str
    command: Callable[[], list[str]]
    environment: Mapping[str, str]
    tie: Callable[[], None]
    descriptors: tuple[int, ...] = ()
    apart: bool = False
    before: Callable[[], None] | None = None
    watchdog: Watchdog | None = None


@dataclass(slots=True)
class Child:
    """The process of a program, or the time at which it is due to be started again."""

    program: Program
    process: subprocess.Popen[bytes] | None = None
    due_at: float = 0.0
    _started_at: float = 0.0
    _failures: int = field(default=0)

    @property
    def running(self) -> bool:
        """Whether it was started and its end was not seen yet."""
        return self.process is not None

    def start(self) -> None:
        """Start the process; raises OSError, SubprocessError and whatever `before` raises."""
        program = self.program
        self._started_at = time.monotonic()
        if program.before is not None:
            program.before()
        self.process = subprocess.Popen(  # noqa: S603 our own command lines, no shell
            program.command(),
            env=program.environment,
            stdin=subprocess.DEVNULL,
            pass_fds=program.descriptors,
            process_group=0 if program.apart else None,
            preexec_fn=self._begin,  # noqa: PLW1509 the supervisor has one thread
        )

    def _begin(self) -> None:
        """Runs in the new process."""
        # Ctrl-C reaches it, too, but the supervisor ends it: none that is starting prints a traceback.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self.program.tie()

    def postpone(self) -> float:
        """Make it due again after a delay that grows while it keeps failing; returns the delay in seconds."""
        now = time.monotonic()
        self._failures = 1 if now - self._started_at > _STEADY_SECONDS else self._failures + 1
        delay = restart_delay(self._failures)
        self.due_at = now + delay
        return delay

    def reap(self) -> str | None:
        """How the process ended, once; None while it runs or when there is none."""
        if self.process is None or (code := self.process.poll()) is None:
            return None
        pid, self.process = self.process.pid, None
        how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        return f"{self.program.name} (process {pid}) {how}"

    def send(self, signal_number: int) -> None:
        """Send a signal if it runs."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.kill(self.process.pid, signal_number)


def restart_delay(failures: int) -> float:
    """Seconds to wait after so many failures in a row (1, 2, …): 0.1, 0.2, 0.4 … at most 5."""
    return min(0.1 * 2.0 ** min(failures - 1, 10), _LONGEST_DELAY_SECONDS)
