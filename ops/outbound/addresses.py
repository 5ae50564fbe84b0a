"""Which URLs and addresses may be asked: by default HTTPS on public addresses."""

import re
import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

import httpx
from django.conf import settings

from ops.outbound.exceptions import DestinationRefused, DestinationUnavailable

# All public IPv6 addresses are global unicast (RFC 4291, 2.4). 6to4 addresses contain an IPv4 address (RFC 3056).
_GLOBAL_UNICAST = IPv6Network("2000::/3")
_6TO4 = IPv6Network("2002::/16")
# Addresses that `ipaddress` takes for public: relays of 6to4 (RFC 7526), and documentation (RFC 9637).
_NOT_PUBLIC = (IPv4Network("192.88.99.0/24"), IPv6Network("3fff::/20"))
_LARGEST_PORT = 65_535
# As it is sent: names of other alphabets are encoded. Names of containers may have underscores.
_HOST = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]+")


def parse_base_url(name: str, text: str, *, has_query: bool = False) -> httpx.URL:
    """Return the URL of the destination `name`. Raises `DestinationRefused`, which does not quote the URL.

    It may have no user, password, query or fragment: credentials belong into headers. has_query: it may have a query.
    """
    try:
        url = httpx.URL(text)
        # The host is decoded, and its labels are checked, only here.
        url.host.encode("idna")
        if url.host and not _HOST.fullmatch(url.raw_host.decode()):
            raise ValueError  # noqa: TRY301 malformed as others
        has_more = bool(url.userinfo or url.fragment or (url.query and not has_query))
    except (httpx.InvalidURL, ValueError):
        raise DestinationRefused(name, "the URL is malformed") from None
    if url.port is not None and not 0 < url.port <= _LARGEST_PORT:
        raise DestinationRefused(name, f"the URL's port is not from 1 to {_LARGEST_PORT:,}")
    if url.scheme not in {"http", "https"} or not url.host:
        raise DestinationRefused(name, "the URL is not https://HOST/… or http://HOST/…")
    if url.scheme not in settings.OUTBOUND_SCHEMES:
        raise DestinationRefused(name, f"OUTBOUND_SCHEMES does not allow {url.scheme}")
    if has_more:
        more = "a user or a fragment" if has_query else "a user, a query or a fragment"
        raise DestinationRefused(name, f"the URL has {more}; leave them out")
    return url


def check_numeric_host(name: str, url: httpx.URL) -> None:
    """Raise `DestinationRefused` if the host is a number that is not allowed. Names are not looked up."""
    host = url.host.removesuffix(".")
    try:
        address = str(ip_address(host))
    except ValueError:
        try:
            # Also 127.1, 2130706433 and 0x7f000001, which the operating system takes for numbers.
            address = socket.inet_ntoa(socket.inet_aton(host))
        except OSError:
            return
    if not is_allowed(address):
        raise _not_allowed(name)


def allowed_addresses(name: str, host: str, port: int) -> Sequence[str]:
    """Resolve `host` and return its addresses, as numbers. Raises `DestinationRefused`, `DestinationUnavailable`.

    One address that is not allowed refuses the host: such answers are what a rebinding attack looks like.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise DestinationUnavailable(
            name, f"the host's name cannot be resolved ({type(error).__name__})"
        ) from None
    addresses = list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))
    if not all(map(is_allowed, addresses)):
        raise _not_allowed(name)
    return addresses


def _not_allowed(name: str) -> DestinationRefused:
    # Without the address: whoever chose the name would learn how this network resolves it.
    return DestinationRefused(name, "the host's address is not public, nor in OUTBOUND_NETWORKS")


def is_allowed(text: str) -> bool:
    """Return whether an address is public, or in a network of `OUTBOUND_NETWORKS`."""
    address = ip_address(text.partition("%")[0])  # a link-local address names its interface after "%"
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return _is_public(address) or any(address in network for network in settings.OUTBOUND_NETWORKS)


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    if any(address in network for network in _NOT_PUBLIC):
        return False
    if isinstance(address, IPv6Address):
        return address in _GLOBAL_UNICAST and address not in _6TO4 and address.is_global
    return address.is_global and not (address.is_multicast or address.is_reserved)
