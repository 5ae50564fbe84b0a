"""Sealed texts: whose they are, and under which secrets they open."""

import pytest

from listing.cursors import InvalidCursor, seal_text, unseal_text


@pytest.mark.parametrize("payload", [b"", b"\x00", bytes(range(256))])
def test_a_payload_comes_back_as_it_was(payload):
    assert unseal_text(seal_text(payload, label="a"), label="a") == payload


def test_a_text_sealed_with_one_label_is_not_unsealed_with_another():
    with pytest.raises(InvalidCursor):
        unseal_text(seal_text(b"7", label="a"), label="b")


@pytest.mark.parametrize("text", ["", "A", "AAAA", "é", "=" * 4, "A" * 64])
def test_a_text_that_was_never_sealed_is_refused(text):
    with pytest.raises(InvalidCursor):
        unseal_text(text, label="a")
