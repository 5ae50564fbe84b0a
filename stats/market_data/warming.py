"""Answers made before somebody asks."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from http_requests.compression import ENCODINGS
from stats.delivery.pinned_answer import Representation, finished_answer
from stats.market_data.datasets import MARKET_DATASETS
from stats.market_data.queries.classes import MarketClass, class_of
from stats.market_data.queries.query import Target, check_format, parse_query
from stats.market_data.services import market_data_page
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

    Raises `InvalidValue` for a dataset that a symbol's class has not, and as `market_data_page`.
    """
    queries = list(query_strings)
    for symbol in symbols:
        market_class = class_of(market_store().instrument(symbol).instrument_class)
        _check_has(market_class, dataset, symbol)
        target = Target(market_class.path, MARKET_DATASETS[dataset].form, symbol)
        for query_string in queries:
            query = parse_query(target, query_string)
            check_format(query, format_name)
            page = market_data_page(query=query, now_ns=now_ns)
            outcomes = [
                finished_answer(page.answer(Representation(format_name, encoding)), now_ns=now_ns).outcome
                for encoding in (None, *ENCODINGS)
            ]
            yield Warmed(symbol, query_string, outcomes[0].value)


def _check_has(market_class: MarketClass, dataset: str, symbol: str) -> None:
    if dataset not in market_class.datasets:
        there = ", ".join(market_class.datasets)
        raise InvalidValue(
            "invalid_parameter", f"{symbol} is in {market_class.path}, which has {there}, not {dataset}"
        )
