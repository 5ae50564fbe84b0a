"""A generated chain of options: quotes around QuantLib's prices at a known volatility, stored through the API."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

import orjson

from store.timestamps import format_timestamp, parse_timestamp
from tests.api_client import Api, answer, trade
from tests.stats.market_data.builders import complete_until_now
from tests.stats.options.oracle import Option

UNDERLYING = "ABC"
EXPIRY = "2025-01-17"
LAST_TRADE = parse_timestamp("2025-01-17T21:00:00Z")
STRIKES = (95.0, 100.0, 105.0)
RATE, YIELD, VOLATILITY, SPOT = 0.04, 0.015, 0.25, 100.0
YEAR_NS = 365 * 86_400 * 10**9
ROOT = "/api/v1/market-data/options"
OPENING = "2025-01-02T15:00:00Z"


@cache
def _price(option: Option, volatility: float) -> float:
    return option.price(volatility)


@dataclass(frozen=True)
class Contract:
    """An option of the chain."""

    strike: float
    is_call: bool
    expiry: str = EXPIRY
    last_trade_ns: int = LAST_TRADE

    @property
    def symbol(self) -> str:
        return f"{UNDERLYING}{self.expiry[2:].replace('-', '')}{'CP'[not self.is_call]}{self.strike * 1000:08.0f}"

    def price(self, at: str, *, volatility: float = VOLATILITY, spot: float = SPOT) -> float:
        """What QuantLib says that it costs."""
        t = (self.last_trade_ns - parse_timestamp(at)) / YEAR_NS
        return _price(Option(self.is_call, spot, self.strike, t, RATE, YIELD, american=True), volatility)

    def quote(self, at: str, **market: float) -> dict[str, Any]:
        """A cent around its price."""
        price = self.price(at, **market)
        return {"timestamp": at, "symbol": self.symbol, "bid": max(price - 0.01, 0.0), "ask": price + 0.01}


CHAIN = [Contract(strike, is_call) for strike in STRIKES for is_call in (True, False)]
CALL, PUT = Contract(100.0, True), Contract(100.0, False)


def store_quotes(api: Api, quotes: Iterable[dict[str, Any]]) -> None:
    """Store quotes of any options."""
    by_symbol: dict[str, list[dict[str, Any]]] = {}
    for quote in quotes:
        by_symbol.setdefault(quote["symbol"], []).append(quote)
    for rows in by_symbol.values():
        body = orjson.dumps({"option_quotes": rows})
        response = api.ingest(body, path="/api/v1/option-quotes/ingest", query=complete_until_now())
        assert response.status_code == 200, response.content


def store_spot(api: Api, at: str, price: float = SPOT) -> None:
    """Store a trade of the underlying."""
    store_spots(api, [(at, price)])


def store_spots(api: Api, spots: Iterable[tuple[str, float]]) -> None:
    """Store trades of the underlying, each with its time and price."""
    rows = (trade(timestamp=at, symbol=UNDERLYING, price=price, volume=100) for at, price in spots)
    response = api.ingest(*rows)
    assert response.status_code == 200, response.content


def store_chain(api: Api, *, at: str = OPENING, contracts: Iterable[Contract] = CHAIN) -> None:
    """A quote of every option and a trade of the underlying at an instant."""
    store_spot(api, at)
    store_quotes(api, [contract.quote(at) for contract in contracts])


def seconds_after(at: str, seconds: float) -> str:
    """An instant some time after another."""
    return format_timestamp(parse_timestamp(at) + round(seconds * 10**9))


def rows_of(api: Api, symbol: str, dataset: str = "greeks", **params: Any) -> list[dict[str, Any]]:
    """The rows of a page of an option."""
    found: list[dict[str, Any]] = page_of(api, symbol, dataset, **params)[dataset.replace("-", "_")]
    return found


def page_of(api: Api, symbol: str, dataset: str = "greeks", **params: Any) -> Any:
    """A page of an option; without a range of the hour from the opening on."""
    params = {"start": OPENING, "end": seconds_after(OPENING, 3600), **params}
    if "last" in params:
        del params["start"]
    return _answered(api, f"{symbol}/{dataset}", params)


def surface_of(api: Api, symbol: str = UNDERLYING, **params: Any) -> list[dict[str, Any]]:
    """The rows of a page of an underlying's surface."""
    found: list[dict[str, Any]] = surface_page(api, symbol, **params)["implied_volatility"]
    return found


def surface_page(api: Api, symbol: str = UNDERLYING, **params: Any) -> Any:
    """A page of an underlying's surface."""
    return _answered(api, f"{symbol}/implied-volatility", params)


def chain_of(api: Api, symbol: str = UNDERLYING, **params: Any) -> list[dict[str, Any]]:
    """The rows of a page of an underlying's chain, with greeks."""
    found: list[dict[str, Any]] = _answered(api, f"{symbol}/greeks", params)["greeks"]
    return found


def _answered(api: Api, path: str, params: dict[str, Any]) -> Any:
    response = api.get(f"{ROOT}/{path}", {name: str(value) for name, value in params.items()})
    assert response.status_code == 200, response.content
    return answer(response)
