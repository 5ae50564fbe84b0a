"""Takes the client's address, scheme and certificate from a proxy's headers, if the proxy is in TRUSTED_PROXIES.

This is done once, when a request arrives. Later code may trust `REMOTE_ADDR`, `wsgi.url_scheme`, X-Forwarded-Proto
and the X-SSL-Client headers.
"""

import re
from collections.abc import MutableMapping, Sequence
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.core.signals import setting_changed

from web.requests import addresses
from web.requests.addresses import Address, Network
from web.requests.wsgi_variables import IS_FORWARDED

# The longest chain of proxies. Entries of X-Forwarded-For beyond it are ignored.
MOST_HOPS = 10
FORWARDED_FOR = "HTTP_X_FORWARDED_FOR"
FORWARDED_PROTO = "HTTP_X_FORWARDED_PROTO"
CLIENT_VERIFY = "HTTP_X_SSL_CLIENT_VERIFY"
CLIENT_CERT = "HTTP_X_SSL_CLIENT_CERT"
_MAPPED = "::ffff:"
# Traefik names the scheme of a WebSocket.
_SCHEMES = {"http": "http", "https": "https", "ws": "http", "wss": "https"}
_LONGEST_ENTRY = 64
# Forms of an entry: [2001:db8::1], [2001:db8::1]:443, 192.0.2.1:443, or only an address.
_ENTRY = re.compile(
    r"\[(?P<bracketed>[0-9A-Fa-f:.]+)\](?::[0-9]{1,5})?|(?P<v4>[0-9.]+):[0-9]{1,5}|(?P<bare>[0-9A-Fa-f:.]+)",
    re.ASCII,
)


@lru_cache(maxsize=1024)
def is_trusted(peer: str) -> bool:
    """Return whether a peer is a trusted proxy."""
    trusted: tuple[Network, ...] = settings.TRUSTED_PROXIES
    return bool(trusted) and _is_trusted(peer, trusted)


def address_of(proxy: str, forwarded: str) -> str:
    """Return the address of the client of a trusted proxy that sent this X-Forwarded-For."""
    return client_address(proxy, forwarded, settings.TRUSTED_PROXIES)


def unmapped(peer: str) -> str:
    """Return a peer's address; without its prefix ::ffff: if it is an IPv4 address within IPv6."""
    return str(parsed_address(peer) or peer) if peer.startswith(_MAPPED) else peer


def trusted_environ(environ: MutableMapping[str, Any]) -> None:
    """Set a WSGI environ's address and scheme to the client's, in place. Call it once per request.

    If the peer is a trusted proxy, X-Forwarded-For sets REMOTE_ADDR, and with BEHIND_TLS_PROXY X-Forwarded-Proto
    sets `wsgi.url_scheme`. Otherwise X-Forwarded-Proto and the X-SSL-Client headers are removed. X-Forwarded-For
    is always removed; IS_FORWARDED says whether there was one. If REMOTE_ADDR is an IPv4 address within IPv6, its prefix ::ffff: is removed.
    """
    environ[IS_FORWARDED] = FORWARDED_FOR in environ
    forwarded = environ.pop(FORWARDED_FOR, "")
    peer = environ.get("REMOTE_ADDR", "")
    if is_trusted(peer):
        _set_address(environ, address_of(peer, forwarded))
        _set_scheme(environ)
        return
    for name in (FORWARDED_PROTO, CLIENT_VERIFY, CLIENT_CERT):
        environ.pop(name, None)
    if "REMOTE_ADDR" in environ:
        environ["REMOTE_ADDR"] = unmapped(peer)


def client_address(peer: str, forwarded: str, trusted: Sequence[Network]) -> str:
    """Return the client's address: the right-most entry of X-Forwarded-For that is not a trusted proxy's.

    `forwarded` is X-Forwarded-For, several headers joined by commas. Each proxy appends the address of its own client.
    So entries are read from the right: at most MOST_HOPS, and none beyond the first that is not an address.
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
    """Parse an IP address with or without brackets and port; None for any other text. IPv4 within IPv6 becomes IPv4."""
    entry = entry.strip(" \t")
    match = _ENTRY.fullmatch(entry) if len(entry) <= _LONGEST_ENTRY else None
    if match is None:
        return None
    try:
        address = addresses.parse(match["bracketed"] or match["v4"] or match["bare"])
    except ValueError:
        return None
    is_bracketed_v4 = match["bracketed"] is not None and ":" not in match["bracketed"]
    return None if is_bracketed_v4 else address


def _lies_in(address: Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)


@lru_cache(maxsize=1024)
def _is_trusted(peer: str, trusted: tuple[Network, ...]) -> bool:
    address = parsed_address(peer)
    return address is not None and _lies_in(address, trusted)


def _set_address(environ: MutableMapping[str, Any], address: str) -> None:
    if address != environ["REMOTE_ADDR"]:
        environ["REMOTE_ADDR"] = address
        # The port is the proxy's, not the client's.
        environ.pop("REMOTE_PORT", None)


def _set_scheme(environ: MutableMapping[str, Any]) -> None:
    """Set the scheme from the last entry of X-Forwarded-Proto, which the trusted proxy wrote, if it is valid."""
    last = str(environ.pop(FORWARDED_PROTO, "")).rpartition(",")[2].strip().lower()
    scheme = _SCHEMES.get(last)
    if scheme is None:
        return
    environ[FORWARDED_PROTO] = scheme
    if settings.BEHIND_TLS_PROXY:
        environ["wsgi.url_scheme"] = scheme


# Only tests change settings.
setting_changed.connect(lambda **_: is_trusted.cache_clear(), weak=False, dispatch_uid=__name__)
