"""`BTCUSD` names `BTC-USD` wherever Alpaca takes a pair of crypto."""

from datetime import UTC, datetime
from typing import Any

import pytest

from dialects.alpaca.market_stream import MarketStream
from dialects.alpaca.symbols import pair_of
from store.instruments import Instrument
from store.timestamps import format_timestamp
from tests.api_client import Api
from tests.dialects.test_sockets import subscribed
from tests.dialects.test_trading import ORDER, Caller, hold
from tests.trading.calls import CallDesk
from tests.trading.desks import BEGIN_NS, coin, prints
from trades.stores import market_store

PAIR = "BTC-USD"
NAMES = ("BTCUSD", "btcusd", "BTC/USD", "BTC-USD")


@pytest.fixture
def desk(api: Api) -> CallDesk:
    desk = CallDesk()
    hold(desk, PAIR)
    return desk


@pytest.fixture
def call(desk: CallDesk) -> Caller:
    return Caller()


@pytest.mark.parametrize("name", NAMES)
class TestTrading:
    def test_a_position_and_an_asset(self, call: Caller, name: str) -> None:
        assert call("GET", f"/positions/{name}")["symbol"] == "BTC/USD"
        asset = call("GET", f"/assets/{name}")
        assert (asset["symbol"], float(asset["price_increment"])) == ("BTC/USD", 1e-9)

    def test_orders(self, call: Caller, name: str) -> None:
        placed = call("POST", "/orders", ORDER | {"symbol": name})
        assert placed["symbol"] == "BTC/USD"
        found = call("GET", f"/orders?symbols={name}")
        assert [each["id"] for each in found] == [placed["id"]]
        assert call("DELETE", f"/positions/{name}")["symbol"] == "BTC/USD"

    def test_a_watchlist(self, call: Caller, name: str) -> None:
        made = call("POST", "/watchlists", {"name": "one", "symbols": [name]})
        assert [each["symbol"] for each in made["assets"]] == ["BTC/USD"]
        assert call("DELETE", f"/watchlists/{made['id']}/{name}")["assets"] == []

    def test_market_data(self, call: Caller, name: str) -> None:
        base = "/api/v1beta3/crypto/us"
        query: dict[str, Any] = {"symbols": f"{name},NOPEUSD", "start": format_timestamp(BEGIN_NS)}
        for path, extra in (("bars", {"timeframe": "1min"}), ("trades", {})):
            assert list(call.api.get(f"{base}/{path}", query | extra).json()[path]) == ["BTC/USD"]
        for path in ("latest/trades", "latest/bars", "snapshots"):
            found = call.api.get(f"{base}/{path}", {"symbols": name}).json()
            assert list(found[path.rpartition("/")[2]]) == ["BTC/USD"]

    def test_a_stream(self, desk: CallDesk, name: str) -> None:
        assert subscribed(MarketStream("crypto"), trades=[name])["channels"] == [f"trades:{PAIR}"]


def test_two_spellings_of_a_pair_are_one_symbol(call: Caller) -> None:
    query = {"symbols": "BTCUSD,BTC/USD", "start": format_timestamp(BEGIN_NS)}
    found = call.api.get("/api/v1beta3/crypto/us/trades", query).json()["trades"]
    assert [len(rows) for rows in found.values()] == [2]


def test_currencies_of_four_letters_are_found(default_store: Any) -> None:
    coin("ETH-USDT")
    assert pair_of("ETHUSDT") == "ETH-USDT"


@pytest.mark.django_db
def test_an_instrument_of_that_name_is_itself(default_store: Any) -> None:
    coin(PAIR)
    prints("BTCUSD", (0, 1.0, 1))
    assert pair_of("BTCUSD") == "BTCUSD"


def test_no_other_class_has_pairs_without_a_slash(default_store: Any) -> None:
    market_store().set_instrument(Instrument("EUR-USD", instrument_class="fx", currency="USD"))
    assert pair_of("EURUSD") == "EURUSD"


@pytest.mark.parametrize("minutes", [1, 3, 5, 15, 30])
@pytest.mark.parametrize("unit", ["min", "Min", "MIN", "T"])
def test_a_timeframe_has_any_case(call: Caller, minutes: int, unit: str) -> None:
    query = {"symbols": "BTC/USD", "start": format_timestamp(BEGIN_NS), "timeframe": f"{minutes}{unit}"}
    (bar, *_) = call.api.get("/api/v1beta3/crypto/us/bars", query).json()["bars"]["BTC/USD"]
    start = datetime.fromisoformat(bar["t"])
    assert start.tzinfo == UTC
    assert start.minute % minutes == 0
