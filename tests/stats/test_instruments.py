"""The instrument of a symbol decides which bars its readers get, and what cannot be told is said."""

import pytest
import time_machine

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


def test_an_answer_as_of_the_past_goes_by_the_policy_of_then_and_may_be_kept_for_ever(api: Api) -> None:
    with time_machine.travel("2026-01-05T10:00:00Z", tick=False):
        api.ingest(trade(symbol="IBM", price=10), trade(symbol="IBM", price=99, conditions=["odd_lot"]))
    with time_machine.travel("2026-01-05T12:00:00Z", tick=False):
        before = api.ohlc(symbol="IBM", as_of="2026-01-05T11:00:00Z")
        instrument_set(symbol="IBM", bar_policy="us_equities")
        again = api.ohlc(symbol="IBM", as_of="2026-01-05T11:00:00Z")
    assert "immutable" in before["Cache-Control"]
    assert (again.content, again["ETag"]) == (before.content, before["ETag"])
    assert api.bars("IBM")[0]["high"] == 10


@pytest.mark.parametrize(
    ("line", "code"),
    [('{"symbol":"IBM","bar_policy":"of_tomorrow"}', "store_unavailable"), ("garbage", "data_damaged")],
)
def test_bars_whose_policy_cannot_be_told_are_503(traded: Api, store_path, line: str, code: str) -> None:
    assert traded.bars("IBM")
    (store_path / "instruments.jsonl").write_text(f"{line}\n")
    assert problem(traded.ohlc(symbol="IBM")) == (503, code)
    assert traded.ingest(trade(symbol="IBM", price=11)).status_code == 200
