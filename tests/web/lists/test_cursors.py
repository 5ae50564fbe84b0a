"""Cursors of lists."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from web.lists.cursors import Cursor, InvalidCursor

QUERY = "('keys', [('sort', 'asc')])"


@given(st.booleans(), st.text(max_size=40).filter(lambda text: text.isprintable()))
def test_a_cursor_is_read_as_it_was_given(backward, place):
    cursor = Cursor(backward, place, QUERY)
    assert Cursor.decode(cursor.encode(), query=QUERY) == cursor


def test_a_cursor_of_another_query_or_list_is_refused():
    text = Cursor(False, "7", QUERY).encode()
    for other in (QUERY.replace("asc", "desc"), QUERY.replace("keys", "records")):
        with pytest.raises(InvalidCursor, match="another query"):
            Cursor.decode(text, query=other)


@given(st.integers(min_value=0), st.integers(1, 255))
def test_a_changed_cursor_is_refused(place, change):
    text = Cursor(True, "AAPL", QUERY).encode()
    place %= len(text)
    changed = text[:place] + chr((ord(text[place]) + change) % 256) + text[place + 1 :]
    with pytest.raises(InvalidCursor):
        Cursor.decode(changed, query=QUERY)


@pytest.mark.parametrize("ending", ["=", "==", "A", "\n", "é"])
def test_a_cursor_has_one_spelling(ending):
    with pytest.raises(InvalidCursor):
        Cursor.decode(Cursor(False, "7", QUERY).encode() + ending, query=QUERY)


def test_fallback_secrets_unseal_cursors(settings):
    text = Cursor(False, "7", QUERY).encode()
    before, settings.SECRET_KEY = settings.SECRET_KEY, "another"
    with pytest.raises(InvalidCursor):
        Cursor.decode(text, query=QUERY)
    settings.SECRET_KEY_FALLBACKS = [before]
    assert Cursor.decode(text, query=QUERY).position == "7"
