"""How both clients connect by httpx and websockets: no redirects, no cookies, bounded messages, errors of the client."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection as AsyncConnection
from websockets.asyncio.client import connect as async_connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.sync.client import ClientConnection, reconnect

from marketdata_client.config import ClientConfig
from marketdata_client.errors import BadAnswer, Unreachable, refusal_of

_MESSAGE_BYTES = 16 * 2**20


def http_options(config: ClientConfig) -> dict[str, Any]:
    """Return what both kinds of httpx's clients are made with."""
    return {
        "timeout": config.timeout,
        "verify": True if config.ssl_context is None else config.ssl_context,
        "follow_redirects": False,
        "cookies": CookieJar(policy=DefaultCookiePolicy(allowed_domains=[])),
        "trust_env": config.trust_env,
    }


@contextmanager
def http_errors() -> Iterator[None]:
    """Raise httpx's errors as those of the client."""
    try:
        yield
    except httpx.TransportError as error:
        raise Unreachable(f"{type(error).__name__}: {error}") from error
    except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL) as error:
        raise BadAnswer(f"{type(error).__name__}: {error}") from error


def check_status(status: int, headers: Mapping[str, str], body: bytes) -> None:
    """Raise `Refused`, or `BadAnswer` for a redirect, unless a status is of success."""
    if status >= 400:
        raise refusal_of(status, headers, body)
    if not 200 <= status < 300:
        raise BadAnswer(f"the answer has the status {status}; redirects are not followed")


def websocket_options(config: ClientConfig, path: str) -> dict[str, Any]:
    """Return what both kinds of WebSockets are made with. A proxy is never asked."""
    uri, headers = config.websocket(path)
    options: dict[str, Any] = {
        "uri": uri,
        "additional_headers": headers,
        "open_timeout": config.timeout,
        "close_timeout": 1.0,
        "max_size": _MESSAGE_BYTES,
        "proxy": None,
        "compression": None,
    }
    if uri.startswith("wss:") and config.ssl_context is not None:
        options["ssl"] = config.ssl_context
    return options


class AsyncDirect(async_connect):
    """Opens a WebSocket. Follows no redirect, which would take the credential elsewhere."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


class Direct(reconnect):
    """As `AsyncDirect`."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


async def async_receive(socket: AsyncConnection, seconds: float) -> str | bytes:
    """Return the next message. Raises TimeoutError after so many seconds without one."""
    return await asyncio.wait_for(socket.recv(), seconds)


def receive(socket: ClientConnection, seconds: float) -> str | bytes:
    """As `async_receive`."""
    return socket.recv(timeout=seconds)


@contextmanager
def websocket_errors() -> Iterator[None]:
    """Raise what goes wrong with a WebSocket as an error of the client."""
    try:
        yield
    except InvalidStatus as error:
        response = error.response
        headers = {name.lower(): value for name, value in response.headers.raw_items()}
        if response.status_code < 400:
            text = f"the live feed answered {response.status_code}; redirects are not followed"
            raise BadAnswer(text) from error
        raise refusal_of(response.status_code, headers, bytes(response.body or b"")) from error
    except ConnectionClosed as error:
        code = error.rcvd.code if error.rcvd is not None else None
        raise Unreachable("the live feed was closed", close_code=code) from error
    except (WebSocketException, OSError, TimeoutError) as error:
        raise Unreachable(f"{type(error).__name__}: {error}") from error
