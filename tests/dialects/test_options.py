"""Alpaca's options: quotes, snapshots and chains have the quotes and the greeks of ours."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine

from store.timestamps import parse_timestamp
from tests.api_client import Api, answer, trade, usual_key
from tests.stats.market_data.options.market import (
    STRIKES,
    UNDERLYING,
    Contract,
    chain_of,
    store_chain,
    store_quotes,
)

pytestmark = pytest.mark.usefixtures("db", "project_redis")
BASE = "/api/v1beta1/options"
NOW = datetime.now(UTC).replace(microsecond=0)
QUOTED = (NOW - timedelta(minutes=1)).isoformat().replace("+00:00", "Z")
EXPIRY, BEFORE, AFTER = ((NOW + timedelta(days=days)).date().isoformat() for days in (15, 14, 16))
CHAIN = [
    Contract(strike, is_call, EXPIRY, parse_timestamp(f"{EXPIRY}T21:00:00Z"))
    for strike in STRIKES
    for is_call in (True, False)
]
CALL, PUT = CHAIN[2:4]
GREEKS = ("delta", "gamma", "rho", "theta", "vega")


@pytest.fixture
def api() -> Any:
    with time_machine.travel(NOW, tick=False):
        api = Api(usual_key())
        store_chain(api, at=QUOTED, contracts=CHAIN)
        yield api


def snapshots(api: Api, path: str = UNDERLYING, **params: Any) -> Any:
    return answer(api.get(f"{BASE}/snapshots/{path}", params))


def test_a_chain_has_each_option_with_our_greeks(api: Api):
    ours = {row["symbol"]: row for row in chain_of(api)}
    found = snapshots(api)
    assert set(found) == {"snapshots", "next_page_token"}
    assert [*found["snapshots"]] == [*ours]
    assert len(ours) == len(CHAIN)
    for symbol, snapshot in found["snapshots"].items():
        row = ours[symbol]
        assert snapshot["impliedVolatility"] == row["iv"]
        assert snapshot["greeks"] == {name: row[name] for name in GREEKS}
        quote = snapshot["latestQuote"]
        assert (quote["t"], quote["bp"], quote["ap"]) == (row["quote_timestamp"], row["bid"], row["ask"])
        assert [str(quote[name]) for name in ("bs", "as")] == ["0", "0"]


def test_a_walk_has_each_option_once(api: Api):
    token: dict[str, str] = {}
    found: list[str] = []
    while True:
        page = snapshots(api, limit=4, **token)
        found += page["snapshots"]
        if page["next_page_token"] is None:
            break
        token = {"page_token": page["next_page_token"]}
    assert found == [row["symbol"] for row in chain_of(api)]


@pytest.mark.parametrize(
    ("params", "count"),
    [
        ({"type": "call"}, 3), ({"strike_price_gte": "100"}, 4), ({"strike_price_lte": "99.5"}, 2),
        ({"strike_price_gte": "100", "strike_price_lte": "100", "type": "put"}, 1),
        ({"expiration_date": EXPIRY}, 6), ({"expiration_date": BEFORE}, 0),
        ({"expiration_date_gte": AFTER}, 0), ({"expiration_date_lte": EXPIRY}, 6),
        ({"root_symbol": "ABC"}, 6), ({"root_symbol": "ABC1"}, 0), ({"updated_since": QUOTED}, 6),
        ({"updated_since": NOW.isoformat()}, 0), ({"feed": "indicative"}, 6),
    ],
)  # fmt: skip
def test_a_filter_leaves_out_the_other_options(api: Api, params: dict[str, str], count: int):
    assert len(snapshots(api, **params)["snapshots"]) == count


def test_the_chain_of_an_index_has_the_options_of_all_its_roots(api: Api):
    answer(api.ingest(trade(symbol="SPX", timestamp=QUOTED, price=100.0, volume=1)))
    monthly, weekly = (CALL.symbol.replace(UNDERLYING, root) for root in ("SPX", "SPXW"))
    store_quotes(api, [CALL.quote(QUOTED) | {"symbol": symbol} for symbol in (monthly, weekly)])
    assert [*snapshots(api, "SPX")["snapshots"]] == [monthly, weekly]
    assert [*snapshots(api, "SPX", root_symbol="SPXW")["snapshots"]] == [weekly]


def test_snapshots_have_the_newest_quote_and_its_greeks(api: Api):
    symbols = f"{CALL.symbol},{PUT.symbol}"
    found = answer(api.get(f"{BASE}/snapshots", {"symbols": symbols}))["snapshots"]
    assert [*found] == [CALL.symbol, PUT.symbol]
    quotes = answer(api.get(f"{BASE}/quotes/latest", {"symbols": symbols}))["quotes"]
    greeks = answer(api.get(f"/api/v1/market-data/options/{CALL.symbol}/greeks", {"last": 1}))["greeks"][0]
    assert {symbol: each["latestQuote"] for symbol, each in found.items()} == quotes
    assert quotes[CALL.symbol]["bp"] == greeks["bid"]
    assert found[CALL.symbol]["greeks"] == {name: greeks[name] for name in GREEKS}
    priced = found[CALL.symbol]
    assert (priced["impliedVolatility"], priced["latestTrade"]) == (greeks["iv"], None)


def test_an_option_that_trades_has_trades_and_bars(api: Api):
    assert answer(api.get(f"{BASE}/trades/latest", {"symbols": CALL.symbol})) == {"trades": {}}
    answer(api.ingest(trade(symbol=CALL.symbol, timestamp=QUOTED, price=2.5, volume=3)))
    latest = answer(api.get(f"{BASE}/trades/latest", {"symbols": CALL.symbol}))["trades"][CALL.symbol]
    query = {"symbols": CALL.symbol, "start": f"{QUOTED[:13]}:00:00Z"}
    assert answer(api.get(f"{BASE}/trades", query))["trades"] == {CALL.symbol: [latest]}
    (bar,) = answer(api.get(f"{BASE}/bars", query | {"timeframe": "1Hour"}))["bars"][CALL.symbol]
    assert (latest["p"], bar["c"], bar["v"]) == (2.5, 2.5, 3)


@pytest.mark.parametrize(
    ("path", "params", "status"),
    [
        ("snapshots/NOPE", {}, 404), ("snapshots/ABC", {"type": "both"}, 400), (f"snapshots/{CALL.symbol}", {}, 404),
        ("snapshots/ABC", {"strike_price_gte": "x"}, 400), ("quotes", {}, 404), ("bars", {"feed": "sip"}, 400),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_refused(api: Api, path: str, params: dict[str, str], status: int):
    response = api.get(f"{BASE}/{path}", params)
    assert (response.status_code, response.json()["code"]) == (status, status * 100_000), response.content


@pytest.mark.parametrize("name", ["snapshots", "quotes/latest", "bars"])
def test_what_is_no_option_is_left_out(api: Api, name: str):
    key, params = name.partition("/")[0], {"timeframe": "1Day"} if name == "bars" else {}
    answer(api.ingest(trade(symbol=CALL.symbol, timestamp=QUOTED)))
    for symbols, known in ((f"NOPE,{CALL.symbol},{UNDERLYING}", [CALL.symbol]), (f"{UNDERLYING},NOPE", [])):
        found = api.get(f"{BASE}/{name}", {"symbols": symbols, **params})
        assert (found.status_code, [*found.json()[key]]) == (200, known)


def test_letters_of_exchanges_have_names(api: Api):
    assert answer(api.get(f"{BASE}/meta/exchanges"))["N"] == "XNYS"
    assert answer(api.get("/api/v2/stocks/meta/exchanges"))["Q"] == "XNAS"
