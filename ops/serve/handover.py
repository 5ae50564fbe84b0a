"""A rolling restart: the supervisor becomes its own successor, with the code on the disk, and replaces its children.

The supervisor starts its program anew in its own process (`exec`), so that its children and its socket stay. A web
process is replaced before it ends, any other one when it has ended. The embedded Redis goes on.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

import msgspec

from ops.command_line.forks import ChildProcess
from ops.serve.child import Child, Program, end_with_parent

CHECK_OPTION = "--prepare-only"
WEB = "web "
_VARIABLE = "SERVE_HANDOVER"
# A web process finishes requests for ten seconds, and writes its counters.
_WEB_END_SECONDS = 12.0
SERVE_SECONDS = 30.0
"""A new web process that does not serve for so long is reported."""


class Handover(msgspec.Struct):
    """The descriptor of the listening socket, if there is one, and the process ids of the children by name."""

    listener: int | None
    children: dict[str, int]

    def web_numbers(self, count: int) -> list[int]:
        """Return the numbers of `count` new web processes.

        The first has one that is free. Each other one has that of the process that was replaced before it, or one that is free.
        """
        used = [int(name.removeprefix(WEB)) - 1 for name in self.children if name.startswith(WEB)]
        free = [number for number in range(len(used) + count) if number not in used]
        return [free[0], *used[:-1], *free[1:]][:count]


def handover_take() -> Handover | None:
    """Return what an earlier program of this process has left; None if it is the first. Signals stay blocked."""
    text = os.environ.pop(_VARIABLE, "")
    return msgspec.json.decode(text, type=Handover) if text else None


def successor_prepare() -> subprocess.Popen[bytes]:
    """Begin to load the code on the disk and to migrate the database with it. Exit code 0: it could take over. Raises OSError."""
    command = [sys.executable, *sys.orig_argv[1:], CHECK_OPTION]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL)  # noqa: S603 our own command line


def hand_over(
    listener: socket.socket | None, children: Mapping[str, int], signals: Sequence[signal.Signals]
) -> NoReturn:
    """Become the successor, in which `signals` are blocked. Raises OSError; then this program can go on."""
    handover = Handover(None if listener is None else listener.fileno(), dict(children))
    os.environ[_VARIABLE] = msgspec.json.encode(handover).decode()
    if listener is not None:
        listener.set_inheritable(True)
    sys.stdout.flush()
    sys.stderr.flush()
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    # The checks were made. If the database is away just now, the children must not end.
    arguments = [each for each in sys.orig_argv[1:] if each != "--skip-checks"]
    try:
        os.execv(sys.executable, [sys.executable, *arguments, "--skip-checks"])  # noqa: S606 our own command line
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
        del os.environ[_VARIABLE]
        if listener is not None:
            listener.set_inheritable(False)


@dataclass(slots=True)
class _Replacement:
    """One process and its successor. `kill_at`: the monotonic time; None until the process was told to end."""

    old: Child
    new: Child | None
    end_seconds: float
    kill_at: float | None = None

    @property
    def name(self) -> str:
        """The new process's name; "" if there is none."""
        return "" if self.new is None else self.new.program.name

    def go_on(self) -> bool:
        """Take the next step that is possible; return whether the old process has gone and the new one may run."""
        is_web = self.old.program.name.startswith(WEB)
        self.old.reap()
        if self.new is not None and (is_web or not self.old.running):
            self.new.release()
        if not self.old.running:
            return True
        if self.kill_at is None:
            if not is_web or self.new is None or self.new.is_alive:
                self.kill_at = time.monotonic() + self.end_seconds
                self.old.send(signal.SIGHUP if is_web else signal.SIGTERM)
                self.old.send(signal.SIGCONT)
        elif time.monotonic() > self.kill_at:
            self.old.send(signal.SIGKILL)
        return False


class RollingRestart:
    """Replaces inherited processes by `children`, one after the other, in the order of `inherited`.

    Call `go_on` ten times a second until it is over. A child waits, with `due_at` infinite, until it is its turn. A child without a
    predecessor does not wait. If a new web process does not serve, the old ones stay.
    """

    def __init__(
        self, children: Sequence[Child], inherited: Mapping[str, int], *, end_seconds: float
    ) -> None:
        webs = deque(child for child in children if child.program.name.startswith(WEB))
        others = {child.program.name: child for child in children if child not in webs}
        self._left: list[_Replacement] = []
        for name, pid in inherited.items():
            is_web = name.startswith(WEB)
            new = (webs.popleft() if webs else None) if is_web else others.get(name)
            if new is not None:
                new.hold()
            seconds = _WEB_END_SECONDS if is_web else end_seconds
            old = Child(Program(name, command=list, bind_to_parent=end_with_parent()), ChildProcess(pid))
            self._left.append(_Replacement(old, new, seconds))
        self._began = time.monotonic()

    @property
    def is_over(self) -> bool:
        """Whether every process was replaced."""
        return not self._left

    def go_on(self) -> None:
        """Go on with the first process that is not replaced.

        The successors of others that have ended start at once, unless an older process still has their name.
        """
        for each in self._left:
            each.old.reap()
        names = {each.old.program.name for each in self._left if each.old.running}
        ended = [each for each in self._left[1:] if not each.old.running and each.name not in names]
        for each in [*self._left[:1], *ended]:
            if each.go_on():
                self._left.remove(each)
                self._began = time.monotonic()

    def unserving(self) -> str:
        """Return the new web process that has not served for `SERVE_SECONDS`; "" if there is none."""
        is_late = time.monotonic() - self._began > SERVE_SECONDS
        return self._left[0].name if is_late and self._left and self._left[0].kill_at is None else ""

    def left(self) -> list[Child]:
        """Return the processes that are not replaced yet."""
        return [each.old for each in self._left]
