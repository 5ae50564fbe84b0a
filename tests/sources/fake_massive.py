"""Massive's answers as its documentation has them, and a server that gives them page by page."""

import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson

from tests.ops.outbound.hostile_server import Call, says

# https://massive.com/docs/rest/stocks/aggregates/custom-bars, …/corporate-actions/splits, …/dividends, …/tickers/all-tickers
DAYS = [
    {"c": 75.0875, "h": 75.15, "l": 73.7975, "n": 1, "o": 74.06, "t": 1577941200000, "v": 135647456, "vw": 74.6099},
    {"c": 74.3575, "h": 75.145, "l": 74.125, "n": 1, "o": 74.2875, "t": 1578027600000, "v": 146535512, "vw": 74.7026},
]  # fmt: skip
SPLITS: list[dict[str, Any]] = [
    {"adjustment_type": "forward_split", "execution_date": "2005-02-28", "historical_adjustment_factor": 0.017857, "id": "E90a77bdf742661741ed7c8fc086415f0457c2816c45899d73aaa88bdc8ff6025", "split_from": 1, "split_to": 2, "ticker": "AAPL"},
    {"adjustment_type": "reverse_split", "execution_date": "2005-03-28", "historical_adjustment_factor": 0.03, "id": "E91", "split_from": 10, "split_to": 1, "ticker": "AAPL"},
]  # fmt: skip
DIVIDENDS: list[dict[str, Any]] = [
    {"cash_amount": 0.26, "currency": "USD", "declaration_date": "2025-07-31", "distribution_type": "recurring", "ex_dividend_date": "2005-03-11", "frequency": 4, "historical_adjustment_factor": 0.997899, "id": "E416a068758f85277196150c3eb73a3963d09698d", "pay_date": "2025-08-14", "record_date": "2025-08-11", "split_adjusted_cash_amount": 0.065, "ticker": "AAPL"},
    {"cash_amount": 3.0, "currency": "USD", "distribution_type": "special", "ex_dividend_date": "2005-03-12", "id": "E5", "ticker": "AAPL"},
]  # fmt: skip
TICKERS: list[dict[str, Any]] = [
    {"active": True, "cik": "0001090872", "currency_name": "usd", "locale": "us", "market": "stocks", "name": "Agilent Technologies Inc.", "primary_exchange": "XNYS", "ticker": "A", "type": "CS"},
    {"active": True, "currency_name": "usd", "locale": "us", "market": "stocks", "name": "Apple Inc.", "primary_exchange": "XNAS", "ticker": "AAPL", "type": "CS"},
]  # fmt: skip
_AGGREGATES = re.compile(r"/v2/aggs/ticker/AAPL/range/1/(day|hour|minute)/([0-9]+)/([0-9]+)")


class FakeMassive:
    """Gives one result a page, and the next page's URL at Massive's own host. bars: those of the answers."""

    def __init__(self, bars: list[dict[str, Any]]) -> None:
        self.bars = bars
        self.queries: list[dict[str, str]] = []

    def __call__(self, call: Call) -> None:
        url = urlsplit(call.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        self.queries.append(query)
        if call.headers["Authorization"] != "Bearer good":
            says(b'{"status":"ERROR","error":"Unknown API Key"}', 401)(call)
            return
        found = self._results(url.path, query)
        first = int(query.get("cursor", 0))
        body: dict[str, Any] = {"status": "OK", "results": found[first : first + 1]}
        if first + 1 < len(found):
            others = "&".join(f"{name}={value}" for name, value in query.items() if name != "cursor")
            body["next_url"] = f"https://api.massive.com{url.path}?{others}&cursor={first + 1}"
        if not body["results"]:
            del body["results"]  # as Massive's answer without results
        says(orjson.dumps(body))(call)

    def _results(self, path: str, query: dict[str, str]) -> list[dict[str, Any]]:
        if path == "/v3/reference/tickers":
            return TICKERS
        for name, day, rows in (
            ("splits", "execution_date", SPLITS),
            ("dividends", "ex_dividend_date", DIVIDENDS),
        ):
            if path == f"/stocks/v1/{name}":
                return [row for row in rows if query[f"{day}.gte"] <= row[day] <= query[f"{day}.lte"]]
        match = _AGGREGATES.fullmatch(path)
        assert match is not None
        assert query["adjusted"] == "false"
        return [bar for bar in self.bars if int(match[2]) <= bar["t"] <= int(match[3])]
