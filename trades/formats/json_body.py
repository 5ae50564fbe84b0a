"""Bodies of JSON: a document with a list of rows, or one row per line (NDJSON).

A body is decoded by the types of its columns, which is fast. One that has others, or may repeat a key, is decoded strictly.
"""

from collections.abc import Sequence
from functools import cache
from io import BytesIO
from itertools import islice
from typing import Any

import msgspec
import numpy as np

from store.declarations import Dataset
from trades.batches.json_columns import rows_of_objects
from trades.batches.row_batch import ROWS_LIMIT, BatchOptions, RowColumns, check_size
from trades.batches.typed_rows import TypedRows, joined_rows, row_struct, typed_rows
from web.requests.exceptions import MalformedDocument
from web.requests.json_document import read_json

_LINES_LIMIT = 10 * ROWS_LIMIT
_QUOTE, _COLON, _SPACE = b'": '
_ROW_END = b"},"
# A body is decoded in pieces of this size. The rows of a larger one are many more objects than fit into the
# processor's cache; and as a process grows older, they lie farther apart and take up to twice as long.
_PIECE_BYTES = 128 * 2**10
# The same for lines.
_LINES = 1_000
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def json_document(body: bytes, options: BatchOptions) -> Any:
    """Return the document `{"<dataset>": [row, …]}`, or the `RowColumns` of one that has nothing else.

    Raises `MalformedDocument`.
    """
    pieces = []
    for piece in _pieces_of(body, options.dataset.name):
        rows = _typed_piece(piece, options)
        if rows is None:
            return read_json(body)
        pieces.append(rows)
    return joined_rows(pieces, options)


def ndjson_columns(body: bytes, options: BatchOptions) -> RowColumns:
    """Return the columns of lines with one row each; empty lines are skipped.

    Raises `MalformedDocument`; `BatchRefused` for too many rows, or none.
    """
    if body.count(b"\n") > _LINES_LIMIT:
        raise MalformedDocument("malformed_ndjson", f"the body has more than {_LINES_LIMIT:,} lines")
    check_size(sum(not line.isspace() for line in BytesIO(body)), options.dataset.name)
    lines = [line for line in BytesIO(body) if not line.isspace()]
    pieces = []
    for start in range(0, len(lines), _LINES):
        rows = _typed_lines(lines[start : start + _LINES], options)
        if rows is None:
            return rows_of_objects(_documents(body, lines), options)
        pieces.append(rows)
    return joined_rows(pieces, options)


def _pieces_of(body: bytes, name: str) -> list[bytes]:
    """Cut a document between rows into documents of about 128 KiB.

    If all of them can be read strictly, they have the document's rows, in order. A document that has other keys
    cannot be cut: rows of another list would become rows of the batch.
    """
    pieces: list[bytes] = []
    beginning, start = b"", 0
    while (end := body.find(_ROW_END, start + _PIECE_BYTES)) >= 0:
        pieces.append(b"%b%b}]}" % (beginning, body[start:end]))
        beginning, start = b'{"%b":[' % name.encode(), end + len(_ROW_END)
    return [*pieces, beginning + body[start:]]


def _typed_piece(piece: bytes, options: BatchOptions) -> TypedRows | None:
    """Return the rows of a document; None if it must be decoded strictly."""
    decoder, _ = _decoders(options.dataset, frozenset(options.given))
    try:
        rows = getattr(decoder.decode(piece), options.dataset.name)
    except _UNREADABLE:
        return None
    return typed_rows(rows, options, _most_keys(piece) - 1)


def _typed_lines(lines: Sequence[bytes], options: BatchOptions) -> TypedRows | None:
    """Return the rows of some lines; None if they must be decoded strictly."""
    _, decoder = _decoders(options.dataset, frozenset(options.given))
    try:
        rows = list(map(decoder.decode, lines))
    except _UNREADABLE:
        return None
    return typed_rows(rows, options, _most_keys(b"".join(lines)))


@cache
def _decoders(dataset: Dataset, given: frozenset[str]) -> tuple[Any, Any]:
    """Return the decoders of a document and of a row, which refuse other keys."""
    row: Any = row_struct(dataset, given=given)
    body = msgspec.defstruct("Body", [(dataset.name, list[row])], gc=False, forbid_unknown_fields=True)
    return msgspec.json.Decoder(body), msgspec.json.Decoder(row)


def _most_keys(text: bytes) -> int:
    """Return the number of colons after a quotation mark or white space in JSON.

    Every key has one. So if it equals the number of fields that were decoded, no key is repeated. Texts may have more.
    """
    characters = np.frombuffer(text, dtype=np.uint8)
    before = characters[:-1]
    return int(np.count_nonzero((characters[1:] == _COLON) & ((before == _QUOTE) | (before <= _SPACE))))


def _documents(body: bytes, lines: Sequence[bytes]) -> list[Any]:
    """Return each line's document, read strictly. Raises `MalformedDocument` with the line's number.

    A malformed line is found by halving: reading every line alone takes 80 times as long.
    """
    documents = _joined(lines)
    if documents is not None:
        return documents
    first, count = 0, len(lines)
    while count > 1:  # the first malformed line is among the `count` lines from `first` on
        half = count // 2
        if _joined(lines[first : first + half]) is None:
            count = half
        else:
            first, count = first + half, count - half
    numbered = enumerate(body.split(b"\n"), start=1)
    filled = (number for number, line in numbered if line and not line.isspace())
    number = next(islice(filled, first, None))
    try:
        read_json(lines[first])
    except MalformedDocument as error:
        code = "malformed_ndjson" if error.code == "malformed_json" else error.code
        raise MalformedDocument(code, f"line {number}: {error}") from error
    raise MalformedDocument("malformed_ndjson", f"line {number} is not one JSON object")


def _joined(lines: Sequence[bytes]) -> list[Any] | None:
    """Return the lines' documents, read in one pass; None if a line is malformed.

    Raises `MalformedDocument` if the documents together are too large.
    """
    try:
        documents: Any = read_json(b"[%b]" % b",".join(lines))
    except MalformedDocument as error:
        if error.code == "document_too_large":
            raise
        return None
    return documents if len(documents) == len(lines) else None
