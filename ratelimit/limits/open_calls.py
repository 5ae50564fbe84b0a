"""Limits of calls that stay open, streams and connections of the live feed: how many, and how fast they do their work."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from ratelimit.limits.token_bucket import BucketState


class OpenCalls:
    """The open calls of this process: at most `most` of each caller. Thread-safe."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._open: dict[str, int] = {}
        self._lock = threading.Lock()

    def opened(self, identity: str) -> Callable[[], None] | None:
        """Count a call of a caller. Return a function to call at its end, once or more; None if it has too many."""
        with self._lock:
            count = self._open.get(identity, 0)
            if count >= self._most:
                return None
            self._open[identity] = count + 1
        ended = False

        def end() -> None:
            nonlocal ended
            with self._lock:
                if ended:
                    return
                ended = True
                self._open[identity] -= 1
                if not self._open[identity]:
                    del self._open[identity]

        return end


class PieceTurn:
    """A caller's turn to do a piece of work. It lasts until what was charged for the piece is paid."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.users = 0
        self.debt_seconds = 0.0

    def charged(self, bucket: BucketState | None) -> None:
        """Note the bucket after a charge for the piece; None: nothing was charged."""
        self.debt_seconds = 0.0 if bucket is None else bucket.debt_us / 1e6


class StreamPacing:
    """Lets a caller do one piece of work of a bucket at a time, and none while the bucket owes tokens.

    The pieces are parts of open calls, which are charged when they are done. For an event loop's thread.
    """

    def __init__(self) -> None:
        self._turns: dict[tuple[str, str], PieceTurn] = {}

    @asynccontextmanager
    async def turn(self, identity: str, bucket: str) -> AsyncIterator[PieceTurn]:
        """Wait for the turn of a caller's piece of work; tell the turn what was charged for it. bucket: its name."""
        key = identity, bucket
        turn = self._turns.setdefault(key, PieceTurn())
        turn.users += 1
        try:
            await turn.lock.acquire()
        except BaseException:
            self._left(key, turn)
            raise
        turn.debt_seconds = 0.0
        try:
            yield turn
        finally:
            asyncio.get_running_loop().call_later(turn.debt_seconds, self._end, key, turn)

    def _end(self, key: tuple[str, str], turn: PieceTurn) -> None:
        turn.lock.release()
        self._left(key, turn)

    def _left(self, key: tuple[str, str], turn: PieceTurn) -> None:
        turn.users -= 1
        if not turn.users:
            del self._turns[key]
