"""Options of a time before 1970, whose instants are negative numbers."""

import pytest

from store.instruments import OPTION, Instrument
from tests.api_client import Api
from tests.stats.market_data.options.market import UNDERLYING, rows_of, store_quotes, store_spot, surface_of
from trades.stores import market_store

SPOT_AT, QUOTED_AT, ASKED_AT = "1969-11-03T15:00:00Z", "1969-11-03T15:00:01Z", "1969-11-03T15:10:00Z"


@pytest.fixture
def market(api: Api) -> Api:
    """A caller before one quoted call, and one trade of its underlying."""
    market_store().set_instrument(
        Instrument(
            "OLD-C", instrument_class=OPTION, underlying=UNDERLYING, expiry="1969-12-19", strike=100.0, right="call"
        )
    )  # fmt: skip
    store_spot(api, SPOT_AT)
    store_quotes(api, [{"timestamp": QUOTED_AT, "symbol": "OLD-C", "bid": 3.9, "ask": 4.1}])
    return api


def test_quotes_imply_what_they_do_later(market: Api):
    (row,) = rows_of(market, "OLD-C", start=SPOT_AT, end=ASKED_AT)
    assert (row["spot"], row["spot_timestamp"], row["reason"]) == (100.0, SPOT_AT, None)
    assert row["iv"] > 0.1


def test_a_surface_has_their_instants(market: Api):
    (row,) = surface_of(market, end=ASKED_AT)
    assert (row["quote_timestamp"], row["spot_timestamp"], row["reason"]) == (QUOTED_AT, SPOT_AT, None)
