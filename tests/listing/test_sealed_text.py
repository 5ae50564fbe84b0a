"""Sealed texts: whose they are, and under which secrets they open."""

import pytest

from listing.cursors import InvalidCursor, seal_text, unseal_text


@pytest.mark.parametrize("payload", [b"", b"\x00", bytes(range(256))])
def test_a_payload_comes_back_as_it_was(payload):
    assert unseal_text(seal_text(payload, label="a"), label="a") == payload


def test_what_was_sealed_for_one_purpose_is_not_opened_for_another():
    with pytest.raises(InvalidCursor):
        unseal_text(seal_text(b"7", label="a"), label="b")


@pytest.mark.parametrize("text", ["", "A", "AAAA", "é", "=" * 4, "A" * 64])
def test_what_was_never_sealed_is_refused(text):
    with pytest.raises(InvalidCursor):
        unseal_text(text, label="a")
