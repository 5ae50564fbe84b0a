"""POST to URLs that users chose: one attempt each, to a checked address, without redirects."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import httpx

from ops.outbound.addresses import check_numeric_host, parse_base_url
from ops.outbound.destination import Limits, checked_client, seconds_asked
from ops.outbound.exceptions import DestinationUnavailable
from ops.outbound.network import CheckedTransport

_BODY_BYTES = 1024
_CLOSED = (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError)
_LIMITS = Limits(connect=5, read=15, total=15, attempts=1)


@dataclass(frozen=True, slots=True)
class PostAnswer:
    """An answer of any status. body: its first KiB at most. retry_after: the seconds of `Retry-After`, or None."""

    status: int
    body: bytes
    retry_after: float | None


def check_target(name: str, url: str) -> None:
    """Raise `DestinationRefused` if no POST may go to a URL. A host's name is looked up when it is sent."""
    check_numeric_host(name, parse_base_url(name, url, has_query=True))


class Poster:
    """POSTs to one URL. While the context is entered, it keeps its connection. For one thread.

    name: for errors. A call takes at most `limits.total` seconds, however slowly the receiver answers.
    """

    def __init__(self, name: str, url: str, *, limits: Limits = _LIMITS) -> None:
        self._name, self._url = name, url
        self._limits = limits
        self._transport = CheckedTransport(name, time.monotonic())
        headers = {"Accept-Encoding": "identity"}
        self._client = checked_client(self._transport, headers, limits)
        self._is_kept = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        error_class: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._client.close()

    def post(self, body: bytes, headers: Mapping[str, str]) -> PostAnswer:
        """Send a POST once. Raises `DestinationRefused`, `DestinationUnavailable`.

        If the receiver closes a connection that was kept, the POST is sent again over a new one.
        """
        url = parse_base_url(self._name, self._url, has_query=True)
        self._transport.extend(time.monotonic() + self._limits.total)
        was_kept, self._is_kept = self._is_kept, True
        try:
            try:
                return self._attempt(url, body, headers)
            except _CLOSED:
                if not was_kept:
                    raise
                return self._attempt(url, body, headers)
        except httpx.HTTPError as error:
            # An error of the library may quote the URL or a header.
            raise DestinationUnavailable(self._name, f"no answer ({type(error).__name__})") from None

    def _attempt(self, url: httpx.URL, body: bytes, headers: Mapping[str, str]) -> PostAnswer:
        with self._client.stream("POST", url, content=body, headers=headers) as response:
            return PostAnswer(response.status_code, _beginning(response), seconds_asked(response))


def _beginning(response: httpx.Response) -> bytes:
    """Return the body's first KiB. The status counts even if the body breaks off."""
    body = b""
    try:
        for piece in response.iter_raw():
            body += piece
            if len(body) >= _BODY_BYTES:
                break
    except httpx.HTTPError:
        pass
    return body[:_BODY_BYTES]
