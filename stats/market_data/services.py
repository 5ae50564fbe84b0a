"""The services of the market-data API, called by its endpoints, `/stats/ohlc` and other apps."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from stats.delivery.pinned_answer import PinnedAnswer, PinnedContent, Representation, cached_entry
from stats.market_data.answers.pin import page_pin
from stats.market_data.answers.pinned_page import PinnedPage
from stats.market_data.datasets import MARKET_DATASETS
from stats.market_data.query import (
    MarketDataQuery,
    Target,
    check_format,
    class_of,
    parse_query,
)
from stats.market_data.reports import COVERAGE, ReportQuery, coverage_pin, report_pin
from trades.exceptions import InvalidValue
from trades.stores import market_store
from web.requests.compression import ENCODINGS


def market_data_page(*, query: MarketDataQuery, now_ns: int) -> PinnedPage:
    """Return a page of rows at the newest commits or, with a cursor, at the cursor's commits. now_ns: nanoseconds UTC.

    Raises `InvalidParameter`, the store's `StorageError`s and every `StatsError`.
    """
    return page_pin(MARKET_DATASETS[query.form.name], query, now_ns=now_ns)


def market_data_report(*, query: ReportQuery, now_ns: int) -> PinnedContent:
    """Return a report on symbols at the newest commits. Raises the errors of `market_data_page`."""
    return coverage_pin(query) if query.report == COVERAGE else report_pin(query, now_ns=now_ns)


@dataclass(frozen=True, slots=True)
class Warmed:
    """An answer that is now cached. outcome: as in the header `X-Cache`; `hit` if it was cached before."""

    symbol: str
    query_string: str
    outcome: str


def warm(
    *, symbols: Iterable[str], dataset: str, query_strings: Iterable[str], format_name: str, now_ns: int
) -> Iterator[Warmed]:
    """Compute and cache the answers for each symbol and query string, in every encoding.

    Raises `InvalidValue` for a dataset that a symbol's class does not have, and the errors of
    `market_data_page`.
    """
    queries = list(query_strings)
    for symbol in symbols:
        market_class = class_of(market_store().instrument(symbol).instrument_class)
        if dataset not in market_class.datasets:
            raise InvalidValue(
                "invalid_parameter",
                f"{symbol} is in {market_class.path}, which has {', '.join(market_class.datasets)}, not {dataset}",
            )
        target = Target(market_class.path, MARKET_DATASETS[dataset].form, symbol)
        for query_string in queries:
            query = parse_query(target, query_string)
            check_format(query, format_name)
            page = market_data_page(query=query, now_ns=now_ns)
            outcomes = [
                cached_entry(PinnedAnswer(page, Representation(format_name, encoding)), now_ns=now_ns)[1]
                for encoding in (None, *ENCODINGS)
            ]
            yield Warmed(symbol, query_string, outcomes[0].value)
