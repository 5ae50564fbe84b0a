"""A socket whose client takes nothing, or all at once; it keeps what was written."""

import asyncio
from typing import Any

import orjson


class HeldSocket:
    """A `stats.live.sockets.Socket`. While it is held, nothing of what is written is taken."""

    def __init__(self, *, is_held: bool = False) -> None:
        self.is_held = is_held
        self.heard_at = asyncio.get_running_loop().time()
        self.frames: list[bytes] = []
        self.closed: tuple[int, str] | None = None
        self.pings = 0
        self._taken = asyncio.Event()
        self._unsent = 0

    @property
    def unsent_bytes(self) -> int:
        return self._unsent

    @property
    def messages(self) -> list[Any]:
        """What was written, decoded. All frames are texts."""
        return [orjson.loads(_payload(frame)) for frame in self.frames]

    def write(self, frame: bytes) -> bool:
        self.frames.append(frame)
        self._unsent += len(frame) if self.is_held else 0
        return True

    def ping(self) -> None:
        self.pings += 1

    async def drained(self) -> None:
        while self._unsent:
            self._taken.clear()
            await self._taken.wait()

    def take_all(self) -> None:
        """Let the client take all that is unsent, and all that comes."""
        self.is_held, self._unsent = False, 0
        self._taken.set()

    def close(self, code: int, reason: str) -> None:
        self.closed = code, reason


def _payload(frame: bytes) -> bytes:
    length = frame[1]
    return frame[{126: 4, 127: 10}.get(length, 2) :]
