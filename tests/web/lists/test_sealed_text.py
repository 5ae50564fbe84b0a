"""Sealed texts: whose they are, and under which secrets they open."""

import pytest

from web.lists.cursors import InvalidCursor, seal_text, unseal_text


def test_a_text_sealed_with_one_label_is_not_unsealed_with_another():
    with pytest.raises(InvalidCursor):
        unseal_text(seal_text(b"7", label="a"), label="b")
