"""The page about options has the table of index options that undeclared options follow."""

import re

from django.conf import settings

from store.index_options import INDEX_OPTIONS

_ROW = re.compile(r"^\| `([A-Z]+)` \| ([A-Z]+) \| (American|European) \| (AM|PM) \| \S", re.MULTILINE)


def test_the_table_of_index_options_is_that_of_the_store():
    page = (settings.BASE_DIR / "docs" / "options.md").read_text()
    rows = [(root, *(each.lower() for each in terms)) for root, *terms in _ROW.findall(page)]
    assert rows == [
        (root, each.underlying.lower(), each.exercise, each.settlement)
        for root, each in INDEX_OPTIONS.items()
    ]
