"""The tags of the OpenAPI document in the order of use, and its paths in the order of their tags. Each view has its `tag`."""

from typing import Any

TAGS = {
    "equities": "Market data of equities: bars, trades, quotes, snapshots.",
    "crypto": "Market data of crypto pairs, around the clock.",
    "futures": "Market data of futures, also joined into one continuous series.",
    "options": "Market data of options, with implied volatility and greeks.",
    "fx": "Market data of currency pairs.",
    "universes": "The members of indices and lists, at any instant.",
    "bars": "Bars of trades in the short form, with one parameter for the interval.",
    "ingest": "Store rows: trades, quotes, bars and the other datasets; correct them.",
    "instruments": "What symbols stand for, condition codes, trading dates and hours.",
    "live": "The commits of a symbol's logs.",
    "jobs": "Long work: its progress, and how to cancel it.",
    "exports": "Rows as files: whole ranges of many symbols, made by a job.",
    "webhooks": "Be told of events by calls to a URL of yours; alerts of prices.",
    "uploads": "Files of rows of any size, sent in pieces and imported by a job.",
    "sources": "Fetch history from exchanges and vendors, and keep symbols current.",
    "gaps and backfills": "Find missing rows, and fetch them.",
    "trading": "Trade on paper: accounts, orders, executions, portfolio, risk.",
    "access": "Logins, tokens, keys and limits.",
    "audit": "The record of every call.",
    "operation": "The cache of answers.",
}
_ORDER = list(TAGS)
# Of market data, these come first, in this order.
_FIRST = ("ohlcv", "trades", "quotes", "latest", "snapshot")


def order_by_tag(result: dict[str, Any], generator: Any, **_: Any) -> dict[str, Any]:
    """Sort the paths of v1 by their tags (postprocessing hook of drf-spectacular)."""
    if generator.of_version.name == "v1":
        result["paths"] = dict(sorted(result["paths"].items(), key=_place))
        result["tags"] = [{"name": name, "description": description} for name, description in TAGS.items()]
    return result


def _place(item: tuple[str, dict[str, Any]]) -> tuple[int, bool, int, str]:
    """Return the place of a path: by tag, then one symbol before several, then by dataset."""
    path, operations = item
    [tag] = next(iter(operations.values()))["tags"]
    _, of_symbol, rest = path.partition("{symbol}/")
    dataset = rest.partition("/")[0] if of_symbol else path.rpartition("/")[2]
    rank = _FIRST.index(dataset) if dataset in _FIRST else len(_FIRST)
    return _ORDER.index(tag), "market-data/" in path and "{symbol}" not in path, rank, path
