"""The supervisor: starts Redis, the web processes and the worker, keeps them running, and ends all of them."""

import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from select import select
from subprocess import Popen, SubprocessError
from types import FrameType, TracebackType
from typing import Self

from ops.command_line.forks import ChildProcess
from ops.serve.child import Child
from ops.serve.embedded_redis import EmbeddedRedis
from ops.serve.handover import RollingRestart, hand_over, successor_prepare
from ops.serve.installation import InstallationError, address_of
from ops.serve.plan import ServePlan, python_programs, redis_programs


class SignalInbox:
    """A context manager that collects `signals`, so that they do not interrupt the program. For the main thread."""

    def __init__(self, signals: Iterable[signal.Signals]) -> None:
        self._signals = tuple(signals)
        self._previous: list[tuple[signal.Signals, signal._HANDLER]] = []

    def __enter__(self) -> Self:
        self._receiver, self._sender = socket.socketpair()
        self._receiver.setblocking(False)
        self._sender.setblocking(False)
        self._previous_fd = signal.set_wakeup_fd(self._sender.fileno(), warn_on_full_buffer=False)
        self._previous = [(number, signal.signal(number, _nothing)) for number in self._signals]
        # A handover has blocked them.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, self._signals)
        return self

    def __exit__(
        self,
        error_class: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._previous:
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._previous_fd)
        self._receiver.close()
        self._sender.close()

    def wait(self, seconds: float) -> frozenset[int]:
        """Wait up to `seconds` for signals; return those that arrived, possibly none."""
        select([self._receiver], [], [], max(seconds, 0))
        with suppress(BlockingIOError):
            return frozenset(self._receiver.recv(4096))
        return frozenset()


def _nothing(_signal: int, _frame: FrameType | None) -> None:
    """Do nothing: the wake-up descriptor reports the signal."""


STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_SIGNALS = (*STOP_SIGNALS, signal.SIGHUP, signal.SIGCHLD)
# Seconds. The installation ends within 10 s of a stop signal: 8.5 s for running requests and duties, 1 s for Redis.
END_SECONDS = 8.5
REDIS_END_SECONDS = 1.0
_REDIS_START_SECONDS = 5.0
_TICK_SECONDS = 1.0
_PROBE_SECONDS = 0.1

logger = logging.getLogger(__name__)

Say = Callable[[str], None]


def set_environment(*, settings_module: str, base_dir: Path, data_dir: Path, port: int) -> None:
    """Set what the environment of child processes needs, in this process's own: absolute paths and the actual port."""
    path = os.pathsep.join(
        dict.fromkeys([str(base_dir), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))])
    )
    os.environ.update(
        {
            "DJANGO_SETTINGS_MODULE": settings_module,
            "DATA_DIR": str(data_dir),
            "PORT": str(port),
            "PYTHONPATH": path,
            "PYTHONUNBUFFERED": "1",
        }
    )


class Supervisor:
    """The parent of a plan's processes. For the main thread of a process that has no other threads."""

    def __init__(self, plan: ServePlan, *, say: Say, inherited: Mapping[str, int] | None = None) -> None:
        """`inherited`: the processes of an earlier supervisor, which are replaced one by one; None if there was none."""
        self._plan = plan
        self._say = say
        self._redis = [Child(program) for program in redis_programs(plan)]
        self._others = [Child(program) for program in python_programs(plan)]
        self._ready = inherited is not None
        self._is_restart_due = False
        self._unserving = ""
        self._successor: Popen[bytes] | None = None
        self._had_terminal = has_terminal()
        others = dict(inherited or {})
        for redis in self._redis:
            if (pid := others.pop(redis.program.name, None)) is not None:
                redis.process = ChildProcess(pid)
        self._rolling = RollingRestart(self._others, others, end_seconds=END_SECONDS)

    def run(self, *, on_ready: Callable[[], None]) -> None:
        """Run until a stop signal. `on_ready` is called once, when `/readyz` first answers 200, or without web processes at once."""
        with SignalInbox(_SIGNALS) as inbox:
            try:
                if self._start(inbox):
                    self._keep_running(inbox, on_ready)
                self._say("Stopping")
                # Without this, connections that no process accepts any more would wait until the end.
                if self._plan.listener is not None:
                    self._plan.listener.close()
                self._end([*self._others, *self._rolling.left()], inbox, END_SECONDS)
                self._end(self._redis, inbox, REDIS_END_SECONDS)
            finally:
                self._kill([*self._others, *self._redis, *self._rolling.left()])
                self._tidy()

    def _tidy(self) -> None:
        if self._successor is not None:
            self._successor.kill()
            self._successor.wait()
        if self._plan.redis is not None:
            self._plan.redis.tidy()
        for child in self._others:
            if child.program.watchdog is not None:
                child.program.watchdog.close()

    def _start(self, inbox: SignalInbox) -> bool:
        """Start all programs, Redis first; return False if a stop signal came meanwhile."""
        self._start_due(self._redis)
        if self._plan.redis is not None and not self._await_redis(self._plan.redis, inbox):
            return False
        self._start_due(self._others)
        return True

    def _await_redis(self, redis: EmbeddedRedis, inbox: SignalInbox) -> bool:
        deadline = time.monotonic() + _REDIS_START_SECONDS
        while not redis.answers():
            if time.monotonic() > deadline:
                self._say(
                    f"Redis does not answer yet (see {redis.run_dir / 'redis.log'}); starting without it"
                )
                break
            if self._is_stopped_by(inbox.wait(0.02)):
                return False
        return True

    def _keep_running(self, inbox: SignalInbox, on_ready: Callable[[], None]) -> None:
        children = [*self._redis, *self._others]
        while not self._is_stopped_by(inbox.wait(self._patience(children))):
            self._reap(children)
            self._replace()
            self._restart()
            self._kill_silent(children)
            self._start_due(children)
            if not self._ready and (self._plan.listener is None or _answers_ready(self._plan.listener)):
                self._ready = True
                on_ready()

    def _is_stopped_by(self, signals: frozenset[int]) -> bool:
        """Return whether to stop. A SIGHUP asks for a rolling restart, unless it came because the terminal was closed."""
        if signal.SIGHUP not in signals:
            return bool(signals.intersection(STOP_SIGNALS))
        self._is_restart_due = True
        return bool(signals.intersection(STOP_SIGNALS)) or (self._had_terminal and not has_terminal())

    def _replace(self) -> None:
        """As the successor, go on with replacing the inherited children."""
        if self._rolling.is_over:
            return
        self._rolling.go_on()
        if self._rolling.is_over:
            self._say("Every process was replaced")
        elif (name := self._rolling.unserving()) != self._unserving:
            self._unserving = name
            if name:
                self._say(f"{name} does not serve; older processes go on. SIGHUP tries again")

    def _restart(self) -> None:
        """Go on with a rolling restart that was asked for: prepare the successor, become it."""
        try:
            if self._successor is not None and (code := self._successor.poll()) is not None:
                self._successor = None
                if code == 0:
                    self._hand_over()
                else:
                    self._say("The new program cannot take over; nothing is restarted")
            elif self._is_restart_due and self._ready and self._successor is None:
                self._is_restart_due = False
                self._say("Preparing a rolling restart")
                self._successor = successor_prepare()
        except OSError as error:
            self._say(f"The new program cannot be started: {error}; nothing is restarted")

    def _hand_over(self) -> None:
        children = [*self._redis, *self._others, *self._rolling.left()]
        pids = {child.program.name: child.process.pid for child in children if child.process is not None}
        self._say("Replacing every process")
        hand_over(self._plan.listener, pids, _SIGNALS)

    def _patience(self, children: Iterable[Child]) -> float:
        """Return the seconds until the next start or check is due."""
        if not self._ready or not self._rolling.is_over or self._successor is not None:
            return _PROBE_SECONDS
        delays = [child.due_at - time.monotonic() for child in children if not child.running]
        return min([_TICK_SECONDS, *delays])

    def _reap(self, children: Iterable[Child]) -> None:
        for child in children:
            if (message := child.reap()) is not None:
                self._say(f"{message}; starting it again in {child.postpone():.1f} s")

    def _kill_silent(self, children: Iterable[Child]) -> None:
        """Kill web processes that sent no proof of life for `watchdog_seconds`. They restart like any ended process."""
        for child in children:
            watchdog = child.program.watchdog
            if watchdog is None or child.process is None:
                continue
            if (silence := watchdog.look()) >= self._plan.watchdog_seconds:
                logger.warning(
                    "%s (process %d) answered nothing for %.1f s and is killed and replaced",
                    child.program.name, child.process.pid, silence,
                )  # fmt: skip
                # SIGKILL, because the process could not react to SIGTERM. Acknowledged writes are on the disk.
                child.send(signal.SIGKILL)
                watchdog.reset()

    def _start_due(self, children: Iterable[Child]) -> None:
        for child in children:
            if child.running or time.monotonic() < child.due_at:
                continue
            try:
                child.start()
            except (OSError, SubprocessError, InstallationError) as error:
                name = child.program.name
                self._say(f"{name} cannot be started: {error}; trying again in {child.postpone():.1f} s")

    def _end(self, children: list[Child], inbox: SignalInbox, seconds: float) -> None:
        """Send SIGTERM to the children, and kill those that still run after `seconds`."""
        deadline = time.monotonic() + seconds
        for child in children:
            child.send(signal.SIGTERM)
            child.send(signal.SIGCONT)  # a process that SIGSTOP suspended could not handle SIGTERM
        while any(child.running for child in children) and time.monotonic() < deadline:
            inbox.wait(min(0.1, deadline - time.monotonic()))
            for child in children:
                child.reap()
        self._kill(children)

    def _kill(self, children: Iterable[Child]) -> None:
        for child in children:
            if child.process is not None and child.reap() is None:
                child.send(signal.SIGKILL)
                child.process.wait()
                child.reap()
                self._say(f"{child.program.name} did not end in time and was killed")


def has_terminal() -> bool:
    """Return whether a standard stream is a terminal that is open."""
    return any(map(os.isatty, range(3)))


def _answers_ready(listener: socket.socket) -> bool:
    host, port = address_of(listener)
    connection = HTTPConnection(host, port, timeout=0.5)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        with suppress(OSError):
            connection.close()
