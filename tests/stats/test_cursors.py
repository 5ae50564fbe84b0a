"""Cursors of bars and of market data."""

import pytest

from listing.cursors import InvalidCursor
from stats.cursors import PageCursor, RowPosition, SeenCommit

CURSOR = PageCursor(False, RowPosition(0, 10**18), (SeenCommit(5, "ab" * 8),))


def test_fallback_secrets_unseal_cursors(settings):
    text = CURSOR.encode("bars")
    before, settings.SECRET_KEY = settings.SECRET_KEY, "another"
    with pytest.raises(InvalidCursor):
        PageCursor.decode(text, query="bars")
    settings.SECRET_KEY_FALLBACKS = [before]
    assert PageCursor.decode(text, query="bars") == CURSOR
