"""Starts a benchmark's processes on chosen cores, waits for them, measures them, and ends them."""

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path


def _cores() -> list[int]:
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_setaffinity") else []


CORES = _cores()
SERVER_CORE, LOAD_CORE = (CORES[:1], CORES[-1:]) if len(CORES) > 1 else (CORES, CORES)


@contextmanager
def on_cores(cores: Collection[int]) -> Iterator[None]:
    """Run this thread, and the processes that it starts meanwhile, on these cores; with none nothing changes."""
    if not cores:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def interrupted_by_sigterm() -> Iterator[None]:
    """Take SIGTERM for Ctrl-C meanwhile, so that it ends the processes that were started, too."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


START_SECONDS = 300.0  # a loaded machine starts slowly
_END_SECONDS = 12.0
BASE_DIR = Path(__file__).resolve().parents[1]


class StartFailed(Exception):
    """A process did not become ready. The message ends with its output."""


@contextmanager
def running(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    log: Path,
    cores: Collection[int] = SERVER_CORE,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command from the project's folder; its standard output is a pipe, its standard error goes to `log`."""
    with log.open("w") as errors, on_cores(cores):
        process = subprocess.Popen(
            command,
            cwd=BASE_DIR,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            bufsize=0,  # select would not see a line that is already in a buffer
            process_group=0,
        )
    try:
        yield process
    finally:
        _end(process)


def line_with(process: subprocess.Popen[bytes], text: str, *, log: Path) -> str:
    """Return the first line of a process's output that contains `text`. Raises `StartFailed` if none comes in time."""
    output = process.stdout
    if output is None:
        raise StartFailed("the process has no output to read")
    deadline = time.monotonic() + START_SECONDS
    with selectors.DefaultSelector() as selector:
        selector.register(output, selectors.EVENT_READ)
        while selector.select(max(0.0, deadline - time.monotonic())):
            line = bytes(output.readline()).decode()
            if text in line:
                return line
            if not line:
                break
    raise StartFailed(f"{process.args!r} did not get ready: {log.read_text()[-2000:]}")


def await_ready(process: subprocess.Popen[bytes], is_ready: Callable[[], bool], *, log: Path) -> None:
    """Call `is_ready` until it returns True. Raises `StartFailed` if the process ends or the time is over."""
    deadline = time.monotonic() + START_SECONDS
    while not is_ready():
        if process.poll() is not None or time.monotonic() > deadline:
            raise StartFailed(f"{process.args!r} did not get ready: {log.read_text()[-2000:]}")
        time.sleep(0.05)


def run_python(module: str, *arguments: str, environment: Mapping[str, str], log: Path) -> str:
    """Run a module to its end on the servers' core; return its output. Raises `StartFailed` if it fails."""
    command = [sys.executable, "-m", module, *arguments]
    with running(command, environment=environment, log=log) as process:
        output, _ = process.communicate(timeout=600)
    if process.returncode:
        raise StartFailed(f"{module} failed: {log.read_text()[-2000:]}")
    return output.decode()


def memory_of_process(measure: str, pid: int | str = "self") -> int:
    """Return the memory of a process in bytes, by default of this process. `measure` is a line of `/proc/PID/status`.

    `VmRSS`: resident; `RssAnon`: resident without files; `RssFile`: resident of mapped files; `VmHWM`: peak resident.
    """
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{measure}:"))


def descendants(roots: Sequence[int]) -> list[int]:
    """Return the ids of these processes and of all processes below them."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # a process that has ended meanwhile
            parents[int(stat.parent.name)] = int(_stat_fields(stat)[1])
    found = [*roots]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found


def processor_seconds(roots: Sequence[int]) -> float:
    """Return the processor seconds, user and system, that these processes and all below them have used."""
    used = [_stat_fields(Path(f"/proc/{pid}/stat"))[11:13] for pid in descendants(roots)]
    return sum(int(ticks) for pair in used for ticks in pair) / os.sysconf("SC_CLK_TCK")


def _stat_fields(stat: Path) -> list[str]:
    """Return the fields after the program's name, which may contain spaces and parentheses."""
    return stat.read_text().rpartition(")")[2].split()


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None and not pipe.closed:
            pipe.close()
