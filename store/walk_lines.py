"""A walk as lines of JSON, in which an installation sends a log's commits to a mirror (`docs/mirror.md`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from store import lazy_pyarrow as pa
from store.arrow_messages import is_compressed
from store.copies import CopyCut, CopyMalformed
from store.declarations import Dataset
from store.log import Log
from store.protocol import NO_COMMIT, CommitId
from store.receiving import SentPiece, sent_batch
from store.rows.stored_rows import corrections_of
from store.walk import PIECE_ROWS, CommitPiece, CommitRecord, CommittedRows, LogPosition

LINE_BYTES = 16 * 2**20
"""The longest line that is taken. A record of version 1 of a batch of a million dates has some 8 MiB."""

ANSWER_COMMITS = 1_000
ANSWER_BYTES = 8 * 2**20
"""An answer ends with the commit by which it has so many commits, or so many bytes."""

_BATCH_BYTES = 4 * 2**20
_BESIDE_BYTES = 2**14  # what a message may have beside its rows


class WalkLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """A line of an answer. kind: `walk`, `record`, `rows`, `corrections` or `end`.

    log: of `walk`, which is the first line: dataset, symbol, and the names and types of all columns. text, hash: of
    `record`: a commit's hash, and what is hashed after the hash of the commit before. data: of `rows` and `corrections`:
    a message of Arrow's IPC format with a record batch, as base64.
    """

    kind: str
    log: tuple[str, ...] = ()
    text: str = ""
    hash: str = ""
    data: bytes = b""


_decoder = msgspec.json.Decoder(WalkLine)
_encoder = msgspec.json.Encoder()


def encode_line(line: WalkLine) -> bytes:
    """Return a line, with its line end."""
    return _encoder.encode(line) + b"\n"


def first_line(dataset: Dataset, symbol: str) -> WalkLine:
    """Return the first line of an answer. Both sides must have the same."""
    columns = (f"{field.name} {field.type}" for field in corrections_of(dataset).schema)
    return WalkLine("walk", log=(dataset.name, symbol, *columns))


def walk_lines(log: Log, after: CommitId = NO_COMMIT) -> Iterator[bytes]:
    """Return the lines of a log's next commits. Raises the errors of `Log.commits`, also during iteration."""
    return _lines(log, log.commits(LogPosition(after), after.number + ANSWER_COMMITS))


def _lines(log: Log, pieces: Iterator[CommitPiece]) -> Iterator[bytes]:
    size = 0
    yield encode_line(first_line(log.dataset, log.symbol))
    for piece in pieces:
        if isinstance(piece, CommitRecord) and size >= ANSWER_BYTES:
            break
        for line in map(encode_line, _lines_of(log.dataset, piece)):
            size += len(line)
            yield line
    yield encode_line(WalkLine("end"))


def _lines_of(dataset: Dataset, piece: CommitPiece) -> Iterator[WalkLine]:
    if isinstance(piece, CommitRecord):
        yield WalkLine("record", text=piece.text.decode(), hash=piece.id.hash)
        return
    kind = "rows" if isinstance(piece, CommittedRows) else "corrections"
    for batch in _in_parts(sent_batch(dataset, piece)):
        yield WalkLine(kind, data=batch.serialize().to_pybytes())


def _in_parts(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Yield a batch in parts that fit into a line."""
    middle = batch.num_rows // 2
    if batch.nbytes <= _BATCH_BYTES or not middle:
        yield batch
    else:
        yield from _in_parts(batch.slice(0, middle))
        yield from _in_parts(batch.slice(middle))


def sent_pieces(dataset: Dataset, symbol: str, data: Iterable[bytes]) -> Iterator[SentPiece]:
    """Yield the pieces in an answer of any origin, in bounded memory. data: its bytes.

    Raises `CopyMalformed`, `CopyCut`, and the errors of `data`.
    """
    expected = first_line(dataset, symbol)
    is_first = True
    for text in _split(data):
        try:
            line = _decoder.decode(text)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise CopyMalformed(f"a line is not as expected: {error}") from None
        if is_first and line != expected:
            raise CopyMalformed(
                f"the answer is not of {dataset.name} of {symbol}, or has another form: both installations must run the"
                " same version"
            )
        if line.kind == "end":
            return
        if not is_first:
            yield _piece(dataset, line)
        is_first = False
    raise CopyCut("the answer ends before its last line")


def _split(data: Iterable[bytes]) -> Iterator[bytes | bytearray]:
    rest = bytearray()
    for piece in data:
        rest += piece
        *lines, last = rest.split(b"\n") if b"\n" in piece else (rest,)
        yield from lines
        rest = last
        if len(rest) > LINE_BYTES:
            raise CopyMalformed(f"a line has over {LINE_BYTES:,} bytes")


def _piece(dataset: Dataset, line: WalkLine) -> SentPiece:
    try:
        match line.kind:
            case "record" if "\n" not in line.text:
                return CommitRecord.of(line.text.encode(), line.hash)
            case "rows":
                return _batch(line.data, dataset.schema)
            case "corrections":
                return _batch(line.data, corrections_of(dataset).schema)
    except (msgspec.MsgspecError, pa.ArrowException, ValueError, OSError, EOFError) as error:
        raise CopyMalformed(f"a line of {line.kind} cannot be read: {str(error)[:200]}") from None
    raise CopyMalformed(f"a line is not as expected: {line.kind[:20]!r}")


def _batch(data: bytes, schema: pa.Schema) -> pa.RecordBatch:
    """Return the record batch in a message. Compressed ones are refused, because they may be of any size."""
    message = pa.ipc.read_message(pa.py_buffer(data))
    if message.type != "record batch" or is_compressed(message.type, message.metadata):
        raise ValueError("compressed, or no record batch")
    batch = pa.ipc.read_record_batch(message, schema)
    batch.validate(full=True)
    if len(data) > 2 * batch.nbytes + _BESIDE_BYTES:
        raise ValueError("the message has more than its rows")
    if not 0 < batch.num_rows <= PIECE_ROWS:
        raise ValueError(f"no rows, or over {PIECE_ROWS:,}")
    return batch
