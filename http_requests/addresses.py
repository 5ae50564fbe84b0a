"""The client of an IP address, for rate limits: an IPv4 address or an IPv6 /64. IPv4-mapped IPv6 counts as IPv4."""

from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# Prefix length in bits. IPv6 providers give each customer at least a network of this size.
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
    """Return the identity to which an address's token buckets belong: the result of `client_of`.

    A text that is not an IP address (unix sockets have none) is returned itself, cut to 64 characters.
    """
    try:
        return client_of(parse(text))
    except ValueError:
        return text[:_MAX_TEXT_LENGTH]
