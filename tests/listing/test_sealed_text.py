"""Sealed texts: whose they are, and under which secrets they open."""

import pytest

from listing.exceptions import InvalidCursor
from listing.sealed_text import opened_text, sealed_text


@pytest.mark.parametrize("payload", [b"", b"\x00", bytes(range(256))])
def test_a_payload_comes_back_as_it_was(payload):
    assert opened_text(sealed_text(payload, label="a"), label="a") == payload


def test_what_was_sealed_for_one_purpose_is_not_opened_for_another():
    with pytest.raises(InvalidCursor):
        opened_text(sealed_text(b"7", label="a"), label="b")


@pytest.mark.parametrize("text", ["", "A", "AAAA", "é", "=" * 4, "A" * 64])
def test_what_was_never_sealed_is_refused(text):
    with pytest.raises(InvalidCursor):
        opened_text(text, label="a")
