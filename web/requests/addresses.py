"""Maps an IP address to the client that rate limits count: an IPv4 address or an IPv6 /64 network.

An IPv4-mapped IPv6 address counts as IPv4.
"""

from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# The prefix length, in bits, of an IPv6 client's network. Providers give each customer a network at least this large.
CLIENT_BITS = 64
_MAX_TEXT_LENGTH = 64


def parse(text: str) -> Address:
    """Parse an address without brackets and port; an IPv4-mapped one becomes IPv4. Raises ValueError."""
    address = ip_address(text)
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def client_of(address: Address) -> str:
    """Return an IPv4 address unchanged, and the /64 network of an IPv6 address, as text."""
    if isinstance(address, IPv4Address):
        return str(address)
    return str(IPv6Network((int(address), CLIENT_BITS), strict=False))


@lru_cache(maxsize=4096)
def identity_of(text: str) -> str:
    """Return the identity that owns an address's token buckets: the result of `client_of`.

    A text that is not an IP address (unix sockets have none) is returned as it is, cut to 64 characters.
    """
    try:
        return client_of(parse(text))
    except ValueError:
        return text[:_MAX_TEXT_LENGTH]
