"""IP addresses as they are compared and counted.

An IPv4 one within IPv6 is the IPv4 one, and of IPv6 a client has a whole /64.
"""

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address

# Of one customer an IPv6 provider makes a network of this size at least.
CLIENT_BITS = 64
_LONGEST_SHOWN = 64


def parse(text: str) -> Address:
    """The address that a text without brackets and port names, an IPv4-mapped one as IPv4.

    Raises ValueError.
    """
    address = ip_address(text)
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def client_of(address: Address) -> str:
    """Whom an address is counted as: an IPv4 one as itself, an IPv6 one as its /64."""
    if isinstance(address, IPv4Address):
        return str(address)
    return str(IPv6Network((int(address), CLIENT_BITS), strict=False))


@lru_cache(maxsize=4096)
def identity_of(text: str) -> str:
    """What buckets of an address are called, whatever stands there.

    Without an address, as over a unix socket, it is the text's beginning.
    """
    try:
        return client_of(parse(text))
    except ValueError:
        return text[:_LONGEST_SHOWN]
