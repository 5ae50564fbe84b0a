"""Alpaca's answers as its documentation has them, and a server that gives them page by page."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson

from tests.ops.outbound.hostile_server import Behaviour, Call, says

# https://docs.alpaca.markets/reference/stocktrades, …/stockbars, …/stockquotes, …/cryptobars-1, …/corporateactions-1
TRADE = {
    "t": "2022-01-03T09:00:00.086175744Z",
    "x": "P",
    "p": 178.26,
    "s": 246,
    "c": ["@", "T"],
    "i": 1,
    "z": "C",
}
DAYS = [
    {"t": "2022-01-03T05:00:00Z", "o": 178.26, "h": 182.88, "l": 177.71, "c": 182.01, "v": 104677470, "n": 800829, "vw": 181.431299},
    {"t": "2022-01-04T05:00:00Z", "o": 182.63, "h": 182.94, "l": 179.12, "c": 179.7, "v": 99310438, "n": 831498, "vw": 180.44},
    {"t": "2022-07-05T04:00:00Z", "o": 137.77, "h": 141.61, "l": 136.93, "c": 141.56, "v": 73353798, "n": 579700, "vw": 139.8},
]  # fmt: skip
QUOTE = {
    "t": "2022-01-03T09:00:00.028160898Z",
    "ax": " ",
    "ap": 0,
    "as": 0,
    "bx": "Q",
    "bp": 177.92,
    "bs": 4,
    "c": ["Y"],
    "z": "C",
}
ACTIONS: dict[str, list[dict[str, Any]]] = {
    "forward_splits": [
        {"cusip": "037833100", "id": "a7932b15-f816-4f83-921e-998b524487b1", "ex_date": "2020-08-31", "new_rate": 4, "old_rate": 1, "payable_date": "2020-08-28", "process_date": "2020-08-31", "record_date": "2020-08-24", "symbol": "AAPL"},
    ],
    "reverse_splits": [
        {"id": "08faf3fd-5e20-43f1-a96d-e858c083cb65", "ex_date": "2021-06-29", "new_cusip": "438516205", "new_rate": 1, "old_cusip": "438516106", "old_rate": 2, "process_date": "2021-06-29", "symbol": "AAPL"},
    ],
    "cash_dividends": [
        {"cusip": "037833100", "id": "a7932b15-f816-4f83-921e-998b524487b4", "ex_date": "2021-05-07", "foreign": False, "payable_date": "2021-05-28", "process_date": "2021-05-28", "rate": 0.22, "record_date": "2021-05-10", "special": False, "symbol": "AAPL"},
        {"cusip": "037833100", "id": "a7932b15-f816-4f83-921e-998b524487b5", "ex_date": "2021-05-07", "foreign": False, "process_date": "2021-05-28", "rate": 1.5, "special": False, "symbol": "AAPL"},
        {"cusip": "037833100", "id": "a7932b15-f816-4f83-921e-998b524487b6", "ex_date": "2021-11-05", "foreign": False, "process_date": "2021-12-01", "rate": 0.5, "special": True, "symbol": "AAPL"},
    ],
    "stock_dividends": [
        {"id": "a7932b15-f816-4f83-921e-998b524487b7", "ex_date": "2021-08-02", "process_date": "2021-08-03", "rate": 0.05, "symbol": "AAPL"},
    ],
    "name_changes": [{"id": "a", "old_symbol": "AAPX", "new_symbol": "AAPL", "process_date": "2021-01-01"}],
}  # fmt: skip
ASSETS: list[dict[str, Any]] = [
    {"id": "b0b6dd9d-8b9b-48a9-ba46-b9d54906e415", "class": "us_equity", "exchange": "NASDAQ", "symbol": "AAPL", "name": "Apple Inc. Common Stock", "status": "active", "tradable": True},
    {"id": "276e2673-764b-4ab6-a611-caf665ca6340", "class": "crypto", "exchange": "CRYPTO", "symbol": "BTC/USD", "name": "Bitcoin / US Dollar", "status": "active", "min_order_size": "0.0001", "price_increment": "1"},
]  # fmt: skip


def asked(call: Call) -> dict[str, str]:
    """The query of a call."""
    return {name: values[0] for name, values in parse_qs(urlsplit(call.path).query).items()}


def gives(name: str, rows: list[dict[str, Any]], symbol: str = "AAPL", most: int = 10_000) -> Behaviour:
    """Pages of the rows that a call asks for, at most so many in each."""

    def behave(call: Call) -> None:
        query = asked(call)
        found = [row for row in rows if query["start"] <= row["t"] <= query["end"]]
        first, count = int(query.get("page_token", 0)), min(most, int(query["limit"]))
        token = str(first + count) if first + count < len(found) else None
        page = found[first : first + count]
        body = {name: {symbol: page} if page else {}, "next_page_token": token}
        says(orjson.dumps(body))(call)

    return behave


def gives_actions(call: Call) -> None:
    """The corporate actions that were processed in the time that a call asks for, kind by kind on a page of its own."""
    query = asked(call)
    kinds = {
        kind: [row for row in rows if query["start"] <= row["process_date"] <= query["end"]]
        for kind, rows in ACTIONS.items()
    }
    names, first = [kind for kind, rows in kinds.items() if rows], int(query.get("page_token", 0))
    page = {kind: kinds[kind] for kind in names[first : first + 1]}
    token = str(first + 1) if first + 1 < len(names) else None
    says(orjson.dumps({"corporate_actions": page, "next_page_token": token}))(call)


def gives_assets(call: Call) -> None:
    says(orjson.dumps([each for each in ASSETS if each["class"] == asked(call)["asset_class"]]))(call)
