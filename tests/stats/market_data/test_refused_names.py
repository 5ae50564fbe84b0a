"""What is said of names that nobody knows: of classes, datasets, symbols, and of those that are left out."""

import pytest

from tests.api_client import Api, answer, problem

pytestmark = pytest.mark.django_db
TREE = "/api/v1/market-data"


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("equities/AAPL/ohlc", "; did you mean ohlcv?"),
        ("equities/AAPL/ohlc.csv", "; did you mean ohlcv?"),
        ("equities/AAPL/trade/stream", "; did you mean trades?"),
        ("crypto/BTC/USD/quote", "; did you mean quotes?"),
        ("equity/AAPL/ohlcv", "; known are crypto, equities, futures, fx, options, universes"),
        ("equites/AAPL/ohlcv", "; did you mean equities?"),
        (
            "equities/AAPL",
            "; known are corporate-actions, coverage, gaps, latest, ohlcv, quotes, revisions, snapshot, stored-bars, trades, trading-status",
        ),
        (
            "equities",
            "; known are corporate-actions, coverage, gaps, latest, ohlcv, quotes, revisions, snapshot, stored-bars, trades, trading-status",
        ),
        ("", "; known are crypto, equities, futures, fx, options, universes"),
        ("equities/AAPL/MSFT/IBM/ohlcv", ""),
        ("options/AAPL/greeks/stream", ""),
    ],
)
def test_a_misspelt_path_gets_the_nearest_name(api: Api, path: str, hint: str) -> None:
    response = api.get(f"{TREE}/{path}")
    assert problem(response) == (404, "not_found")
    assert answer(response)["message"] == f"there is nothing at {TREE}/{path}{hint}"


@pytest.mark.parametrize(
    "path", ["/api/v1/market/equities", "/market-data/equity", "/api/v2/market-data/equity"]
)
def test_a_path_outside_market_data_gets_no_hint(api: Api, path: str) -> None:
    assert answer(api.get(path))["message"] == f"there is nothing at {path}"


def test_the_symbol_that_cannot_be_one_is_named_among_several(api: Api) -> None:
    response = api.get(f"{TREE}/equities/ohlcv", {"symbols": "AAPL,A*,MSFT", "last": "1"})
    assert problem(response) == (422, "invalid_symbol")
    assert answer(response)["message"].startswith("symbols: 'A*': a symbol is ")


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/api/v1/stats/ohlc", "symbol"),
        (f"{TREE}/equities/ohlcv?last=1", "symbols"),
    ],
)
def test_a_missing_parameter_is_reported_like_other_errors(api: Api, path: str, name: str) -> None:
    response = api.get(path)
    assert problem(response) == (400, "missing_parameter")
    assert answer(response)["message"] == f"{name}: is required"
    assert [error["message"] for error in answer(response)["errors"]] == ["is required"]
