"""Starts a benchmark's processes on the servers' core, waits for them, and ends them."""

import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path


def _cores() -> list[int]:
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_setaffinity") else []


CORES = _cores()
SERVER_CORE, LOAD_CORE = (CORES[0], CORES[-1]) if len(CORES) > 1 else (None, None)


@contextmanager
def pinned(core: int | None) -> Iterator[None]:
    """Run this thread, and the processes that it starts meanwhile, on one core; None changes nothing."""
    with _on(set() if core is None else {core}):
        yield


@contextmanager
def unpinned() -> Iterator[None]:
    """Run this thread, and the processes that it starts meanwhile, on all cores."""
    with _on(set(CORES)):
        yield


@contextmanager
def _on(cores: set[int]) -> Iterator[None]:
    if not cores:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


START_SECONDS = 300.0  # a loaded machine starts slowly
_END_SECONDS = 12.0
BASE_DIR = Path(__file__).resolve().parents[1]


class StartFailed(Exception):
    """A process did not become ready. The message ends with its output."""


@contextmanager
def running(
    command: Sequence[str], *, environment: Mapping[str, str], descriptors: tuple[int, ...] = (), log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command from the project's folder; its standard output is a pipe, its standard error goes to `log`."""
    with log.open("w") as errors, pinned(SERVER_CORE):
        process = subprocess.Popen(
            command,
            cwd=BASE_DIR,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            pass_fds=descriptors,
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
    with running([sys.executable, "-m", module, *arguments], environment=environment, log=log) as process:
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
