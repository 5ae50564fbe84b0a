"""One JSON document, read strictly."""

import contextlib
import json
import math
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from web.requests import json_document
from web.requests.exceptions import MalformedDocument
from web.requests.json_document import CONTAINERS_LIMIT, DEPTH_LIMIT, VALUES_LIMIT, read_json


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
def test_the_message_says_what_is_wrong_with_a_body(body, code, message):
    with pytest.raises(MalformedDocument) as refused:
        read_json(body)
    assert (refused.value.code, str(refused.value)) == (code, message)


def test_only_brackets_outside_of_texts_nest():
    text = rb'"[[{{\"[[' + b"[" * 2_000 + b'"'
    assert read_json(b"[" * 500 + text + b"]" * 500)
    with pytest.raises(MalformedDocument, match="500 levels"):
        read_json(b"[" * 501 + text + b"]" * 501)


TOO_MANY = {
    "lists": (b"[" + b"[]," * CONTAINERS_LIMIT + b"[]]", "lists and objects"),
    "objects": (b"[" + b"{}," * CONTAINERS_LIMIT + b"{}]", "lists and objects"),
    "numbers": (b"[" + b".5," * (VALUES_LIMIT + 1) + b".5]", "values"),
    "keys": (b"{" + b'"":0,' * (VALUES_LIMIT + 1) + b'"":0}', "values"),
    "lists of which none ends": (b"[]," * CONTAINERS_LIMIT + b"[]", "lists and objects"),
}


@pytest.mark.parametrize(("body", "counted"), TOO_MANY.values(), ids=TOO_MANY)
def test_a_document_that_is_larger_than_any_batch_is_refused_before_it_is_built(body, counted):
    tracemalloc.start()
    try:
        with pytest.raises(MalformedDocument, match=counted) as refused:
            read_json(body)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert refused.value.code == "document_too_large"
    # The counting's own pieces, however long the body is.
    assert peak < 20 * 2**20


def test_as_much_as_a_batch_needs_is_read():
    assert read_json(b"[" + b"{}," * (CONTAINERS_LIMIT - 2) + b"{}]") == [{}] * (CONTAINERS_LIMIT - 1)


@given(
    st.recursive(
        st.text(alphabet='[]{},"\\a', max_size=8) | st.integers(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(alphabet='[]",\\', max_size=4), inner, max_size=3),
        max_leaves=20,
    )
)  # fmt: skip
def test_brackets_in_strings_do_not_count(document):
    body = json.dumps(document).encode()
    containers, commas = size_of(document)
    assert read_json(body) == document
    with limits(containers=containers, commas=commas):
        assert read_json(body) == document
    if containers:
        with limits(containers=containers - 1, commas=commas), pytest.raises(MalformedDocument):
            read_json(body)
    if commas:
        with limits(containers=containers, commas=commas - 1), pytest.raises(MalformedDocument):
            read_json(body)


def size_of(document: object) -> tuple[int, int]:
    """Containers and commas of a document's JSON."""
    if not isinstance(document, list | dict):
        return 0, 0
    inner = [size_of(each) for each in (document.values() if isinstance(document, dict) else document)]
    own = max(len(document) - 1, 0)
    return 1 + sum(containers for containers, _ in inner), own + sum(commas for _, commas in inner)


@contextlib.contextmanager
def limits(*, containers: int, commas: int):
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(json_document, "CONTAINERS_LIMIT", containers)
        patched.setattr(json_document, "VALUES_LIMIT", commas)
        yield
