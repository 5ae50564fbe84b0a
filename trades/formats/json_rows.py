"""Bodies of JSON: one document with a list of rows, or one row a line (NDJSON)."""

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from itertools import islice
from typing import Any

import msgspec
import numpy as np
from msgspec import UNSET

from http_requests.exceptions import MalformedDocument
from http_requests.json_document import read_json
from store.declarations import ColumnKind, Dataset
from trades.batches.refusals import batch_refusal
from trades.batches.row_batch import ROWS_LIMIT, Expected, NotTyped, RowBatch, check_size
from trades.batches.typed_rows import (
    batch_of,
    check_not_rounded,
    has_largest,
    required_values,
    row_type,
    row_values,
)
from trades.exceptions import BatchRefused

_LINES_LIMIT = 10 * ROWS_LIMIT
_QUOTATION_MARK = ord('"')
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def read_json_body(body: bytes, expected: Expected) -> RowBatch:
    """The batch in `{"<dataset>": [row, …]}`. Raises `MalformedDocument`, `BatchRefused`."""
    try:
        return decode_json(body, expected)
    except NotTyped:
        raise json_refusal(body, expected) from None


def read_ndjson_body(body: bytes, expected: Expected) -> RowBatch:
    """The batch in lines of one row each; empty lines are passed over.

    Raises `MalformedDocument`, `BatchRefused`.
    """
    if body.count(b"\n") > _LINES_LIMIT:
        raise MalformedDocument("malformed_ndjson", f"the body has more than {_LINES_LIMIT:,} lines")
    lines = [line for line in body.split(b"\n") if line and not line.isspace()]
    check_size(len(lines), expected.dataset.name)
    try:
        return _decode_lines(body, lines, expected)
    except NotTyped:
        raise batch_refusal(expected, _documents(body, lines), unreadable="malformed_ndjson") from None


def decode_json(body: bytes, expected: Expected) -> RowBatch:
    """The batch in a document.

    Raises `NotTyped` if a value is wrong, `MalformedDocument` for repeated keys, `BatchRefused` if the rows
    are right one by one and not together: none, too many, of several symbols, of too many dates.
    """
    rows, is_strict = _decode(body, expected)
    values, has_surplus = _values(body, rows, expected, keys_beside=1)
    if has_surplus or not is_strict:
        read_json(body)
    batch = batch_of(expected, values, len(rows))
    if has_largest(expected.dataset, batch.rows):
        document: Any = read_json(body)
        check_not_rounded(expected.dataset, document[expected.dataset.name])
    return batch


def json_refusal(body: bytes, expected: Expected) -> BatchRefused | MalformedDocument:
    """The error that says what is wrong with a document which the typed decoder refused."""
    try:
        document = read_json(body)
    except MalformedDocument as error:
        return error
    return batch_refusal(expected, document, unreadable="malformed_json", is_document=True)


def _values(
    body: bytes, rows: Sequence[Any], expected: Expected, *, keys_beside: int
) -> tuple[dict[str, Iterable[Any]], bool]:
    """The rows' values by column, and whether the body may hold a key twice.

    Without escapes every key and every text is two quotation marks: a repeated key makes them too many.
    """
    marks = int(np.count_nonzero(np.frombuffer(body, dtype=np.uint8) == _QUOTATION_MARK))
    required = required_values(rows, expected)
    surplus = marks - 2 * (keys_beside + (len(required) + _texts_among(expected)) * len(rows))
    if not surplus and b"\\" not in body:
        return required, False
    optional = row_values(rows, [name for name in expected.names if name not in required])
    surplus -= 2 * sum(map(_keys_and_texts, optional.values()))
    return required | optional, bool(surplus) or b"\\" in body


def _texts_among(expected: Expected) -> int:
    """How many of the required fields are texts in JSON."""
    texts = {column.name for column in expected.columns if column.kind in {ColumnKind.TIME, ColumnKind.TEXT}}
    return len(texts.intersection(expected.required))


def _keys_and_texts(values: Sequence[Any]) -> int:
    """How many keys and texts an optional column's values stand for in the body."""
    given = [value for value in values if value is not UNSET]
    texts = sum(len(value) if isinstance(value, list) else isinstance(value, str) for value in given)
    return len(given) + texts


@cache
def _decoders(dataset: Dataset, given: frozenset[str], *, lenient: bool) -> tuple[Any, Any]:
    """Of a document, and of a row."""
    row: Any = row_type(dataset, given=given, lenient=lenient)
    body = msgspec.defstruct(
        "Body",
        [(dataset.name, list[row])],
        gc=False,
        forbid_unknown_fields=not lenient,
    )
    return msgspec.json.Decoder(body), msgspec.json.Decoder(row)


def _decode(body: bytes, expected: Expected) -> tuple[Sequence[Any], bool]:
    """The rows, and whether every key in the body is one that is known."""
    document, is_strict = _first_decoded(expected, lambda decoders: decoders[0].decode(body))
    return getattr(document, expected.dataset.name), is_strict


def _first_decoded(expected: Expected, decode: Callable[[tuple[Any, Any]], Any]) -> tuple[Any, bool]:
    """What the strict decoders read, else the lenient ones where unknown fields are ignored; and if it was the strict ones.

    Raises `NotTyped`, which no frame keeps: its traceback would keep the body until the next collection.
    """
    given = frozenset(expected.given)
    try:
        return decode(_decoders(expected.dataset, given, lenient=False)), True
    except _UNREADABLE as error:
        if not expected.ignore_unknown:
            raise NotTyped(str(error)) from error
    try:
        return decode(_decoders(expected.dataset, given, lenient=True)), False
    except _UNREADABLE as error:
        raise NotTyped(str(error)) from error


def _decode_lines(body: bytes, lines: Sequence[bytes], expected: Expected) -> RowBatch:
    rows, is_strict = _first_decoded(expected, lambda decoders: list(map(decoders[1].decode, lines)))
    values, has_surplus = _values(body, rows, expected, keys_beside=0)
    if has_surplus or not is_strict:
        _documents(body, lines)
    batch = batch_of(expected, values, len(rows))
    if has_largest(expected.dataset, batch.rows):
        check_not_rounded(expected.dataset, _documents(body, lines))
    return batch


def _documents(body: bytes, lines: Sequence[bytes]) -> list[Any]:
    """Each line's document, read strictly. Raises `MalformedDocument` with the number of the line."""
    documents = _joined(lines)
    if documents is not None:
        return documents
    first, count = 0, len(lines)
    while count > 1:  # the malformed line is one of `count`
        half = count // 2
        if _joined(lines[first : first + half]) is None:
            count = half
        else:
            first, count = first + half, count - half
    numbers = (
        number for number, line in enumerate(body.split(b"\n"), start=1) if line and not line.isspace()
    )
    number = next(islice(numbers, first, None))
    try:
        read_json(lines[first])
    except MalformedDocument as error:
        code = "malformed_ndjson" if error.code == "malformed_json" else error.code
        raise MalformedDocument(code, f"line {number}: {error}") from error
    raise MalformedDocument("malformed_ndjson", f"line {number} is not one JSON object")


def _joined(lines: Sequence[bytes]) -> list[Any] | None:
    """The lines' documents, read at once; None if any line is malformed.

    Raises `MalformedDocument` if they are too large together, which no single line is to blame for.
    """
    try:
        documents: Any = read_json(b"[%b]" % b",".join(lines))
    except MalformedDocument as error:
        if error.code == "document_too_large":
            raise
        return None
    return documents if len(documents) == len(lines) else None
