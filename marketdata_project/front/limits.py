"""How much one process takes in at once: connections of one address, and bytes of bodies of all."""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network

from http_requests import addresses

MOST_PER_ADDRESS = 1000
# Of bodies whose senders are known, and of those that are small enough to be read before.
MOST_BODY_BYTES = 384 * 2**20
MOST_SMALL_BODY_BYTES = 32 * 2**20

Network = IPv4Network | IPv6Network


class ConnectionSlots:
    """ConnectionSlots for connections: `most` for each address, or each /64 of IPv6; those of `uncounted` networks have no end.

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


class BodyBudget:
    """Bytes of the bodies that are being received and worked on: `most` in all, for one holder a quarter of it.

    For an event loop's thread alone.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._share = most // 4
        self._of_holder: dict[str, int] = {}
        self.taken = 0

    def take(self, count: int, holders: Sequence[str]) -> bool:
        """Count so many bytes more, of each of the holders; False if that is too much for one of them or in all."""
        held = [self._of_holder.get(holder, 0) + count for holder in holders]
        if self.taken + count > self._most or any(each > self._share for each in held):
            return False
        self.taken += count
        self._of_holder.update(zip(holders, held, strict=True))
        return True

    def give_back(self, count: int, holders: Sequence[str]) -> None:
        """Count so many bytes less."""
        self.taken -= count
        for holder in holders:
            self._of_holder[holder] -= count
            if not self._of_holder[holder]:
                del self._of_holder[holder]


class ReservedBytes:
    """What one body takes of a budget, in the name of its holders."""

    def __init__(self, budget: BodyBudget, holders: Sequence[str]) -> None:
        self._budget = budget
        self._holders = holders
        self._count = 0

    def take(self, count: int) -> bool:
        """Whether the budget has so many bytes more."""
        is_taken = self._budget.take(count, self._holders)
        self._count += count if is_taken else 0
        return is_taken

    def release(self) -> None:
        """Give all of it back."""
        if self._count:
            self._budget.give_back(self._count, self._holders)
            self._count = 0


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
