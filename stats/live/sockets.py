"""The socket of a client, as the live feed uses it. The front provides it in the `extensions` of its ASGI scope."""

from typing import Protocol

# The key of the `Socket`.
SOCKET = "marketdata.socket"
# The key of the WSGI environ of the request that opened the socket: with the client's address and scheme, as trusted
# proxies name them, and an accepted HTTP_X_CORRELATION_ID.
ENVIRON = "marketdata.environ"


class Socket(Protocol):
    """Writes frames that are ready for the wire. For the event loop's thread."""

    @property
    def unsent_bytes(self) -> int:
        """The number of bytes that the client has not taken yet."""
        ...

    @property
    def heard_at(self) -> float:
        """When the client last sent anything, also a pong of the protocol; by the event loop's clock, in seconds."""
        ...

    def write(self, frame: bytes) -> bool:
        """Write one whole frame (see `text_frame`) at once, whatever is unsent. Return False if the socket is closing."""
        ...

    def ping(self) -> None:
        """Send a ping of the protocol, which every client's library answers."""
        ...

    async def drained(self) -> None:
        """Wait until little is unsent, or the connection has ended. It ends 20 seconds after `close` at the latest."""
        ...

    def close(self, code: int, reason: str) -> None:
        """Send a close frame. The connection is aborted once the client takes nothing for two seconds."""
        ...


_FINAL_TEXT, _FINAL_BINARY = 0x81, 0x82
_LENGTH_IN_2_BYTES, _LENGTH_IN_8_BYTES = 126, 127


def text_frame(payload: bytes) -> bytes:
    """Return an unmasked text frame (RFC 6455, 5.2). payload: UTF-8."""
    return _head(_FINAL_TEXT, len(payload)) + payload


def binary_frame(payload: bytes) -> bytes:
    """Return an unmasked binary frame (RFC 6455, 5.2)."""
    return _head(_FINAL_BINARY, len(payload)) + payload


def _head(first: int, length: int) -> bytes:
    if length < _LENGTH_IN_2_BYTES:
        return bytes((first, length))
    if length < 1 << 16:
        return bytes((first, _LENGTH_IN_2_BYTES)) + length.to_bytes(2, "big")
    return bytes((first, _LENGTH_IN_8_BYTES)) + length.to_bytes(8, "big")
