"""Child processes that read what strangers sent, in bounded memory and time.

A server process, which has no threads, forks them and ends with this process. `decoder_fork` forks the server when a web
process starts. On macOS, in other programs, and after the server has ended, the next child starts it as the program
`python -m trades.children <descriptor>`.
"""

import atexit
import gc
import os
import re
import resource
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pyarrow as pa
from django.conf import settings

from ops.command_line.forks import CAN_FORK, ForkedProcess
from store.lazy_imports import imported
from trades.batches.row_batch import BatchOptions
from web.requests.exceptions import RequestError

# A function of a module. It gets the child's end of the connection.
Task = Callable[..., None]

# What reading takes at most, what is read included: so many times its length, and so much more.
MEMORY_FACTOR, MEMORY_BYTES = 6, 16 * 2**20
# A child never delays the web processes.
_NICENESS = 10
# A child is ended after so long, and this process waits no longer for an answer.
LIFE_SECONDS = 60


class _Server:
    """The server process of this process. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._control: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | ForkedProcess | None = None

    def child(self, task: Task, *arguments: Any) -> Connection:
        """Return a connection to a new child, which calls `task` with its end and the arguments, and ends."""
        ours, theirs = socket.socketpair()
        for timeout in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            ours.setsockopt(socket.SOL_SOCKET, timeout, struct.pack("ll", LIFE_SECONDS, 0))
        with theirs, self._lock:
            if self._process is None or self._process.poll() is not None:
                self._start()
            assert self._control is not None  # noqa: S101 it was started
            socket.send_fds(self._control, [b"."], [theirs.fileno()])
        connection = Connection(ours.detach())
        connection.send((task, arguments))
        return connection

    def end(self) -> None:
        """End the server and wait for it."""
        with self._lock:
            if self._control is not None and self._process is not None:
                self._control.close()
                self._process.wait()
                self._control = self._process = None

    def fork(self) -> None:
        """Start the server as a fork of this process, which must have one thread. On macOS do nothing."""
        if CAN_FORK:
            self._control, theirs = socket.socketpair()
            with theirs:
                serve_it = partial(serve, theirs)
                self._process = ForkedProcess(serve_it, title="marketdata decoder", keep=[theirs.fileno()])

    def _start(self) -> None:
        if self._control is not None:
            self._control.close()
        self._control, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 this program
                [sys.executable, "-m", __name__, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                cwd=settings.BASE_DIR,
                stdin=subprocess.DEVNULL,
            )


_server = _Server()
child = _server.child
decoder_fork = _server.fork
atexit.register(_server.end)


def serve(control: socket.socket) -> None:
    """Fork a child for each connection that arrives, until the socket's other end is closed."""
    pa.set_cpu_count(1)  # each thread's stack would count as memory
    imported("pyarrow")  # a program does without pandas, which would take a third of its memory
    _warm_up()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # children that have ended are forgotten at once
    for number in (signal.SIGINT, signal.SIGTERM):  # bodies that are being read at a stop are still answered
        signal.signal(number, signal.SIG_IGN)
    gc.collect()
    gc.freeze()
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, 1, 1)
        if not message:
            return
        if os.fork() == 0:
            control.close()
            os.nice(_NICENESS)
            signal.alarm(LIFE_SECONDS)
            with suppress(EOFError, OSError):  # the other end has gone
                parent = Connection(descriptors[0])
                task, arguments = parent.recv()
                task(parent, *arguments)
            os._exit(0)
        os.close(descriptors[0])


def _warm_up() -> None:
    """Load all that reading needs, so that it does not count as a body's memory."""
    reads = [*import_module("trades.formats").READERS.values()]
    reads.append(import_module("trades.correction_batch").read_corrections)
    for read in reads:
        for body in (
            b'{"trades":[{"timestamp":1}]}',
            b"timestamp,symbol,price,volume\n2025-01-02T14:30:00Z,A,x,1\n",
        ):
            with suppress(RequestError):
                read(body, BatchOptions())


@contextmanager
def memory_limited(size: int) -> Iterator[None]:
    """Raise MemoryError in this block if the process would take so many bytes more. On Linux only."""
    status = Path("/proc/self/status")
    if not status.exists():
        yield
        return
    taken = re.search(r"VmData:\s+(\d+) kB", status.read_text())
    assert taken is not None  # noqa: S101 Linux has it
    before = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (int(taken[1]) * 1024 + size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


def main(descriptor: str) -> None:
    """Serve at an inherited socket."""
    for module in ("freqtrade_file", "parquet_file"):  # of the programs that do not fork, some read files
        import_module(f"trades.imports.{module}")
    with suppress(KeyboardInterrupt):
        serve(socket.socket(fileno=int(descriptor)))


if __name__ == "__main__":
    main(sys.argv[1])
