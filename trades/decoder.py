"""Decodes large bodies in processes of their own.

A large body would hold this process's interpreter lock for up to a second. So a server process forks a child for each,
which reads the body in bounded memory, sends the result and ends. The server has no threads, and ends with this process.
`decoder_fork` forks it at the start. On macOS, and where it has ended, it is the program `python -m trades.decoder <descriptor>`
instead. `decoder_start`, or the next large body, starts that.
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
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

import numpy as np
import pyarrow as pa
from django.conf import settings

from ops.command_line.forks import CAN_FORK, ForkedProcess
from store.datasets import DATASETS
from store.lazy_imports import imported
from trades.batches.row_batch import BatchOptions
from trades.exceptions import DecoderEnded
from web.requests.exceptions import MalformedDocument, RequestError
from web.requests.work import counted_work, current_work


class HasBytes(Protocol):
    """A decoded body."""

    @property
    def nbytes(self) -> int:
        """About how many bytes of memory it takes."""


Decoded = TypeVar("Decoded", bound=HasBytes)
Read = Callable[[bytes, BatchOptions], Decoded]

# What a batch takes until it is stored, at most: so many times its own bytes.
_STORING_FACTOR = 2
# Smaller bodies are decoded at once: for them a process costs more than it spares. Of JSON also those of twice the size
# with few values: a row of a batch has a value for every 20 bytes or so, and ten thousand rows take 5 ms.
LARGE_BYTES = 2**19
_MOST_VALUES = 2**16
# What decoding a body takes at most, itself included: so many times its length, and so much more.
MEMORY_FACTOR, MEMORY_BYTES = 6, 16 * 2**20
# Of a child: it never delays the web processes, and the kernel ends it after so much processor time.
_NICENESS = 10
_MOST_SECONDS = 30
# A child is ended after so long, and this process waits no longer for one.
LIFE_SECONDS = 60
_COMMA, _LINE_END = b",\n"


def decoded(
    read: Read[Decoded],
    body: bytes,
    options: BatchOptions,
    keep_memory: Callable[[int], object] | None = None,
) -> Decoded:
    """Return `read(body, options)`, a large body's from a process of its own. Raises its errors; `DecoderEnded`.

    read: a function of a module. What it returns, and its `RequestError`s, are pickled. Its work is counted here, also
    that of a refused body. keep_memory: called once the body is decoded, with the bytes of memory that storing the
    batch takes; None if no memory was reserved.
    """
    result = _decoded_apart(read, body, options) if _is_slow(body) else read(body, options)
    if keep_memory is not None:
        keep_memory(_STORING_FACTOR * result.nbytes)
    return result


def _is_slow(body: bytes) -> bool:
    """Return whether decoding a body may hold the interpreter lock for long."""
    if len(body) <= LARGE_BYTES:
        return False
    if len(body) > 2 * LARGE_BYTES or body[:1] not in {b"{", b"["}:
        return True
    characters = np.frombuffer(body, np.uint8)
    # Values end with a comma; lines of JSON and their values perhaps only with a line end.
    ends = np.count_nonzero(characters == _COMMA) + np.count_nonzero(characters == _LINE_END)
    return bool(ends > _MOST_VALUES)


def _decoded_apart(read: Read[Decoded], body: bytes, options: BatchOptions) -> Decoded:
    try:
        with _server.child() as child:
            return _asked(child, read, body, options)
    except (EOFError, OSError) as error:
        raise DecoderEnded from error


def _asked(child: Connection, read: Read[Decoded], body: bytes, options: BatchOptions) -> Decoded:
    """Send a body to a child, answer its questions, and return its result."""
    child.send((read, options.dataset.name, options.ignore_unknown, dict(options.given)))
    child.send_bytes(body)
    questions = {"canonical": options.canonical, "nonpositive": options.allows_nonpositive_price}
    while True:
        kind, value = child.recv()
        if kind in questions:
            child.send(questions[kind](value))
        elif kind == "work":
            current_work().add(value)
        elif kind == "raised":
            raise _error(*value)
        else:  # "done"
            return cast("Decoded", value)


class _Server:
    """The server process of this process. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._control: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | ForkedProcess | None = None

    def child(self) -> Connection:
        """Return a connection to a new child."""
        ours, theirs = socket.socketpair()
        for timeout in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            ours.setsockopt(socket.SOL_SOCKET, timeout, struct.pack("ll", LIFE_SECONDS, 0))
        with theirs, self._lock:
            if self._process is None or self._process.poll() is not None:
                self._start()
            assert self._control is not None  # noqa: S101 it was started
            socket.send_fds(self._control, [b"."], [theirs.fileno()])
        return Connection(ours.detach())

    def end(self) -> None:
        """End the server and wait for it."""
        with self._lock:
            if self._control is not None and self._process is not None:
                self._control.close()
                self._process.wait()
                self._control = self._process = None

    def start(self) -> None:
        """Start the server, so that the first body does not wait for it."""
        with self._lock:
            if self._process is None:
                self._start()

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
decoder_start = _server.start
decoder_fork = _server.fork
atexit.register(_server.end)


def _error(kind: type[Exception], message: str, state: dict[str, Any]) -> Exception:
    """Return an error as it was raised in the child."""
    error = kind.__new__(kind)
    Exception.__init__(error, message)
    vars(error).update(state)
    return error


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
            resource.setrlimit(resource.RLIMIT_CPU, (_MOST_SECONDS, _MOST_SECONDS))
            with suppress(EOFError, OSError):  # the other end has gone
                _decode(Connection(descriptors[0]))
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


def _decode(parent: Connection) -> None:
    read, dataset, ignore_unknown, given = parent.recv()
    options = BatchOptions(
        DATASETS[dataset],
        ignore_unknown,
        given,
        lambda symbol: _ask(parent, "canonical", symbol),
        lambda symbol: _ask(parent, "nonpositive", symbol),
    )
    body = parent.recv_bytes()
    with counted_work() as work, work.timed():
        try:
            with _memory_limited((MEMORY_FACTOR - 1) * len(body) + MEMORY_BYTES):
                answer: tuple[str, Any] = "done", read(body, options)
        except MemoryError:
            answer = "raised", _pickled(_too_large(body))
        except Exception as error:  # noqa: BLE001 raised in the other process
            if not isinstance(error, RequestError):
                error.add_note(traceback.format_exc())
            answer = "raised", _pickled(error)
    parent.send(("work", work))
    parent.send(answer)


def _pickled(error: Exception) -> tuple[type[Exception], str, dict[str, Any]]:
    return type(error), str(error), vars(error)


def _too_large(body: bytes) -> MalformedDocument:
    mib = (MEMORY_FACTOR * len(body) + MEMORY_BYTES) >> 20
    return MalformedDocument(
        "document_too_large",
        f"reading the body takes more than {mib} MiB of memory, as many small values do, or many rows of which one is"
        " wrong; send fewer rows at a time",
    )


@contextmanager
def _memory_limited(size: int) -> Iterator[None]:
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


def _ask(parent: Connection, question: str, symbol: str) -> Any:
    parent.send((question, symbol))
    return parent.recv()


def main(descriptor: str) -> None:
    """Serve at an inherited socket."""
    with suppress(KeyboardInterrupt):
        serve(socket.socket(fileno=int(descriptor)))


if __name__ == "__main__":
    main(sys.argv[1])
