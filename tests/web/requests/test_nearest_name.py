"""Which known name is meant by one that is not known."""

import pytest

from web.requests.nearest_name import nearest_name, nearest_or_all

PARAMETERS = ("adjustment", "as_of", "coverage", "cursor", "end", "fields", "format", "hours", "last", "limit", "partial", "resolution", "session", "sort", "start", "symbols", "time")  # fmt: skip
COLUMNS = ("timestamp", "date", "open", "high", "low", "close", "volume", "vwap", "trade_count", "status")


@pytest.mark.parametrize(
    ("name", "known", "meant"),
    [
        ("limt", PARAMETERS, "limit"),
        ("Limit", PARAMETERS, "limit"),
        ("strat", PARAMETERS, "start"),
        ("asof", PARAMETERS, "as_of"),
        ("closs", COLUMNS, "close"),
        ("XNSY", ("XNZE", "XNYS", "XNAS"), "XNYS"),
        ("nyse", ("NYSE", "NASDAQ"), "NYSE"),
    ],
)
def test_a_slip_gets_the_nearest_name(name, known, meant):
    assert nearest_name(name, known) == f"; did you mean {meant}?"


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("rate", PARAMETERS),
        ("spam", COLUMNS),
        ("sort", ("symbol", "interval", "start", "end", "limit", "cursor", "as_of", "format")),
        ("to", PARAMETERS),
        ("x", ("y", "z")),
        ("", COLUMNS),
        ("limit" * 50, PARAMETERS),
        ("ZZZZ", ("XNYS", "XNAS")),
    ],
)
def test_another_word_gets_no_hint(name, known):
    assert nearest_name(name, known) == ""
    assert nearest_or_all(name, known) == f"; known are {', '.join(sorted(known))}"
