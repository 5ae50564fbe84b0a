"""The tags of the OpenAPI document in the order of use, and its paths in the order of their tags."""

import re
from dataclasses import dataclass
from typing import Any

_MARKET = r"market-data/{}(?!.*/(?:commits|gaps)$)(?:/|$)"


@dataclass(frozen=True, slots=True)
class Tag:
    """A group of operations. pattern: matches the beginning of their paths, without `/api/v1/`."""

    name: str
    description: str
    pattern: str


TAGS = (
    Tag("equities", "Market data of equities: bars, trades, quotes, snapshots.", _MARKET.format("equities")),
    Tag("crypto", "Market data of crypto pairs, around the clock.", _MARKET.format("crypto")),
    Tag("futures", "Market data of futures, also joined into one continuous series.", _MARKET.format("futures")),
    Tag("options", "Market data of options, with implied volatility and greeks.", _MARKET.format("options")),
    Tag("fx", "Market data of currency pairs.", _MARKET.format("fx")),
    Tag("universes", "The members of indices and lists, at any instant.", rf"{_MARKET.format('universes')}|universes(?:/|$)"),
    Tag("bars", "Bars of trades in the short form, with one parameter for the interval.", r"stats/"),
    Tag("ingest", "Store rows: trades, quotes, bars and the other datasets; correct them.", r"[a-z-]+/(?:ingest|corrections)$"),
    Tag("instruments", "What symbols stand for, condition codes, trading dates and hours.", r"(?:instruments|conditions|calendar|clock)(?:/|$)"),
    Tag("live", "The commits of a symbol's logs.", r"market-data/.*/commits$"),
    Tag("jobs", "Long work: its progress, and how to cancel it.", r"jobs(?:/|$)"),
    Tag("exports", "Rows as files: whole ranges of many symbols, made by a job.", r"(?:exports|datasets|downloads)(?:/|$)"),
    Tag("webhooks", "Be told of events by calls to a URL of yours; alerts of prices.", r"(?:webhooks|alerts)(?:/|$)"),
    Tag("uploads", "Files of rows of any size, sent in pieces and imported by a job.", r"ingest/batch(?:/|$)"),
    Tag("sources", "Fetch history from exchanges and vendors, and keep symbols current.", r"(?:feeds|fetches|sources)(?:/|$)"),
    Tag("gaps and backfills", "Find missing rows, and fetch them.", r"(?:gaps|backfills|market-data/.*/gaps)$"),
    Tag("trading", "Trade on paper: accounts, orders, executions, portfolio, risk.", r"(?:accounts|backtests|strategies|models|orders|executions|trade|trading|transactions|signals|status|portfolio|performance|risk|config)(?:/|$)|trades$"),
    Tag("access", "Logins, tokens, keys and limits.", r"(?:auth|oauth|keys|limits)(?:/|$)"),
    Tag("audit", "The record of every call.", r"audit(?:/|$)"),
    Tag("operation", "The cache of answers.", r"cache/"),
)  # fmt: skip
# Of market data, these come first, in this order.
_FIRST = ("ohlcv", "trades", "quotes", "latest", "snapshot")


def order_by_tag(result: dict[str, Any], generator: Any, **_: Any) -> dict[str, Any]:
    """Give each operation of v1 its tag, and sort the paths (postprocessing hook of drf-spectacular)."""
    if generator.of_version.name != "v1":
        return result
    tags = {path: tag_of(path) for path in result["paths"]}
    for path, item in result["paths"].items():
        for operation in item.values():
            operation["tags"] = [tags[path].name]
    order = sorted(tags, key=lambda path: (TAGS.index(tags[path]), *_place(path)))
    result["paths"] = {path: result["paths"][path] for path in order}
    result["tags"] = [{"name": tag.name, "description": tag.description} for tag in TAGS]
    return result


def tag_of(path: str) -> Tag:
    """Return the first tag whose pattern fits a path, else the last of all. A test holds that exactly one fits."""
    return next(iter(tags_fitting(path)), TAGS[-1])


def tags_fitting(path: str) -> list[Tag]:
    """Return the tags whose pattern fits a path."""
    return [tag for tag in TAGS if re.match(tag.pattern, path.removeprefix("/api/v1/"))]


def _place(path: str) -> tuple[bool, int, str]:
    """Return the place of a path within its tag: one symbol before several, then by dataset."""
    _, of_symbol, rest = path.partition("{symbol}/")
    dataset = rest.partition("/")[0] if of_symbol else path.rpartition("/")[2]
    rank = _FIRST.index(dataset) if dataset in _FIRST else len(_FIRST)
    return "market-data/" in path and "{symbol}" not in path, rank, path
