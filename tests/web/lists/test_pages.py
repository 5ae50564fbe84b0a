"""Pages of rows by a unique column, against a plain list."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from tests.chance import examples
from trades.models import InstrumentEntry
from web.lists.cursors import Cursor
from web.lists.pages import OrderedRows


def walk(*, is_descending: bool) -> OrderedRows:
    return OrderedRows(InstrumentEntry.objects.all(), "symbol", is_descending, "query")


def at(text: str | None) -> Cursor | None:
    return None if text is None else Cursor.decode(text, query="query")


class PagesTest(TestCase):
    @settings(max_examples=examples(40))
    @given(st.sets(st.text("ABC", min_size=1, max_size=3), max_size=12), st.integers(1, 5), st.booleans())
    def test_a_walk_there_and_back_shows_each_row_once_each_way(self, symbols, limit, is_descending):
        InstrumentEntry.objects.all().delete()
        InstrumentEntry.objects.bulk_create([InstrumentEntry(symbol=symbol) for symbol in symbols])
        expected = sorted(symbols, reverse=is_descending)
        pages, cursor = [], None
        while True:
            page = walk(is_descending=is_descending).page(at(cursor), limit)
            pages.append(page)
            if (cursor := page.next_cursor) is None:
                break
        assert [row.symbol for page in pages for row in page.rows] == expected
        assert all(len(page.rows) == limit for page in pages[:-1])
        assert pages[0].prev_cursor is None
        back, cursor = list(pages[-1].rows), pages[-1].prev_cursor
        while cursor is not None:
            page = walk(is_descending=is_descending).page(at(cursor), limit)
            back, cursor = [*page.rows, *back], page.prev_cursor
        assert [row.symbol for row in back] == expected


@pytest.mark.django_db
def test_rows_that_go_or_come_meanwhile_neither_repeat_nor_skip_others():
    InstrumentEntry.objects.bulk_create([InstrumentEntry(symbol=symbol) for symbol in "BDFH"])
    first = walk(is_descending=False).page(None, 2)
    InstrumentEntry.objects.filter(symbol="F").delete()
    InstrumentEntry.objects.bulk_create([InstrumentEntry(symbol=symbol) for symbol in "AG"])
    second = walk(is_descending=False).page(at(first.next_cursor), 2)
    assert [row.symbol for row in (*first.rows, *second.rows)] == ["B", "D", "G", "H"]
    before = walk(is_descending=False).page(at(second.prev_cursor), 5)
    assert [row.symbol for row in before.rows] == ["A", "B", "D"]
