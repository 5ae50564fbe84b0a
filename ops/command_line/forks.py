"""Forks: processes that begin as a copy of this one, so they have loaded all that it has loaded, in the same memory."""

import io
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from setproctitle import getproctitle, setproctitle

# Otherwise a title would overwrite what /proc/PID/environ shows.
os.environ.setdefault("SPT_NOENV", "1")
# The first call finds the memory of the command line, by the environment, before any variable in it is replaced.
with suppress(UnicodeDecodeError):  # it leaves out the last byte, which may be half of a letter
    getproctitle()
# On macOS system libraries may crash in a fork that lives on.
CAN_FORK = sys.platform == "linux"
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)


class ChildProcess:
    """A child of this process, by its id. The methods are those of `subprocess.Popen`."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._exit_code: int | None = None

    def poll(self) -> int | None:
        """Return the exit code, negative after a signal; None while the process runs."""
        return self._ended(os.WNOHANG)

    def wait(self) -> int | None:
        """Wait for the end of the process; return the exit code."""
        return self._ended(0)

    def _ended(self, options: int) -> int | None:
        if self._exit_code is None:
            pid, status = os.waitpid(self.pid, options)
            self._exit_code = os.waitstatus_to_exitcode(status) if pid else None
        return self._exit_code


class ForkedProcess(ChildProcess):
    """A fork of this process that calls `main`, and ends when that returns, without waiting for threads or `atexit`.

    This process must have one thread, and no open connection to a database: raises `RuntimeError` if it has more threads.

    The fork has the title `title` in the output of `ps`. It begins as a program does. Signals have their default actions.
    The standard input is empty. The other open files are the standard output, the standard error and `keep`. Its exit
    code is 1 after an exception, which `sys.excepthook` gets.
    """

    def __init__(self, main: Callable[[], object], *, title: str, keep: Iterable[int] = ()) -> None:
        if threading.active_count() > 1:
            raise RuntimeError("a process with more than one thread must not fork")
        sys.stdout.flush()
        sys.stderr.flush()
        # So that no signal reaches the fork while it still has this process's handlers.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            super().__init__(os.fork())
            if self.pid == 0:
                _live(main, title, {0, 1, 2, *keep})
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _live(main: Callable[[], object], title: str, keep: set[int]) -> NoReturn:
    """Be the fork. It never returns: all above this call is the business of the process that forked."""
    exit_code = 1
    try:
        exit_code = _run(main, title, keep)
    finally:
        os._exit(exit_code)


def _run(main: Callable[[], object], title: str, keep: set[int]) -> int:
    """Call `main` in the fork, and return its exit code."""
    try:
        _begin(title, keep)
        main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException as error:  # noqa: BLE001 as the interpreter would report it
        sys.excepthook(type(error), error, error.__traceback__)
        return 1
    sys.stdout.flush()
    sys.stderr.flush()
    return 0


def _begin(title: str, keep: set[int]) -> None:
    setproctitle(title)
    signal.set_wakeup_fd(-1)
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 a descriptor, which stays open
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True)
    for descriptor in {int(each.name) for each in Path("/proc/self/fd").iterdir()} - keep:
        try:
            os.close(descriptor)
        except OSError:  # the folder itself, while it was listed
            continue
