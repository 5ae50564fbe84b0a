"""Answers made before somebody asks."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from http_requests.compression import ENCODINGS
from stats.market_data.datasets import MARKET_DATASETS
from stats.market_data.pinning.pinned import Representation
from stats.market_data.queries.classes import MarketClass, class_of
from stats.market_data.queries.query import Target
from stats.market_data.services import Request, market_data_read
from trades.exceptions import InvalidValue
from trades.stores import market_store


@dataclass(frozen=True, slots=True)
class Warmed:
    """An answer that is kept now. outcome: `hit` if it was before."""

    symbol: str
    query_string: str
    outcome: str


def warm(
    *, symbols: Iterable[str], dataset: str, query_strings: Iterable[str], format_name: str, now_ns: int
) -> Iterator[Warmed]:
    """Ask for each symbol's answers to the queries, in every encoding, so that they are kept.

    Raises `InvalidValue` for a dataset that a symbol's class has not, and as `market_data_read`.
    """
    queries = list(query_strings)
    for symbol in symbols:
        market_class = class_of(market_store().instrument(symbol).instrument_class)
        _check_has(market_class, dataset, symbol)
        target = Target(market_class.path, MARKET_DATASETS[dataset].form, symbol)
        for query_string in queries:
            request = Request(target, "", query_string)
            yield Warmed(symbol, query_string, _outcome(request, format_name, now_ns))


def _outcome(request: Request, format_name: str, now_ns: int) -> str:
    """What the cache had of the answer as it is."""
    outcomes = [
        market_data_read(
            request=request,
            representation=Representation(format_name, encoding),
            if_none_match=None,
            now_ns=now_ns,
        ).headers["X-Cache"]
        for encoding in (None, *ENCODINGS)
    ]
    return outcomes[0]


def _check_has(market_class: MarketClass, dataset: str, symbol: str) -> None:
    if dataset not in market_class.datasets:
        there = ", ".join(market_class.datasets)
        raise InvalidValue(
            "invalid_parameter", f"{symbol} is in {market_class.path}, which has {there}, not {dataset}"
        )
