"""Cuts an Arrow IPC stream into its messages, as bytes arrive, and makes record batches of them.

The server's streams have no dictionaries and no compressed buffers; anything else is `BadAnswer`.
"""

import hashlib
import struct
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from marketdata_client.errors import BadAnswer, IncompleteStream

_CONTINUATION = b"\xff\xff\xff\xff"
_MOST_METADATA = 4 * 2**20
_MOST_BODY = 64 * 2**20
_MOST_ROWS = 1_000_000
# Slots of the flatbuffers `Message` and `RecordBatch` in Arrow's format.
_HEADER, _BODY_LENGTH, _COMPRESSION = 2, 3, 3


class ArrowMessages:
    """Takes the bytes of a stream. trailer: the texts of the trailer's metadata, once it has come. rows: how many came so far."""

    def __init__(self) -> None:
        self.trailer: dict[str, str] = {}
        self.rows = 0
        self.digest = hashlib.sha256()
        self._waiting = bytearray()
        self._schema: Any = None
        self._head = b""
        self._is_over = False

    def take(self, piece: bytes) -> Iterator[Any]:
        """Return the record batches that are whole with this piece. Raises `BadAnswer`."""
        self._waiting += piece
        try:
            while (message := self._next()) is not None:
                yield from self._batches(message)
            if self._is_over and self._waiting:
                raise BadAnswer("bytes follow the end of the Arrow stream")
        except (pa.ArrowException, struct.error, ValueError, OSError) as error:
            raise BadAnswer(
                f"the answer is not an Arrow stream of the API ({type(error).__name__})"
            ) from error

    def end(self) -> None:
        """Raise `IncompleteStream` unless the stream came to its end."""
        if not self._is_over or self._waiting:
            raise IncompleteStream("the Arrow stream is not whole")

    @property
    def schema(self) -> Any:
        """The `pyarrow.Schema`. Raises `IncompleteStream` before it has come."""
        if self._schema is None:
            raise IncompleteStream("the Arrow stream has no schema")
        return self._schema

    def _next(self) -> bytes | None:
        """Return the next message, with its prefix; None until it is whole, and after the end."""
        if len(self._waiting) < 8 or self._is_over:
            return None
        if not self._waiting.startswith(_CONTINUATION):
            raise BadAnswer("the answer is not an Arrow stream")
        (length,) = struct.unpack_from("<i", self._waiting, 4)
        if length == 0:
            self._is_over = True
            del self._waiting[:8]
            return None
        if not 0 < length <= _MOST_METADATA:
            raise BadAnswer("a message of the Arrow stream is too large")
        if len(self._waiting) < 8 + length:
            return None
        body = _body_length(bytes(self._waiting[8 : 8 + length]))
        if not 0 <= body <= _MOST_BODY:
            raise BadAnswer("a message of the Arrow stream is too large")
        whole = 8 + length + body
        if len(self._waiting) < whole:
            return None
        message = bytes(self._waiting[:whole])
        del self._waiting[:whole]
        return message

    def _batches(self, message: bytes) -> Iterator[Any]:
        if self.trailer:
            raise BadAnswer("rows follow the trailer")
        if self._schema is None:
            self._schema = pa.ipc.read_schema(pa.py_buffer(message))
            self._head = message
        else:
            if _is_compressed(message[8:]):
                raise BadAnswer("the Arrow stream has compressed buffers")
            batch = pa.ipc.read_record_batch(pa.py_buffer(message), self._schema)
            if batch.num_rows > _MOST_ROWS:
                raise BadAnswer("a batch of the Arrow stream has too many rows")
            if not batch.num_rows and self._take_trailer(message):
                return
            batch.validate(full=True)
            self.rows += batch.num_rows
            yield batch
        self.digest.update(message)

    def _take_trailer(self, message: bytes) -> bool:
        with pa.ipc.open_stream(pa.py_buffer(self._head + message)) as reader:
            self.trailer = _texts(reader.read_next_batch_with_custom_metadata().custom_metadata)
        return bool(self.trailer)


def _texts(metadata: Any) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in (metadata or {}).items()}


def _slot(buffer: bytes, table: int, slot: int) -> int:
    """Return where a field of a flatbuffer's table is; 0 if the table lacks it."""
    vtable = table - struct.unpack_from("<i", buffer, table)[0]
    (size,) = struct.unpack_from("<H", buffer, vtable)
    place = 4 + 2 * slot
    offset = struct.unpack_from("<H", buffer, vtable + place)[0] if place + 2 <= size else 0
    return table + offset if offset else 0


def _root(buffer: bytes) -> int:
    return int(struct.unpack_from("<I", buffer, 0)[0])


def _body_length(metadata: bytes) -> int:
    place = _slot(metadata, _root(metadata), _BODY_LENGTH)
    return int(struct.unpack_from("<q", metadata, place)[0]) if place else 0


def _is_compressed(metadata: bytes) -> bool:
    place = _slot(metadata, _root(metadata), _HEADER)
    header = place + struct.unpack_from("<I", metadata, place)[0] if place else 0
    return bool(header and _slot(metadata, header, _COMPRESSION))
