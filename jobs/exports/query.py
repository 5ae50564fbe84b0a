"""What an export holds: the query for the rows of each symbol, and the format of its files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self
from urllib.parse import urlencode

from stats.exceptions import NoData
from stats.market_data.answers.page import page_snapshot, queried_symbols, selected_columns
from stats.market_data.datasets import MARKET_DATASETS
from stats.market_data.plan import is_known
from stats.market_data.query import (
    MARKET_CLASSES,
    MarketDataQuery,
    MarketDataset,
    check_universe,
    parse_query,
)
from stats.parameters import UNIVERSE_MARK
from stats.rendering.formats import FORMATS
from store.timestamps import format_timestamp
from trades.instruments.services import requested_symbol
from web.requests.exceptions import InvalidParameter
from web.requests.json_fields import JsonObject

PARQUET = "parquet"
EXPORT_FORMATS = (PARQUET, *(name for name, each in FORMATS.items() if each.stream is not None))
DEFAULT_CLASS = "equities"
# A dataset of what holds at one instant has no range.
EXPORTED = {name: each for name, each in MARKET_DATASETS.items() if not each.at_one_instant}
# Files have all rows, in the order of time, with times as their format writes them.
_NOT_OF_EXPORTS = {"sort", "time", "trailer"}
PARAMETER_NAMES = tuple(
    dict.fromkeys(
        name
        for dataset in EXPORTED.values()
        for name in dataset.parameters(streamed=True, several=False)
        if name not in _NOT_OF_EXPORTS
    )
)


@dataclass(frozen=True, slots=True)
class ExportQuery:
    """An export's dataset, symbols and format, and the parameters of the query for each symbol's rows.

    parameters: those of the dataset's stream, as its query string has them.
    """

    dataset: MarketDataset
    market_class: str
    symbols: tuple[str, ...]
    format: str
    parameters: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """Return the query of a request's body, or of a job's parameters."""
        return cls(
            EXPORTED[document["dataset"]],
            document["class"],
            tuple(document["symbols"]),
            document["format"],
            tuple((name, _text(document[name])) for name in PARAMETER_NAMES if name in document),
        )

    @property
    def is_by_date(self) -> bool:
        """Whether a symbol has a file for each UTC date: of Parquet, if rows are closer together than a day."""
        resolution = self.of_symbol(self.symbols[0]).resolution
        is_short = not resolution.is_period and not self.dataset.of_instants
        return self.format == PARQUET and is_short

    def of_symbol(self, symbol: str) -> MarketDataQuery:
        """Return the query for the rows of one symbol. Raises `InvalidParameter` and `InvalidValue`."""
        query_string = urlencode(self.parameters)
        return parse_query(self.dataset, self.market_class, symbol, query_string, streamed=True)


def export_parameters(document: JsonObject, *, now_ns: int) -> JsonObject:
    """Return the parameters of the job that makes an export: all that a later attempt needs to make the same bytes.

    `as_of` becomes now, if it is not earlier. Symbols become canonical, a universe its members that are known, so that
    there is nothing left to look up by name. Raises what a page of the same rows raises.
    """
    query = ExportQuery.of(document)
    first = query.of_symbol("A")
    as_of_ns = now_ns if first.as_of_ns is None else min(first.as_of_ns, now_ns)
    symbols = _resolved(query.symbols, replace(first, as_of_ns=as_of_ns), now_ns)
    made = {name: value for name, value in document.items() if name != "symbol_as_of"}
    made |= {"symbols": list(symbols), "as_of": format_timestamp(as_of_ns)}
    query = ExportQuery.of(made)
    for symbol in symbols:
        page = page_snapshot(query.of_symbol(symbol), now_ns=now_ns)
        selected_columns(page.source.columns, page.query.fields)
    return made


def _resolved(names: Sequence[str], query: MarketDataQuery, now_ns: int) -> tuple[str, ...]:
    """Return the canonical symbols of names, or the known members of a universe."""
    universes = [name.removeprefix(UNIVERSE_MARK) for name in names if name.startswith(UNIVERSE_MARK)]
    if not universes:
        symbols = tuple(map(requested_symbol, names))
        return queried_symbols(replace(query, symbols=symbols), now_ns=now_ns)
    if len(names) > 1:
        raise InvalidParameter("invalid_parameter", 'symbols: a universe stands alone, as in ["@SP500"]')
    universe = requested_symbol(universes[0])
    check_universe(MARKET_CLASSES[query.market_class.path], universe)
    members = queried_symbols(replace(query, symbols=(), universe=universe), now_ns=now_ns)
    known = tuple(filter(is_known, members))
    if not known:
        raise NoData(f"no member of @{universe} has rows in the range")
    return known


def _text(value: Any) -> str:
    return ",".join(value) if isinstance(value, list) else str(value)
