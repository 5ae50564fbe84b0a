"""Connections to checked addresses, with one deadline for the whole call."""

import socket
import ssl
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

import httpcore
import httpx
from django.conf import settings

from ops.outbound.addresses import allowed_addresses
from ops.outbound.exceptions import DestinationUnavailable


class CheckedTransport(httpx.HTTPTransport):
    """A transport for one call, or for one after another. Each connection goes to an address that was checked after it was resolved.

    The `Host` header, the name in TLS and the certificate's check stay those of the URL.
    name: the destination's, for errors. deadline: in `time.monotonic`; after it reading and writing time out.
    """

    def __init__(self, name: str, deadline: float) -> None:
        network = _CheckedNetwork(name, deadline)
        self._network = network
        self._pool = httpcore.ConnectionPool(ssl_context=tls_context(), network_backend=network)

    def extend(self, deadline: float) -> None:
        """Begin another call, with a deadline of its own. It may use an open connection."""
        self._network.deadline.at = deadline


def checked_socket(name: str, host: str, port: int, seconds: float) -> socket.socket:
    """Return a connection to a checked address, for a protocol other than HTTP.

    Raises `DestinationRefused`, and `DestinationUnavailable` after so many seconds.
    """
    network = _CheckedNetwork(name, time.monotonic() + seconds)
    try:
        connected: socket.socket = network.connect_tcp(host, port).get_extra_info("socket")
    except (httpcore.NetworkError, httpcore.TimeoutException) as error:
        raise DestinationUnavailable(name, f"no answer ({type(error).__name__})") from None
    connected.setblocking(False)
    return connected


def tls_context() -> ssl.SSLContext:
    """Return the context of connections by TLS. It checks certificates."""
    return _tls(settings.OUTBOUND_CA_FILE)


@dataclass(slots=True)
class _Deadline:
    """When a call must end, in `time.monotonic`; all its connections have it."""

    at: float


class _CheckedNetwork(httpcore.NetworkBackend):
    """Resolves, checks and connects in one step, so that no second look-up can give another address."""

    def __init__(self, name: str, deadline: float) -> None:
        self._name = name
        self.deadline = _Deadline(deadline)
        self._sockets = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        error: Exception | None = None
        for address in allowed_addresses(self._name, host, port):
            within = _within(self.deadline, timeout, httpcore.ConnectTimeout)
            try:
                stream = self._sockets.connect_tcp(address, port, within, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as failure:
                error = failure
            else:
                return _DeadlineStream(stream, self.deadline)
        raise error or httpcore.ConnectError("the name has no address")


class _DeadlineStream(httpcore.NetworkStream):
    """A connection whose reads and writes end at a deadline, however slowly the bytes come."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: _Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _within(self._deadline, timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _within(self._deadline, timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        within = _within(self._deadline, timeout, httpcore.ConnectTimeout)
        return _DeadlineStream(self._stream.start_tls(ssl_context, server_hostname, within), self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _within(deadline: _Deadline, timeout: float | None, error: type[httpcore.TimeoutException]) -> float:
    """Return the seconds that one operation may take. Raises `error` after the deadline."""
    remaining = deadline.at - time.monotonic()
    if remaining <= 0:
        raise error("the call's total time is over")
    return remaining if timeout is None else min(timeout, remaining)


@cache
def _tls(ca_file: str) -> ssl.SSLContext:
    """Return the context of all connections. Loading the certificates takes 10 ms."""
    context = httpx.create_ssl_context(trust_env=False)
    if ca_file:
        context.load_verify_locations(ca_file)
    return context
