"""A rendered answer, and its binary form in Redis."""

import struct
import zlib
from dataclasses import dataclass

import msgspec

_MAGIC = b"MDE3"
_FRAME = struct.Struct("<4sI")  # magic, checksum of the key and of all bytes after the frame
_HEAD = struct.Struct("<dI")  # computed_at, length of the description in bytes
_BODY_MIN = _FRAME.size + _HEAD.size

_Description = tuple[str, str, tuple[tuple[str, str], ...]]
_describe = msgspec.msgpack.Encoder().encode
_description = msgspec.msgpack.Decoder(_Description).decode


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One representation of an answer, ready to send.

    etag: strong and quoted. computed_at: seconds since the epoch. headers: further headers of the body.
    """

    body: bytes
    content_type: str
    etag: str
    computed_at: float
    headers: tuple[tuple[str, str], ...] = ()

    def to_bytes(self, key: str) -> bytes:
        """The bytes to store under `key`."""
        description = _describe((self.content_type, self.etag, self.headers))
        payload = (_HEAD.pack(self.computed_at, len(description)), description, self.body)
        return b"".join((_FRAME.pack(_MAGIC, _checksum(key, *payload)), *payload))

    @classmethod
    def from_bytes(cls, stored: object, key: str) -> "Entry | None":
        """The entry that `to_bytes(key)` encoded; None for any other value, such as another key's entry."""
        if not isinstance(stored, bytes) or len(stored) < _BODY_MIN:
            return None
        magic, checksum = _FRAME.unpack_from(stored)
        if magic != _MAGIC or checksum != _checksum(key, memoryview(stored)[_FRAME.size :]):
            return None
        try:
            return cls._unpacked(stored)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return None

    @classmethod
    def _unpacked(cls, stored: bytes) -> "Entry":
        computed_at, length = _HEAD.unpack_from(stored, _FRAME.size)
        content_type, etag, headers = _description(memoryview(stored)[_BODY_MIN : _BODY_MIN + length])
        return cls(
            body=stored[_BODY_MIN + length :],
            content_type=content_type,
            etag=etag,
            computed_at=computed_at,
            headers=headers,
        )


def _checksum(key: str, *payload: bytes | memoryview) -> int:
    checksum = zlib.crc32(key.encode(errors="surrogatepass"))
    for part in payload:
        checksum = zlib.crc32(part, checksum)
    return checksum
