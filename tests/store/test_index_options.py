"""Undeclared options of index roots have the terms of the exchange's specification; all others are American and PM."""

import pytest

from store.index_options import INDEX_OPTIONS
from store.instruments import OPTION, Instrument, default_instrument
from store.market_store import MarketStore

# As Cboe and Nasdaq publish them: root, index, exercise, settlement.
PUBLISHED = [
    ("SPX", "SPX", "european", "am"),
    ("SPXW", "SPX", "european", "pm"),
    ("SPXPM", "SPX", "european", "pm"),
    ("XSP", "XSP", "european", "pm"),
    ("OEX", "OEX", "american", "pm"),
    ("XEO", "XEO", "european", "pm"),
    ("DJX", "DJX", "european", "am"),
    ("NDX", "NDX", "european", "am"),
    ("NDXP", "NDX", "european", "pm"),
    ("XND", "XND", "european", "pm"),
    ("RUT", "RUT", "european", "am"),
    ("RUTW", "RUT", "european", "pm"),
    ("MRUT", "MRUT", "european", "pm"),
    ("VIX", "VIX", "european", "am"),
    ("VIXW", "VIX", "european", "am"),
    ("MXEA", "MXEA", "european", "pm"),
    ("MXEF", "MXEF", "european", "pm"),
]
OTHERS = [(root, root, "american", "pm") for root in ("AAPL", "SPY", "SPXL", "SPX1", "2SPX", "W", "VIXY")]


@pytest.mark.parametrize(("root", "index", "exercise", "settlement"), [*PUBLISHED, *OTHERS])
def test_an_undeclared_option_has_the_terms_of_its_root(
    root: str, index: str, exercise: str, settlement: str
):
    option = default_instrument(f"{root}241220P05200000")
    assert option == Instrument(
        f"{root}241220P05200000", instrument_class=OPTION, underlying=index, expiry="2024-12-20", strike=5200.0,
        right="put", multiplier=100.0, exercise=exercise, settlement=settlement,
    )  # fmt: skip


def test_every_row_is_published_and_names_its_source():
    assert {
        (root, each.underlying, each.exercise, each.settlement) for root, each in INDEX_OPTIONS.items()
    } == {*PUBLISHED}
    assert all(each.source.startswith(("Cboe, ", "Nasdaq, ")) for each in INDEX_OPTIONS.values())


def test_a_declaration_overrides_the_root(store: MarketStore):
    symbol = "SPX241220P05200000"
    assert store.instrument(symbol).settlement == "am"
    declared = Instrument(
        symbol, instrument_class=OPTION, underlying="IDX", exercise="american", settlement="pm"
    )
    store.set_instrument(declared)
    assert store.instrument(symbol) == declared
