"""Bodies of JSON: a document with a list of rows, or one row per line (NDJSON)."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache
from io import BytesIO
from itertools import islice
from typing import Any

import msgspec
import numpy as np
from msgspec import UNSET

from store.declarations import ColumnForm, ColumnKind, Dataset
from trades.batches.refusals import document_refusal
from trades.batches.row_batch import ROWS_LIMIT, BatchOptions, RowBatch, TypedDecodeFailed, check_size
from trades.batches.typed_rows import (
    TypedRows,
    check_not_rounded,
    holds_largest_number,
    required_values,
    row_struct,
    row_values,
    typed_batch,
    typed_rows,
)
from trades.batches.validation import columns_of
from trades.exceptions import BatchRefused
from web.requests.exceptions import MalformedDocument
from web.requests.json_document import read_json

_LINES_LIMIT = 10 * ROWS_LIMIT
_QUOTATION_MARK = ord('"')
_ROW_END = b"},"
# A body is decoded in pieces of this size. The rows of a larger one are many more objects than fit into the
# processor's cache; and as a process grows older, they lie farther apart and take up to twice as long.
_PIECE_BYTES = 128 * 2**10
# The same for lines.
_LINES = 1_000
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def read_json_body(body: bytes, options: BatchOptions) -> RowBatch:
    """Return the batch of `{"<dataset>": [row, …]}`. Raises `MalformedDocument`, `BatchRefused`."""
    try:
        return decode_json(body, options)
    except TypedDecodeFailed:
        raise json_refusal(body, options) from None


def read_ndjson_body(body: bytes, options: BatchOptions) -> RowBatch:
    """Return the batch of lines with one row each; empty lines are skipped.

    Raises `MalformedDocument`, `BatchRefused`.
    """
    if body.count(b"\n") > _LINES_LIMIT:
        raise MalformedDocument("malformed_ndjson", f"the body has more than {_LINES_LIMIT:,} lines")
    check_size(sum(not line.isspace() for line in BytesIO(body)), options.dataset.name)
    lines = [line for line in BytesIO(body) if not line.isspace()]
    try:
        return _decode_lines(body, lines, options)
    except TypedDecodeFailed:
        raise document_refusal(options, _documents(body, lines), unreadable="malformed_ndjson") from None


def decode_json(body: bytes, options: BatchOptions) -> RowBatch:
    """Return the batch of a document.

    Raises `TypedDecodeFailed` for a wrong value, `MalformedDocument` for repeated keys, `BatchRefused` for
    valid rows that do not form a batch: none, too many, several symbols, too many dates.
    """
    pieces = _pieces_of(body, options.dataset.name)
    if len(pieces) > 1:
        with suppress(TypedDecodeFailed):  # a text may hold what ends a row
            return _decode_pieces(body, pieces, replace(options, ignore_unknown=False))
    return _decode_pieces(body, [body], options)


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


def _decode_pieces(body: bytes, pieces: Sequence[bytes], options: BatchOptions) -> RowBatch:
    decoded = [_decode_piece(piece, options) for piece in pieces]
    if any(is_doubtful for _, is_doubtful in decoded):
        read_json(body)
    batch = typed_batch(options, [rows for rows, _ in decoded])
    if holds_largest_number(options.dataset, batch.rows):
        checked: Any = read_json(body)
        check_not_rounded(options.dataset, checked[options.dataset.name])
    return batch


def _decode_piece(piece: bytes, options: BatchOptions) -> tuple[TypedRows, bool]:
    """Return the rows of a document, and whether it may repeat a key or has unknown fields."""
    document, is_strict = _first_decoded(options, lambda decoders: decoders[0].decode(piece))
    rows: Sequence[Any] = getattr(document, options.dataset.name)
    values, has_surplus = _values(piece, rows, options, other_keys=1)
    return typed_rows(options, values, len(rows)), has_surplus or not is_strict


def json_refusal(body: bytes, options: BatchOptions) -> BatchRefused | MalformedDocument:
    """Return the error of a document that the typed decoder refused."""
    try:
        document = read_json(body)
    except MalformedDocument as error:
        return error
    return document_refusal(options, document, unreadable="malformed_json", is_document=True)


def _values(
    body: bytes, rows: Sequence[Any], options: BatchOptions, *, other_keys: int
) -> tuple[dict[str, Iterable[Any]], bool]:
    """Return the rows' values by column, and whether the body may repeat a key.

    other_keys: the number of keys outside of rows. Without escapes, each key and text has two quotation marks.
    A repeated key makes the body's count too high.
    """
    marks = int(np.count_nonzero(np.frombuffer(body, dtype=np.uint8) == _QUOTATION_MARK))
    required = required_values(rows, options)
    texts = len(_text_names(options.dataset).intersection(required)) * len(rows)
    for name in _id_names(options.dataset).intersection(required):
        required[name] = ids = list(required[name])
        texts += sum(isinstance(value, str) for value in ids)
    surplus = marks - 2 * (other_keys + len(required) * len(rows) + texts)
    if not surplus and b"\\" not in body:
        return required, False
    optional = row_values(rows, [name for name in options.names if name not in required])
    surplus -= 2 * sum(map(_keys_and_texts, optional.values()))
    return required | optional, bool(surplus) or b"\\" in body


@cache
def _text_names(dataset: Dataset) -> frozenset[str]:
    """Return the required fields whose JSON values are texts."""
    kinds = {ColumnKind.TIME, ColumnKind.TEXT}
    columns = (column for column in columns_of(dataset) if column.required and column.kind in kinds)
    return frozenset(column.name for column in columns) - _id_names(dataset)


@cache
def _id_names(dataset: Dataset) -> frozenset[str]:
    """Return the required fields whose JSON values are texts or integers."""
    return frozenset(
        column.name for column in columns_of(dataset) if column.required and column.form is ColumnForm.ID
    )


def _keys_and_texts(values: Sequence[Any]) -> int:
    """Return the number of keys and texts that an optional column has in the body."""
    present = [value for value in values if value is not UNSET]
    texts = sum(len(value) if isinstance(value, list) else isinstance(value, str) for value in present)
    return len(present) + texts


@cache
def _decoders(dataset: Dataset, given: frozenset[str], *, lenient: bool) -> tuple[Any, Any]:
    """Return the decoders of a document and of a row."""
    row: Any = row_struct(dataset, given=given, lenient=lenient)
    body = msgspec.defstruct(
        "Body",
        [(dataset.name, list[row])],
        gc=False,
        forbid_unknown_fields=not lenient,
    )
    return msgspec.json.Decoder(body), msgspec.json.Decoder(row)


def _first_decoded(options: BatchOptions, decode: Callable[[tuple[Any, Any]], Any]) -> tuple[Any, bool]:
    """Decode strictly; if that fails and unknown fields are ignored, leniently. Return also whether it was strict.

    Raises `TypedDecodeFailed`. No frame keeps the exception: its traceback would hold the body until the next
    garbage collection.
    """
    given = frozenset(options.given)
    try:
        return decode(_decoders(options.dataset, given, lenient=False)), True
    except _UNREADABLE as error:
        if not options.ignore_unknown:
            raise TypedDecodeFailed(str(error)) from error
    try:
        return decode(_decoders(options.dataset, given, lenient=True)), False
    except _UNREADABLE as error:
        raise TypedDecodeFailed(str(error)) from error


def _decode_lines(body: bytes, lines: Sequence[bytes], options: BatchOptions) -> RowBatch:
    pieces = []
    for start in range(0, len(lines), _LINES):
        some = lines[start : start + _LINES]
        rows, is_doubtful = _decode_some(some, options)
        if is_doubtful and _joined(some) is None:
            _documents(body, lines)
        pieces.append(rows)
    batch = typed_batch(options, pieces)
    if holds_largest_number(options.dataset, batch.rows):
        check_not_rounded(options.dataset, _documents(body, lines))
    return batch


def _decode_some(lines: Sequence[bytes], options: BatchOptions) -> tuple[TypedRows, bool]:
    """Return the rows of some lines, and whether one may repeat a key or has unknown fields."""
    rows, is_strict = _first_decoded(options, lambda decoders: list(map(decoders[1].decode, lines)))
    values, has_surplus = _values(b"".join(lines), rows, options, other_keys=0)
    return typed_rows(options, values, len(rows)), has_surplus or not is_strict


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
