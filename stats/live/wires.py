"""Wires: how a connection's messages look. The feed's own wire speaks JSON or MessagePack; a dialect has wires of its own."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import msgspec

from ratelimit.callers import Caller
from stats.live.exceptions import UnknownOperation
from stats.live.frames import Encode, Message
from stats.live.sockets import binary_frame, text_frame
from web.requests.exceptions import InvalidParameter
from web.requests.json_document import read_json

_LARGEST_ID, _LONGEST_ID = 2**53, 64
_MEMBERS = {
    "auth": {"key", "token"},
    "subscribe": {"channels", "from", "mode"},
    "unsubscribe": {"channels"},
    "ping": set[str](),
    "pong": {"sent_at"},
}


class Wire(Protocol):
    """Reads a client's messages, and encodes those to it. One for each connection; for the event loop's thread.

    Messages that belong to no channel are documents: objects with `op`, as docs/live.md has them.
    """

    def greeting(self, caller: Caller | None) -> bytes:
        """Return the frames with which a connection begins. caller: whose credential the handshake had."""
        ...

    def request(self, body: bytes, caller: Caller | None) -> dict[str, Any]:
        """Return a client's message as a document; its `id` comes back in the answer. Raises `LiveError`s, RequestError."""
        ...

    def document_frame(self, document: Mapping[str, Any]) -> bytes:
        """Return the frame of a document; nothing if this wire does not tell it."""
        ...

    def frame(self, message: Message) -> bytes:
        """Return the frames of a channel's message; nothing if this wire does not have it."""
        ...


def _as_json(message: Message) -> bytes:
    return text_frame(message.payload)


def _as_message_pack(message: Message) -> bytes:
    return binary_frame(msgspec.msgpack.encode(msgspec.json.decode(message.payload)))


# By the query string of the handshake.
_ENCODERS: Mapping[str, Encode] = {
    "": _as_json,
    "format=json": _as_json,
    "format=msgpack": _as_message_pack,
}

# Makes the wire of a connection from the query string and the Content-Type of its handshake. Raises InvalidParameter.
MakeWire = Callable[[str, str], Wire]


class OwnWire:
    """The wire of docs/live.md."""

    def __init__(self, query: str = "", _content_type: str = "") -> None:
        """See `MakeWire`."""
        if query not in _ENCODERS:
            raise InvalidParameter("invalid_parameter", "the query is format=json or format=msgpack")
        self._encode = _ENCODERS[query]

    def greeting(self, _caller: Caller | None) -> bytes:
        """See `Wire`."""
        return b""

    def request(self, body: bytes, _caller: Caller | None) -> dict[str, Any]:
        """See `Wire`."""
        document = read_json(body)
        operation = document.get("op") if isinstance(document, dict) else None
        if not isinstance(document, dict) or not isinstance(operation, str) or operation not in _MEMBERS:
            raise UnknownOperation(f"op is one of {', '.join(_MEMBERS)}")
        members = _MEMBERS[operation] | {"id"}
        if document.keys() - members - {"op"}:
            raise UnknownOperation(f"{operation} has the members {', '.join(sorted(members))}")
        if not _is_id(document.get("id")):
            raise UnknownOperation(
                f"id is a text of at most {_LONGEST_ID} characters, or an integer of at most 2^53"
            )
        return document

    def document_frame(self, document: Mapping[str, Any]) -> bytes:
        """See `Wire`."""
        return self._encode(Message("", "", msgspec.json.encode(document)))

    def frame(self, message: Message) -> bytes:
        """See `Wire`."""
        return message.frame(self._encode)


def _is_id(value: object) -> bool:
    if isinstance(value, int) and not isinstance(value, bool):
        return abs(value) <= _LARGEST_ID
    return value is None or (isinstance(value, str) and len(value) <= _LONGEST_ID)
