"""Limits of one process: open connections per client address, bytes of bodies in memory, and memory for decoding."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from trades.children import MEMORY_BYTES, MEMORY_FACTOR
from trades.decoder import LARGE_BYTES
from web.requests import addresses
from web.requests.addresses import Network

MOST_PER_ADDRESS = 1000
# The most bytes in memory of bodies that may be over SMALL_BODY_BYTES. The caller is authenticated before they are read.
MOST_BODY_BYTES = 384 * 2**20
# The most bytes of a signed body that is written to a file: it is in memory before.
MOST_SIGNED_BYTES = 32 * 2**20
# The most bytes in memory of other bodies. They are read before the caller is authenticated.
MOST_SMALL_BODY_BYTES = 32 * 2**20
# The most bytes in memory of requests that wait, unparsed, behind others of their connections.
MOST_HELD_BYTES = 64 * 2**20
# The most memory of bodies over SMALL_BODY_BYTES that are being decoded, by what each may take.
MOST_DECODING_BYTES = 384 * 2**20
# The most bodies over LARGE_BYTES that are being decoded: each in a process of its own.
MOST_DECODERS = 2
DECODING_WAIT_SECONDS = 10.0


class ConnectionSlots:
    """Slots for `most` connections per IPv4 address or IPv6 /64. Addresses in `uncounted` networks are not limited.

    Not thread safe: for an event loop's thread.
    """

    def __init__(self, most: int = MOST_PER_ADDRESS, *, uncounted: Sequence[Network] = ()) -> None:
        self._most = most
        self._uncounted = tuple(uncounted)
        self._taken: dict[str, int] = {}

    def take(self, address: str) -> bool:
        """Take a slot for a connection of `address`; return False if all its slots are in use."""
        client = client_of(address, self._uncounted)
        if not client:
            return True
        count = self._taken.get(client, 0)
        if count >= self._most:
            return False
        self._taken[client] = count + 1
        return True

    def give_back(self, address: str) -> None:
        """Release a slot that `take` gave."""
        client = client_of(address, self._uncounted)
        remaining = self._taken.get(client, 0) - 1
        if remaining > 0:
            self._taken[client] = remaining
        else:
            self._taken.pop(client, None)

    def taken(self) -> dict[str, int]:
        """Return the number of slots in use, by client."""
        return dict(self._taken)


class BodyBudget:
    """The number of bytes of bodies in memory: at most `most` in all, and at most a quarter of that for each holder.

    A holder is a caller or an address. Not thread safe: for an event loop's thread.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._share = most // 4
        self._of_holder: dict[str, int] = {}
        self.taken = 0

    def take(self, count: int, holders: Sequence[str]) -> bool:
        """Add `count` bytes for each of the holders. If that would exceed a limit, add nothing and return False."""
        totals = [self._of_holder.get(holder, 0) + count for holder in holders]
        if self.taken + count > self._most or any(total > self._share for total in totals):
            return False
        self.taken += count
        self._of_holder.update(zip(holders, totals, strict=True))
        return True

    def give_back(self, count: int, holders: Sequence[str]) -> None:
        """Subtract `count` bytes for each of the holders."""
        self.taken -= count
        for holder in holders:
            self._of_holder[holder] -= count
            if not self._of_holder[holder]:
                del self._of_holder[holder]


class ReservedBytes:
    """The bytes of a budget that one body uses, counted for its holders."""

    def __init__(self, budget: BodyBudget, holders: Sequence[str]) -> None:
        self._budget = budget
        self._holders = holders
        self._count = 0

    def take(self, count: int) -> bool:
        """Add `count` bytes; return False if the budget refuses them."""
        is_taken = self._budget.take(count, self._holders)
        self._count += count if is_taken else 0
        return is_taken

    def release(self) -> None:
        """Give all bytes back."""
        if self._count:
            self._budget.give_back(self._count, self._holders)
            self._count = 0


class DecodingMemory:
    """The memory in which bodies are decoded: at most `most` bytes, one body of a caller at a time, few large ones.

    A body that does not fit waits. Those that wait are admitted in their order, except that one that fits passes
    others that do not. Not thread safe: for an event loop's thread.
    """

    def __init__(
        self, most: int = MOST_DECODING_BYTES, *, wait_seconds: float = DECODING_WAIT_SECONDS
    ) -> None:
        self._most = most
        self._wait_seconds = wait_seconds
        self._admitted: list[DecodingPlace] = []
        self._waiting: list[DecodingPlace] = []

    async def place(self, length: int, caller: str) -> "DecodingPlace":
        """Return a place for a body of so many bytes. Raises TimeoutError if there is none in time."""
        size = min(MEMORY_FACTOR * length + MEMORY_BYTES, self._most)
        admitted = asyncio.get_running_loop().create_future()
        place = DecodingPlace(self, size, caller, length > LARGE_BYTES, admitted)
        self._waiting.append(place)
        self._admit()
        try:
            async with asyncio.timeout(self._wait_seconds):
                await admitted
        except BaseException:
            place.release()
            raise
        return place

    def shrink(self, place: "DecodingPlace", size: int) -> None:
        """Keep only so many bytes of a place, for a body that is decoded. Another body of its caller may be decoded."""
        place.size = min(place.size, size)
        place.caller, place.is_large = None, False
        self._admit()

    def release(self, place: "DecodingPlace") -> None:
        """Free a place, or give up waiting for it."""
        for places in (self._admitted, self._waiting):
            if place in places:
                places.remove(place)
        self._admit()

    def _admit(self) -> None:
        for place in list(self._waiting):
            if self._fits(place):
                self._waiting.remove(place)
                self._admitted.append(place)
                if not place.admitted.done():
                    place.admitted.set_result(None)

    def _fits(self, place: "DecodingPlace") -> bool:
        large = sum(each.is_large for each in self._admitted)
        return (
            sum(each.size for each in self._admitted) + place.size <= self._most
            and all(each.caller != place.caller for each in self._admitted)
            and not (place.is_large and large >= MOST_DECODERS)
        )


@dataclass(eq=False, slots=True)
class DecodingPlace:
    """A body's place in the memory for decoding. caller: None once it is decoded. admitted: done once it has the memory."""

    memory: DecodingMemory
    size: int
    caller: str | None
    is_large: bool
    admitted: asyncio.Future[None]

    def shrink(self, size: int) -> None:
        """Keep only so many bytes of it, once the body is decoded."""
        self.memory.shrink(self, size)

    def release(self) -> None:
        """Free it. A second call does nothing."""
        self.memory.release(self)


@lru_cache(maxsize=1024)
def client_of(address: str, uncounted: tuple[Network, ...]) -> str:
    """Return the client (IPv4 address or IPv6 /64) that an address counts for; "" if it is not counted."""
    try:
        parsed = addresses.parse(address)
    except ValueError:
        return ""
    if any(parsed in network for network in uncounted):
        return ""
    return addresses.client_of(parsed)
