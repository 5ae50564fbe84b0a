"""Calls as they are received, with valid defaults."""

from collections.abc import Mapping

from web.requests.received import ReceivedCall


def received(
    headers: Mapping[str, str] | None = None,
    *,
    method: str = "GET",
    path: str = "/api/v1/clock",
    query: str = "",
    address: str = "192.0.2.1",
) -> ReceivedCall:
    """A call over TLS; names of headers are in lower case."""
    return ReceivedCall(method, "https", "desk.example", path, path, query, address, headers or {})
