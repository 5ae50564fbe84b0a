"""OCC symbols, compact and padded, and what only looks like one."""

from datetime import date

import pytest

from store.symbols import InvalidSymbol, OptionSymbol, parse_option_symbol, parse_symbol

CALL = OptionSymbol("AAPL", date(2025, 1, 17), "call", 150_000)


@pytest.mark.parametrize(
    ("compact", "padded", "option", "strike"),
    [
        ("AAPL250117C00150000", "AAPL  250117C00150000", CALL, 150.0),
        ("F250117P00012500", "F     250117P00012500", OptionSymbol("F", date(2025, 1, 17), "put", 12_500), 12.5),
        ("GE140621C00000005", "GE    140621C00000005", OptionSymbol("GE", date(2014, 6, 21), "call", 5), 0.005),
        ("SPY991231P99999999", "SPY   991231P99999999", OptionSymbol("SPY", date(2099, 12, 31), "put", 99_999_999), 99_999.999),
        ("GOOGL240229C00140333", "GOOGL 240229C00140333", OptionSymbol("GOOGL", date(2024, 2, 29), "call", 140_333), 140.333),
        ("BRKBXY250117C00400000", "BRKBXY250117C00400000", OptionSymbol("BRKBXY", date(2025, 1, 17), "call", 400_000), 400.0),
        ("AAPL7250117C00150000", "AAPL7 250117C00150000", OptionSymbol("AAPL7", date(2025, 1, 17), "call", 150_000), 150.0),
        ("2SPX000101C04500000", "2SPX  000101C04500000", OptionSymbol("2SPX", date(2000, 1, 1), "call", 4_500_000), 4500.0),
    ],
    ids=["four", "one", "two, mills", "three, largest", "five, leap day", "six", "adjusted", "flexible"],
)  # fmt: skip
def test_padded_and_compact_symbols_parse_to_the_same_option(
    compact: str, padded: str, option: OptionSymbol, strike: float
):
    assert parse_option_symbol(compact) == parse_option_symbol(padded) == option
    assert (option.compact, option.padded, option.strike) == (compact, padded, strike)
    assert parse_symbol(compact) == parse_symbol(padded) == parse_symbol(padded.lower()) == compact


@pytest.mark.parametrize(
    "text",
    [
        "AAPL", "", "250117C00150000", "AAPL250117X00150000", "AAPL250117C0015000", "AAPL250117C001500000",
        "AAPL251317C00150000", "AAPL250132C00150000", "AAPL250229C00150000", "AAPL250100C00150000", "AAPL250117C00000000",
        "TOOLONG250117C00150000", "123250117C00150000", "AAPL 250117C00150000", "AAPL   250117C00150000", " AAPL 250117C00150000",
        "AA PL 250117C00150000", "BRK.B 250117C00150000", "AAPL  250117C00150000 ", "AAPL\t\t250117C00150000", "aapl250117C00150000",
        "AAPL250117C0015000\u0660",
    ],
)  # fmt: skip
def test_text_that_is_no_option_symbol(text: str):
    assert parse_option_symbol(text) is None


@pytest.mark.parametrize(
    "text",
    ["AAPL  251317C00150000", "AAPL   250117C00150000", "AAPL  250117C00000000", "F      250117P00012500", "AAPL  US"],
)  # fmt: skip
def test_blanks_side_by_side_are_for_padded_symbols_of_real_dates_only(text: str):
    with pytest.raises(InvalidSymbol):
        parse_symbol(text)
