"""Reads an Arrow stream of another installation, and verifies that it is whole.

The stream ends with a trailer: a record batch without rows, whose metadata has the number of rows, the SHA-256 of all
bytes before it, and the commits (docs/streams.md).
"""

import hashlib
from collections.abc import Iterator

import pyarrow as pa

from jobs.backfills.exceptions import SourceFailed
from store.arrow_messages import is_compressed
from trades.formats.arrow_body import COLUMNS_LIMIT

# An installation sends at most 8,192 rows at a time, in less than 2 MiB.
_MESSAGE_BYTES = 64 * 2**20
_BATCH_ROWS = 1_000_000
_TRAILER_FIELDS = (b"rows", b"sha256", b"commit")
_STREAM_END = b"\xff\xff\xff\xff\0\0\0\0"


class _Bytes:
    """The pieces of an answer as a file for Arrow, which reads message by message and nothing ahead.

    message: the bytes that were read since the last `take`.
    """

    closed = False

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._ahead = bytearray()
        self._message: list[bytes] = []

    def read(self, size: int) -> bytes:
        if size > _MESSAGE_BYTES:
            raise pa.ArrowInvalid("a message is too large")
        while len(self._ahead) < size:
            piece = next(self._pieces, None)
            if piece is None:
                break
            self._ahead += piece
        taken = bytes(memoryview(self._ahead)[:size])
        del self._ahead[:size]
        self._message.append(taken)
        return taken

    def take(self) -> bytes:
        """Return the bytes of the message that was read."""
        message = b"".join(self._message)
        self._message.clear()
        return message

    def rest(self, limit: int) -> bytes:
        """Return what comes after the last message, up to a few bytes more than `limit`."""
        while len(self._ahead) <= limit and (piece := next(self._pieces, None)) is not None:
            self._ahead += piece
        return bytes(self._ahead)

    def close(self) -> None:
        pass

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False


class VerifiedArrowStream:
    """Iterates over the record batches of an answer, once.

    The rows count only if the iteration comes to its end: it raises `SourceFailed` there if the trailer is missing or
    does not agree with the bytes. commit: what the trailer says of the commits; known at the end.
    """

    def __init__(self, source: str, pieces: Iterator[bytes]) -> None:
        self.commit = ""
        self._source = source
        self._bytes = _Bytes(pieces)
        self._digest = hashlib.sha256()
        self._rows = 0

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        try:
            yield from self._batches()
        except (pa.ArrowException, OSError, EOFError, ValueError, UnicodeDecodeError) as error:
            raise SourceFailed(
                self._source, f"the answer is not a whole Arrow stream ({type(error).__name__})"
            ) from error

    def _batches(self) -> Iterator[pa.RecordBatch]:
        file = pa.PythonFile(self._bytes, mode="r")
        schema = pa.ipc.read_schema(pa.ipc.read_message(file))
        if len(schema.names) > COLUMNS_LIMIT or len(set(schema.names)) < len(schema.names):
            raise pa.ArrowInvalid("too many columns, or one twice")
        head = self._bytes.take()
        self._digest.update(head)
        while True:
            message = pa.ipc.read_message(file)
            if is_compressed(message.type, message.metadata):
                raise pa.ArrowInvalid("compressed buffers")
            batch = pa.ipc.read_record_batch(message, schema)
            if not batch.num_rows:
                break
            if batch.num_rows > _BATCH_ROWS:
                raise pa.ArrowInvalid("a batch has too many rows")
            batch.validate(full=True)
            self._digest.update(self._bytes.take())
            self._rows += batch.num_rows
            yield batch
        self._verify(head + self._bytes.take())

    def _verify(self, stream: bytes) -> None:
        """Compare the trailer, here with the schema before it, with what was read."""
        with pa.ipc.open_stream(pa.py_buffer(stream)) as reader:
            metadata = reader.read_next_batch_with_custom_metadata().custom_metadata or {}
        rows, digest, commit = (metadata.get(name, b"").decode() for name in _TRAILER_FIELDS)
        if not digest or self._bytes.rest(len(_STREAM_END)) != _STREAM_END:
            raise SourceFailed(self._source, "the answer does not end with its trailer")
        if rows != str(self._rows) or digest != self._digest.hexdigest():
            raise SourceFailed(self._source, "the rows are not those that the trailer was made of")
        self.commit = commit
