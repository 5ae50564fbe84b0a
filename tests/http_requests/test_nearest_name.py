"""Which known name is meant by one that is not known."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from http_requests.nearest_name import nearest_name, nearest_or_all

PARAMETERS = ("adjustment", "as_of", "coverage", "cursor", "end", "fields", "format", "hours", "last", "limit", "partial", "resolution", "session", "sort", "start", "symbols", "time")  # fmt: skip
COLUMNS = ("timestamp", "date", "open", "high", "low", "close", "volume", "vwap", "trade_count", "status")


@pytest.mark.parametrize(
    ("name", "known", "meant"),
    [
        ("limt", PARAMETERS, "limit"),
        ("Limit", PARAMETERS, "limit"),
        ("strat", PARAMETERS, "start"),
        ("sorted", PARAMETERS, "sort"),
        ("resolutoin", PARAMETERS, "resolution"),
        ("asof", PARAMETERS, "as_of"),
        ("symbol", PARAMETERS, "symbols"),
        ("closs", COLUMNS, "close"),
        ("XNYZ", ("XNZE", "XNYS", "XNAS"), "XNYS"),
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
        ("nope", COLUMNS),
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


@given(
    st.text("abc", min_size=6, max_size=9),
    st.integers(0, 5),
    st.sampled_from(["drop", "add", "swap", "mistake"]),
)
def test_one_slip_of_any_kind_is_near(name, place, slip):
    pair = name[place : place + 2]
    instead = {"drop": pair[1:], "add": f"{pair}x", "swap": pair[::-1], "mistake": f"x{pair[1:]}"}[slip]
    written = name[:place] + instead + name[place + 2 :]
    assert nearest_name(written, ["unlike_it", name]) == f"; did you mean {name}?"
