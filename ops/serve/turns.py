"""Web processes accept connections by turns, so that each has as many open ones as the others.

All of them watch one listening socket. A connection that a process does not take stays in the socket's queue, and
another process takes it: the end of a process loses no connection of the queue.
"""

import asyncio
import logging
import mmap
import socket
import tempfile
import time
from collections.abc import Callable, Sized
from contextlib import suppress
from typing import IO

# A process that stands back looks again after so many seconds.
STAND_BACK_SECONDS = 0.001
BEAT_SECONDS = 0.1
# Others do not wait for a process that has not beaten for so long: it ended, is stopped, or is busy.
SILENT_SECONDS = 0.3
# After an error such as too many open files, the process accepts nothing for so many seconds.
_ERROR_SECONDS = 1.0
# Returning to the loop after each connection takes 30 us more per connection.
_MOST_AT_ONCE = 64
_CELL_BYTES = 8

logger = logging.getLogger(__name__)


def shared_memory(processes: int) -> IO[bytes]:
    """Return a new file without a name: the memory for `Turns` of so many processes. The caller closes it."""
    file = tempfile.TemporaryFile()  # noqa: SIM115
    file.write(bytes(2 * _CELL_BYTES * processes))
    file.flush()
    return file


class Turns:
    """The number of open connections of each web process, in memory that all of them share.

    Each process has two cells, which only it writes: its connections, and the time of its last beat in nanoseconds. The
    monotonic clock is the same in all processes.
    """

    def __init__(self, descriptor: int, *, own: int) -> None:
        """Take the place of process number `own`, also after an earlier process with that number."""
        cells = memoryview(mmap.mmap(descriptor, 0)).cast("q")
        self._counts, self._beats = cells[: len(cells) // 2], cells[len(cells) // 2 :]
        self._own = own
        self._counts[own] = self._beats[own] = 0

    @property
    def connections(self) -> int:
        """This process's open connections."""
        return self._counts[self._own]

    @connections.setter
    def connections(self, count: int) -> None:
        self._counts[self._own] = count

    def beat(self) -> None:
        """Take part for the next SILENT_SECONDS."""
        self._beats[self._own] = time.monotonic_ns()

    def leave(self) -> None:
        """Take part no longer."""
        self._beats[self._own] = 0

    def is_mine(self) -> bool:
        """Return whether each process that takes part has as many connections as this one, or more."""
        own, silent_before = self.connections, time.monotonic_ns() - int(SILENT_SECONDS * 1e9)
        others = zip(self._counts, self._beats, strict=True)
        return all(count >= own or beat < silent_before for count, beat in others)


class Acceptor:
    """Accepts the connections of `listener` when it is this process's turn.

    `protocol` makes a protocol, which counts its own end: `turns.connections -= 1`. `open_now` contains the open
    connections.
    """

    def __init__(
        self,
        listener: socket.socket,
        turns: Turns,
        protocol: Callable[[], asyncio.Protocol],
        open_now: Sized,
    ) -> None:
        """Begin to accept. Call it in the event loop."""
        self._listener = listener
        self._turns = turns
        self._protocol = protocol
        self._open_now = open_now
        self._loop = asyncio.get_running_loop()
        self._opening: set[asyncio.Task[None]] = set()
        self._pause: asyncio.TimerHandle | None = None
        listener.setblocking(False)
        self._begin()

    def close(self) -> None:
        """Accept no more connections; the other processes do."""
        self._turns.leave()
        self._loop.remove_reader(self._listener)
        for timer in (self._beating, self._pause):
            if timer is not None:
                timer.cancel()

    async def wait_closed(self) -> None:
        """Wait until the last accepted connections have their protocols."""
        if self._opening:
            await asyncio.wait(self._opening)

    def _begin(self) -> None:
        self._beat()
        self._watch()

    def _beat(self) -> None:
        # Corrects the number after an error that kept a protocol from counting. `_open_now` lacks those that open.
        if not self._opening:
            self._turns.connections = len(self._open_now)
        self._turns.beat()
        self._beating = self._loop.call_later(BEAT_SECONDS, self._beat)

    def _watch(self) -> None:
        self._loop.add_reader(self._listener, self._accept)

    def _stand_back(self) -> None:
        self._loop.remove_reader(self._listener)
        self._pause = self._loop.call_later(STAND_BACK_SECONDS, self._watch)

    def _accept(self) -> None:
        """Accept connections while it is this process's turn. The loop calls this again if there are more."""
        for _ in range(_MOST_AT_ONCE):
            if not self._turns.is_mine():
                self._stand_back()
                return
            try:
                connection, _address = self._listener.accept()
            except (
                BlockingIOError,
                ConnectionAbortedError,
            ):  # another process was faster; the client has gone
                return
            except OSError as error:
                logger.warning("No connection can be accepted for %.0f s: %s", _ERROR_SECONDS, error)
                self.close()
                self._pause = self._loop.call_later(_ERROR_SECONDS, self._begin)
                return
            self._turns.connections += 1
            task = self._loop.create_task(self._open(connection))
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    async def _open(self, connection: socket.socket) -> None:
        with suppress(OSError):  # the client has gone
            await self._loop.connect_accepted_socket(self._protocol, connection)
