"""WebSockets of both kinds: no redirects, no proxies, bounded messages."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection as AsyncConnection
from websockets.asyncio.client import connect as async_connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.sync.client import ClientConnection, reconnect

from marketdata_client.errors import BadAnswer, Unreachable, refusal_of
from marketdata_client.site import Site
from marketdata_client.steps import Request

_MESSAGE_BYTES = 16 * 2**20


class Socket:
    """A WebSocket for threads. At most one is open at a time."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._opened = ExitStack()
        self._socket: ClientConnection | None = None

    def connect(self, request: Request) -> None:
        """Open it. Raises `Unreachable`, `Refused`, and `BadAnswer` for a redirect."""
        self.close()
        with _asked():
            opening = _DirectForThreads(request.url, **_options(self._site, request))
            self._socket = self._opened.enter_context(opening)

    def say(self, text: str) -> None:
        """Send a text. Raises `Unreachable`."""
        assert self._socket is not None  # noqa: S101 a flow connects before it speaks
        with _asked():
            self._socket.send(text)

    def hear(self, seconds: float) -> str:
        """Return the next text. Raises `Unreachable`, also after so many seconds without one."""
        assert self._socket is not None  # noqa: S101 as above
        with _asked():
            return _checked(self._socket.recv(timeout=seconds))

    def close(self) -> None:
        """Close it, if it is open."""
        self._opened.close()
        self._socket = None


class AsyncSocket:
    """A WebSocket for asyncio, as `Socket` is for threads."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._socket: AsyncConnection | None = None

    async def connect(self, request: Request) -> None:
        """Open it. Raises `Unreachable`, `Refused`, and `BadAnswer` for a redirect."""
        await self.close()
        with _asked():
            self._socket = await _Direct(request.url, **_options(self._site, request))

    async def say(self, text: str) -> None:
        """Send a text. Raises `Unreachable`."""
        assert self._socket is not None  # noqa: S101 a flow connects before it speaks
        with _asked():
            await self._socket.send(text)

    async def hear(self, seconds: float) -> str:
        """Return the next text. Raises `Unreachable`, also after so many seconds without one."""
        assert self._socket is not None  # noqa: S101 as above
        with _asked():
            return _checked(await asyncio.wait_for(self._socket.recv(), seconds))

    async def close(self) -> None:
        """Close it, if it is open."""
        if self._socket is not None:
            await self._socket.close()
            self._socket = None


class _DirectForThreads(reconnect):
    """Follows no redirect, which would take the credential elsewhere."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


class _Direct(async_connect):
    """As `_DirectForThreads`."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


def _options(site: Site, request: Request) -> dict[str, Any]:
    options: dict[str, Any] = {
        "additional_headers": dict(request.headers),
        "open_timeout": site.timeout,
        "close_timeout": 1.0,
        "max_size": _MESSAGE_BYTES,
        "proxy": None,
        "compression": None,
    }
    if request.url.startswith("wss:") and site.ssl_context is not None:
        options["ssl"] = site.ssl_context
    return options


def _checked(message: str | bytes) -> str:
    if isinstance(message, bytes):
        raise BadAnswer("the live feed sent bytes, not a text")
    return message


@contextmanager
def _asked() -> Iterator[None]:
    """Raise what goes wrong with a WebSocket as an error of the client."""
    try:
        yield
    except InvalidStatus as error:
        response = error.response
        if response.status_code < 400:
            raise BadAnswer(
                f"the live feed answered {response.status_code}; redirects are not followed"
            ) from error
        headers = {name.lower(): value for name, value in response.headers.raw_items()}
        raise refusal_of(response.status_code, headers, bytes(response.body or b"")) from error
    except ConnectionClosed as error:
        code = error.rcvd.code if error.rcvd is not None else None
        raise Unreachable("the live feed was closed", close_code=code) from error
    except (WebSocketException, OSError, TimeoutError) as error:
        raise Unreachable(f"{type(error).__name__}: {error}") from error
