"""Strict parsing of one JSON document."""

import json
import math
import re
from collections import Counter
from typing import NoReturn

import numpy as np

from web.requests.exceptions import MalformedDocument
from web.requests.work import WorkKind, count_work

# The deepest accepted nesting, in levels.
DEPTH_LIMIT = 500
# The most lists and objects, and the most values, in one document. They allow a batch of 100,000 rows that have at most
# two lists or objects and about 15 values per row.
CONTAINERS_LIMIT = 250_000
VALUES_LIMIT = 2_000_000
_PIECE_BYTES = 2**18
# An integer with this many digits or more is read as infinity.
_TOO_MANY_DIGITS = 300
_QUOTE, _COMMA = b'",'
# The change of depth for each byte value: +1 for an opening bracket, -1 for a closing one, 0 for all others.
_STEPS = np.zeros(256, dtype=np.int8)
_STEPS[list(b"[{")], _STEPS[list(b"]}")] = 1, -1
# Translates every digit to 0, so that a search for _LONG_RUN finds any run of _TOO_MANY_DIGITS digits.
_AS_ZEROS = bytes.maketrans(b"0123456789", b"0" * 10)
_LONG_RUN = b"0" * _TOO_MANY_DIGITS
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def read_json(body: bytes) -> object:
    """Parse one JSON document (RFC 8259, UTF-8). Numbers beyond a float's range become infinite.

    Each full thousand of its lists and objects counts as rows of work. Raises MalformedDocument for invalid JSON, a byte
    order mark, NaN, Infinity, half of a surrogate pair, or a key that is repeated in one object; and, before parsing,
    for a document over one of the limits above.
    """
    if body.startswith(b"\xef\xbb\xbf"):
        raise MalformedDocument(
            "malformed_json", "the body begins with a byte order mark; send UTF-8 without one"
        )
    count_work(WorkKind.ROWS, _containers(body) // 1_000 * 1_000)
    try:
        document: object = json.loads(
            body.decode(),
            object_pairs_hook=_object,
            parse_constant=_refuse_constant,
            # Calling a Python function for each integer takes a third longer, so it is done only if needed.
            parse_int=_integer if _LONG_RUN in body.translate(_AS_ZEROS) else int,
        )
        if _SURROGATE.search(body):
            json.dumps(document, ensure_ascii=False).encode()
    except (UnicodeDecodeError, UnicodeEncodeError, json.JSONDecodeError) as error:
        raise MalformedDocument("malformed_json", f"the body is not {_violation(error)}") from error
    return document


def _violation(error: UnicodeDecodeError | UnicodeEncodeError | json.JSONDecodeError) -> str:
    """Return the format that the body violates (UTF-8 or JSON), with the position or the reason."""
    if isinstance(error, UnicodeDecodeError):
        return f"UTF-8: byte {error.start} is wrong"
    if isinstance(error, UnicodeEncodeError):
        return "JSON of Unicode texts: an escape is half of a surrogate pair"
    return f"JSON: {error.msg} at line {error.lineno}, column {error.colno}"


def _containers(body: bytes) -> int:
    """Return the number of lists and objects.

    Refuses more than DEPTH_LIMIT levels, CONTAINERS_LIMIT lists and objects, or VALUES_LIMIT commas.
    """
    # Mask escapes, so that every remaining quotation mark begins or ends a string.
    plain = body.replace(rb"\\", b"..").replace(rb"\"", b"..") if b"\\" in body else body
    is_text, depth, containers, commas = np.False_, 0, 0, 0
    for start in range(0, len(plain), _PIECE_BYTES):
        piece = np.frombuffer(plain[start : start + _PIECE_BYTES], dtype=np.uint8)
        in_text = np.bitwise_xor.accumulate(piece == _QUOTE) ^ is_text
        is_text = in_text[-1]
        outside = piece[~in_text]
        commas += int(np.count_nonzero(outside == _COMMA))
        steps = _STEPS[outside]
        steps = steps[steps != 0]
        containers += int(np.count_nonzero(steps > 0))
        depths = depth + np.cumsum(steps, dtype=np.int64)
        if len(depths):
            _refuse_depth(int(depths.max()))
            depth = int(depths[-1])
        _refuse_counts(containers, commas)
    return containers


def _refuse_depth(depth: int) -> None:
    if depth > DEPTH_LIMIT:
        raise MalformedDocument("nesting_too_deep", f"the body is nested deeper than {DEPTH_LIMIT} levels")


def _refuse_counts(containers: int, commas: int) -> None:
    if containers > CONTAINERS_LIMIT:
        raise MalformedDocument(
            "document_too_large",
            f"the body has more than {CONTAINERS_LIMIT:,} lists and objects; split the batch",
        )
    if commas > VALUES_LIMIT:
        raise MalformedDocument(
            "document_too_large", f"the body has more than {VALUES_LIMIT:,} values; split the batch"
        )


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    value = dict(pairs)
    if len(value) < len(pairs):
        _refuse_repeated_key([key for key, _ in pairs])
    return value


def _refuse_repeated_key(keys: list[str]) -> NoReturn:
    key, _ = Counter(keys).most_common(1)[0]
    raise MalformedDocument("duplicate_key", f"the key {key[:64]!r} is repeated in one object")


def _refuse_constant(text: str) -> NoReturn:
    raise MalformedDocument("malformed_json", f"the body is not JSON: {text} is not a number")


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) < _TOO_MANY_DIGITS else math.inf
