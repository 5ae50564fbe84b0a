"""The header by which a request is known again."""

import pytest

from web.idempotency.answers import parse_key
from web.requests.exceptions import InvalidParameter


@pytest.mark.parametrize(
    ("header", "key"),
    [(None, None), ("k-1", "k-1"), ('"k-1"', "k-1"), ('"', '"'), ('"k', '"k'), ("k" * 255, "k" * 255)],
)
def test_a_key_is_quoted_or_bare(header, key):
    assert parse_key(header) == key


@pytest.mark.parametrize("header", ["", '""', "a b", "é", "k\n", "k" * 256])
def test_a_malformed_key_is_refused(header):
    with pytest.raises(InvalidParameter) as refused:
        parse_key(header)
    assert refused.value.code == "invalid_idempotency_key"
