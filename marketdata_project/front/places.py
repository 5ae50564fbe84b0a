"""How much one process takes in at once: connections of one address, and bytes of bodies of all."""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network

from http_requests import addresses

MOST_PER_ADDRESS = 1000
MOST_BODY_BYTES = 512 * 2**20

Network = IPv4Network | IPv6Network


class Places:
    """Places for connections: `most` for each address, or each /64 of IPv6; those of `uncounted` networks have no end.

    For an event loop's thread alone.
    """

    def __init__(self, most: int = MOST_PER_ADDRESS, *, uncounted: Sequence[Network] = ()) -> None:
        self._most = most
        self._uncounted = tuple(uncounted)
        self._taken: dict[str, int] = {}

    def take(self, address: str) -> bool:
        """Whether a connection of that address has a place; it gives it back in the end."""
        client = client_of(address, self._uncounted)
        if not client:
            return True
        taken = self._taken.get(client, 0)
        if taken >= self._most:
            return False
        self._taken[client] = taken + 1
        return True

    def give_back(self, address: str) -> None:
        """Have one place less taken."""
        client = client_of(address, self._uncounted)
        left = self._taken.get(client, 0) - 1
        if left > 0:
            self._taken[client] = left
        else:
            self._taken.pop(client, None)

    def taken(self) -> dict[str, int]:
        """How many each client has now."""
        return dict(self._taken)


class Room:
    """Room for the bodies that are being received and worked on, in bytes.

    For an event loop's thread alone.
    """

    def __init__(self, most: int = MOST_BODY_BYTES) -> None:
        self._most = most
        self.taken = 0

    def take(self, count: int) -> bool:
        """Whether there is room for so many bytes more; they are given back in the end."""
        if self.taken + count > self._most:
            return False
        self.taken += count
        return True

    def give_back(self, count: int) -> None:
        """Have so many bytes less taken."""
        self.taken -= count


@lru_cache(maxsize=1024)
def client_of(address: str, uncounted: tuple[Network, ...]) -> str:
    """Whom an address is counted as; "" for one that is not counted, such as a unix socket's."""
    try:
        found = addresses.parse(address)
    except ValueError:
        return ""
    if any(found in network for network in uncounted):
        return ""
    return addresses.client_of(found)
