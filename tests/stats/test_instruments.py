"""The instrument of a symbol decides which bars its readers get, and what cannot be told is said."""

import pytest

from tests.api_client import Api, problem, trade
from trades.services import instrument_set


@pytest.fixture
def traded(api: Api) -> Api:
    for symbol in ("AAPL", "IBM"):
        api.ingest(trade(symbol=symbol, price=10), trade(symbol=symbol, price=99, conditions=["odd_lot"]))
    return api


def test_bars_follow_the_policy_of_their_instrument(traded: Api) -> None:
    instrument_set(symbol="IBM", bar_policy="us_equities")
    assert [traded.bars(symbol)[0]["high"] for symbol in ("AAPL", "IBM")] == [99, 10]


@pytest.mark.parametrize(
    ("line", "code"),
    [('{"symbol":"IBM","bar_policy":"of_tomorrow"}', "store_unavailable"), ("garbage", "data_damaged")],
)
def test_bars_whose_policy_cannot_be_told_are_503(traded: Api, store_path, line: str, code: str) -> None:
    assert traded.bars("IBM")
    (store_path / "instruments.jsonl").write_text(f"{line}\n")
    assert problem(traded.ohlc(symbol="IBM")) == (503, code)
    assert traded.ingest(trade(symbol="IBM", price=11)).status_code == 200
