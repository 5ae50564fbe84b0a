"""IP addresses as limits count them: an IPv4-mapped IPv6 address as IPv4, another IPv6 address as its /64."""

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address

# IPv6 providers give each customer at least a network of this size.
CLIENT_BITS = 64
_LONGEST_SHOWN = 64


def parse(text: str) -> Address:
    """Parse an address without brackets and port; an IPv4-mapped one becomes IPv4. Raises ValueError."""
    address = ip_address(text)
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def client_of(address: Address) -> str:
    """An IPv4 address as itself, an IPv6 address as its /64."""
    if isinstance(address, IPv4Address):
        return str(address)
    return str(IPv6Network((int(address), CLIENT_BITS), strict=False))


@lru_cache(maxsize=4096)
def identity_of(text: str) -> str:
    """The identity that an address's buckets have.

    For a text that is no address (a unix socket has none) it is the text, cut to 64 characters.
    """
    try:
        return client_of(parse(text))
    except ValueError:
        return text[:_LONGEST_SHOWN]
