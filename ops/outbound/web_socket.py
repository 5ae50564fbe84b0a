"""WebSockets of other hosts, at checked addresses."""

import asyncio
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect

from ops.outbound.network import checked_socket, tls_context

__all__ = ["CONNECT_SECONDS", "ClientConnection", "checked_connect"]

CONNECT_SECONDS = 10.0
_PING_SECONDS = 20.0
_MESSAGE_BYTES = 2**24


async def checked_connect(name: str, url: str) -> connect:
    """Return a connection, to be entered by `async with`. url: wss:// or ws://, from the settings.

    It ends if a ping is not answered within 20 seconds. Raises `DestinationRefused`, `DestinationUnavailable`; entering
    raises OSError and the errors of websockets.
    """
    parts = urlsplit(url)
    is_safe = parts.scheme == "wss"
    port = parts.port or (443 if is_safe else 80)
    raw = await asyncio.to_thread(checked_socket, name, parts.hostname or "", port, CONNECT_SECONDS)
    return connect(
        url,
        sock=raw,
        ssl=tls_context() if is_safe else None,
        proxy=None,
        compression=None,
        max_size=_MESSAGE_BYTES,
        open_timeout=CONNECT_SECONDS,
        ping_interval=_PING_SECONDS,
        ping_timeout=_PING_SECONDS,
    )
