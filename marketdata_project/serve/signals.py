"""Signals as something to wait for."""

import signal
import socket
from collections.abc import Iterable
from contextlib import suppress
from select import select
from types import FrameType, TracebackType
from typing import Self


class SignalInbox:
    """While it is entered, `signals` no longer interrupt anything: they are received here, one after the other.

    For the main thread only.
    """

    def __init__(self, signals: Iterable[signal.Signals]) -> None:
        self._signals = tuple(signals)
        self._previous: list[tuple[signal.Signals, signal._HANDLER]] = []

    def __enter__(self) -> Self:
        self._receiver, self._sender = socket.socketpair()
        self._receiver.setblocking(False)
        self._sender.setblocking(False)
        self._previous_fd = signal.set_wakeup_fd(self._sender.fileno(), warn_on_full_buffer=False)
        self._previous = [(number, signal.signal(number, _nothing)) for number in self._signals]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._previous:
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._previous_fd)
        self._receiver.close()
        self._sender.close()

    def wait(self, seconds: float) -> frozenset[int]:
        """Return the signals that have arrived, empty if none does within `seconds`."""
        select([self._receiver], [], [], max(seconds, 0))
        with suppress(BlockingIOError):
            return frozenset(self._receiver.recv(4096))
        return frozenset()


def _nothing(_signal: int, _frame: FrameType | None) -> None:
    """Do nothing: the wake-up descriptor tells."""
