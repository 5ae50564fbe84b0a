"""One JSON document, read strictly."""

import math

import pytest

from http_requests.exceptions import MalformedDocument
from http_requests.json_document import DEPTH_LIMIT, read_json


def test_a_document_is_read():
    body = '{"a": [1, 2.5, null, true, "\u00e9\\ud83d\\ude00"]}'.encode()
    assert read_json(body) == {"a": [1, 2.5, None, True, "\u00e9\U0001f600"]}


@pytest.mark.parametrize("digits", ["1" + "0" * 400, "1e400"])
def test_a_number_that_no_float_can_hold_is_infinite(digits):
    assert read_json(digits.encode()) == math.inf


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        (b"\xef\xbb\xbf{}", "malformed_json", "the body begins with a byte order mark; send UTF-8 without one"),
        (b'"\xff"', "malformed_json", "the body is not UTF-8: byte 1 is wrong"),
        (b'"\\ud83d"', "malformed_json", "the body is not JSON of Unicode texts: an escape is half of a surrogate pair"),
        (b'{\n"a" 1}', "malformed_json", "the body is not JSON: Expecting ':' delimiter at line 2, column 5"),
        (b"[NaN]", "malformed_json", "the body is not JSON: NaN is not a number"),
        (b"-Infinity", "malformed_json", "the body is not JSON: -Infinity is not a number"),
        (b'{"a":1,"a":1}', "duplicate_key", "the key 'a' is repeated in one object"),
        (b"[" * (DEPTH_LIMIT + 1), "nesting_too_deep", f"the body is nested deeper than {DEPTH_LIMIT} levels"),
    ],
    ids=lambda value: ascii(value)[:40],
)  # fmt: skip
def test_what_is_wrong_with_a_body_is_said(body, code, message):
    with pytest.raises(MalformedDocument) as refused:
        read_json(body)
    assert (refused.value.code, str(refused.value)) == (code, message)


def test_only_brackets_outside_of_texts_nest():
    text = rb'"[[{{\"[[' + b"[" * 2_000 + b'"'
    assert read_json(b"[" * 500 + text + b"]" * 500)
    with pytest.raises(MalformedDocument, match="500 levels"):
        read_json(b"[" * 501 + text + b"]" * 501)
