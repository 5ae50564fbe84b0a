"""No value of any parameter makes Alpaca's endpoints fail, and each refusal has Alpaca's form."""

import random
from urllib.parse import quote

import pytest

from tests.api_client import Api, trade, usual_key
from tests.chance import SOAK, chosen_seed

pytestmark = pytest.mark.usefixtures("db", "project_redis", "default_store")

OPTION = "AAPL270115C00150000"
PATHS = {
    **{
        f"v2/stocks/{end}": "AAPL"
        for end in ("bars", "trades", "quotes", "snapshots", "bars/latest", "quotes/latest")
    },
    **{f"v2/stocks/AAPL/{end}": "" for end in ("bars", "trades/latest", "snapshot")},
    **{f"v1beta3/crypto/us/{end}": "BTC/USD" for end in ("bars", "latest/trades", "snapshots")},
    **{f"v1beta1/options/{end}": OPTION for end in ("bars", "snapshots", "quotes/latest", "meta/exchanges")},
    "v1beta1/options/snapshots/AAPL": "",
    f"v1beta1/options/snapshots/{OPTION}": "",
    "v1beta1/options/snapshots/NOPE": "",
    "v1/corporate-actions": "AAPL",
    "v2/calendar": "",
    "v2/clock": "",
}
NAMES = (
    "symbols", "timeframe", "start", "end", "limit", "page_token", "sort", "feed", "currency", "asof", "adjustment", "types",
    "type", "strike_price_gte", "strike_price_lte", "expiration_date", "expiration_date_gte", "expiration_date_lte",
    "root_symbol", "updated_since", "cusips",
)  # fmt: skip
VALUES = (
    "", "\x00", "-1", "0", "1", "1e309", "NaN", "-", "9" * 30, "2025-01-02", "2025-02-30", "1677-09-21", "2262-04-12",
    "0001-01-01", "9999-12-31T23:59:59.999999999Z", "1Min", "59Min", "12Month", "AAPL,AAPL", "@SP500", "@NOPE", "a,b,c", ",",
    OPTION, "BTC-USD", "BTC/USD", "é", "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"), "A" * 3000, "call", "desc", "all",
)  # fmt: skip


def test_no_value_of_a_parameter_makes_an_endpoint_fail():
    api = Api(usual_key())
    api.ingest(trade())
    calls = [(path, name, value) for path in PATHS for name in NAMES for value in VALUES]
    for path, name, value in calls if SOAK else random.Random(chosen_seed()).sample(calls, 300):
        usual = {"symbols": PATHS[path], "timeframe": "1Day" if path.endswith("bars") else ""}
        query = {key: each for key, each in usual.items() if each} | {name: value}
        target = f"/api/{path}?" + "&".join(f"{key}={quote(each)}" for key, each in query.items())
        response = api.get(target)
        assert response.status_code in {200, 400, 404, 422}, (target, response.content)
        if response.status_code != 200:
            assert response.json()["code"] == response.status_code * 100_000
