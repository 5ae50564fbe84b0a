"""Forks: processes that begin as a copy of this one, share its memory, and so have loaded all that it has loaded."""

import os
import signal
import sys
from collections.abc import Callable, Iterable
from itertools import pairwise
from multiprocessing.context import ForkProcess
from typing import cast

from setproctitle import setproctitle

# Otherwise a title would overwrite what /proc/PID/environ shows.
os.environ.setdefault("SPT_NOENV", "1")
# On macOS system libraries may crash in a fork.
CAN_FORK = sys.platform == "linux"
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)


class ForkedProcess(ForkProcess):
    """A fork of this process that calls `main`. For a process with one thread, which uses no database and no socket.

    It has the title `title` in the output of `ps`. It begins as a program would: signals have their default actions, the
    standard input is empty, and no file is open but the standard output and error and `keep`. Its exit code is 1 after an
    exception, which `sys.excepthook` gets. The methods are those of `subprocess.Popen`.
    """

    def __init__(self, main: Callable[[], object], *, title: str, keep: Iterable[int] = ()) -> None:
        super().__init__(name=title)
        self._main, self._keep = main, sorted({0, 1, 2, *keep})
        # Otherwise a signal to the fork could call a handler of this process.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            self.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def run(self) -> None:
        """Call `main`, in the fork."""
        signal.set_wakeup_fd(-1)
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        sys.stdin = open(0, closefd=False)  # noqa: SIM115 a descriptor, which stays open
        for kept, following in pairwise([*self._keep, os.sysconf("SC_OPEN_MAX")]):
            os.closerange(kept + 1, following)
        setproctitle(self.name)
        try:
            self._main()
        except Exception as error:  # noqa: BLE001 as the interpreter would report it
            sys.excepthook(type(error), error, error.__traceback__)
            raise SystemExit(1) from None

    @property
    def pid(self) -> int:
        """The process's id."""
        return cast("int", self.ident)

    def poll(self) -> int | None:
        """Return the exit code, negative after a signal; None while the process runs."""
        return self.exitcode

    def wait(self) -> int | None:
        """Wait for the end of the process; return the exit code."""
        self.join()
        return self.exitcode
