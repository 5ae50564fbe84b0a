"""Whose word counts about who calls: what proxies in front say is believed of those in TRUSTED_PROXIES only.

Done once, where a request comes in. Everybody behind reads `REMOTE_ADDR`, `wsgi.url_scheme`,
X-Forwarded-Proto and the X-SSL-Client headers, and may believe them.
"""

import re
from collections.abc import MutableMapping, Sequence
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network
from typing import Any

from django.conf import settings

from http_requests import addresses
from http_requests.addresses import Address

Network = IPv4Network | IPv6Network

# So many proxies in a row are believed; a longer list is somebody's invention.
MOST_HOPS = 10
FORWARDED_FOR = "HTTP_X_FORWARDED_FOR"
FORWARDED_PROTO = "HTTP_X_FORWARDED_PROTO"
CLIENT_VERIFY = "HTTP_X_SSL_CLIENT_VERIFY"
CLIENT_CERT = "HTTP_X_SSL_CLIENT_CERT"
_MAPPED = "::ffff:"
_SCHEMES = frozenset({"http", "https"})
_LONGEST_ENTRY = 64
# [2001:db8::1] or [2001:db8::1]:443, 192.0.2.1:443, or an address alone.
_ENTRY = re.compile(
    r"\[(?P<bracketed>[0-9A-Fa-f:.]+)\](?::[0-9]{1,5})?|(?P<v4>[0-9.]+):[0-9]{1,5}|(?P<bare>[0-9A-Fa-f:.]+)",
    re.ASCII,
)


def trusted_environ(environ: MutableMapping[str, Any]) -> None:
    """Make a WSGI environ believable, in place: to be called once, where the request comes in.

    From a trusted proxy REMOTE_ADDR becomes the client's, and `wsgi.url_scheme` the client's where
    BEHIND_TLS_PROXY says that the proxy tells it. From anybody else X-Forwarded-Proto and the X-SSL-Client
    headers vanish. X-Forwarded-For always does: what is to be believed of it is in REMOTE_ADDR, an IPv4
    address always as such.
    """
    forwarded = environ.pop(FORWARDED_FOR, "")
    trusted: tuple[Network, ...] = settings.TRUSTED_PROXIES
    peer = environ.get("REMOTE_ADDR", "")
    if trusted and _is_trusted(peer, trusted):
        _settle_address(environ, client_address(peer, forwarded, trusted))
        _settle_scheme(environ)
        return
    for name in (FORWARDED_PROTO, CLIENT_VERIFY, CLIENT_CERT):
        environ.pop(name, None)
    if peer.startswith(_MAPPED):
        environ["REMOTE_ADDR"] = str(parsed_address(peer) or peer)


def client_address(peer: str, forwarded: str, trusted: Sequence[Network]) -> str:
    """The address of whoever sent a request to the first proxy that is not trusted to lie about it.

    `forwarded` is X-Forwarded-For, several of them joined by commas. From the right, each entry was written
    by the one before: the walk ends at the first that is not of a trusted proxy, at the last of MOST_HOPS, or
    before what is no address.
    """
    address = parsed_address(peer)
    if address is None or not _lies_in(address, trusted):
        return peer
    for entry in reversed(forwarded.rsplit(",", MOST_HOPS)[-MOST_HOPS:]):
        previous = parsed_address(entry)
        if previous is None:
            break
        address = previous
        if not _lies_in(address, trusted):
            break
    return str(address)


def parsed_address(entry: str) -> Address | None:
    """An IP address with or without brackets and port; None for anything else.

    An IPv4 one within IPv6 is the IPv4 one.
    """
    entry = entry.strip(" \t")
    found = _ENTRY.fullmatch(entry) if len(entry) <= _LONGEST_ENTRY else None
    if found is None:
        return None
    try:
        address = addresses.parse(found["bracketed"] or found["v4"] or found["bare"])
    except ValueError:
        return None
    is_bracketed_v4 = found["bracketed"] is not None and ":" not in found["bracketed"]
    return None if is_bracketed_v4 else address


def _lies_in(address: Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)


@lru_cache(maxsize=1024)
def _is_trusted(peer: str, trusted: tuple[Network, ...]) -> bool:
    address = parsed_address(peer)
    return address is not None and _lies_in(address, trusted)


def _settle_address(environ: MutableMapping[str, Any], address: str) -> None:
    if address != environ["REMOTE_ADDR"]:
        environ["REMOTE_ADDR"] = address
        # It was the proxy's port.
        environ.pop("REMOTE_PORT", None)


def _settle_scheme(environ: MutableMapping[str, Any]) -> None:
    """Leave of X-Forwarded-Proto what the trusted proxy itself wrote: the last word, if it is a scheme."""
    scheme = str(environ.pop(FORWARDED_PROTO, "")).rpartition(",")[2].strip().lower()
    if scheme not in _SCHEMES:
        return
    environ[FORWARDED_PROTO] = scheme
    if settings.BEHIND_TLS_PROXY:
        environ["wsgi.url_scheme"] = scheme
