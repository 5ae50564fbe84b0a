"""Alpaca's option chains: the newest quote of each option of an underlying, with its volatility and greeks now."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from msgspec import Raw

from dialects.alpaca.market_rows import QUOTES, TRADES
from dialects.alpaca.openapi import GREEKS, by_symbol, described_call, option_snapshot, paged
from dialects.alpaca.pages import OPTION_FEED, PAGE_TOKEN, AlpacaAnswer, AlpacaRowsViewSet, parameter
from dialects.alpaca.symbols import ZONES
from stats.delivery.answers import ParsedCall
from stats.exceptions import WrongClass
from stats.market_data.answers.page import page_snapshot
from stats.market_data.options.datasets import OPTION_GREEKS
from stats.market_data.options.parameters import PricingOptions
from stats.market_data.options.surface import SurfaceSource
from stats.market_data.query import MARKET_CLASSES, MarketDataQuery
from stats.market_data.query_parameters import RowQuerySerializer
from stats.market_data.ticks import out_columns, tick_table
from stats.parameters import QueryNumberField, QueryTimeField, SymbolsField, WordField, query_values
from stats.rendering.format import TimeForm
from stats.rendering.json_rows import row_objects
from store.datasets import OPTION_QUOTES
from store.instruments import OPTION
from store.timestamps import DAY_NS
from trades.instruments.services import requested_symbol, symbol_canonical
from trades.stores import market_store

# The end of a standard option's symbol: its expiry, its right and its strike.
_TERMS_LENGTH = 15
_PAGE_LIMIT = 100


_SERIALIZER = RowQuerySerializer(
    (
        OPTION_FEED,
        parameter("type", WordField, "Only these options.", words=("call", "put")),
        parameter("strike_price_gte", QueryNumberField, "The lowest strike.", bound=1e9),
        parameter("strike_price_lte", QueryNumberField, "The highest strike.", bound=1e9),
        parameter("expiration_date", QueryTimeField, "The expiry."),
        parameter("expiration_date_gte", QueryTimeField, "The first expiry."),
        parameter("expiration_date_lte", QueryTimeField, "The last expiry."),
        parameter("root_symbol", SymbolsField, "The beginning of the options' symbols."),
        parameter("updated_since", QueryTimeField, "Only options with a quote since then."),
        "limit",
        PAGE_TOKEN,
    ),
    needs_range=False,
)

# Whether a row of a chain is as a parameter's value says.
_TESTS: Mapping[str, Callable[[Mapping[str, Any], Any], bool]] = {
    "type": lambda row, right: row["right"] == right,
    "strike_price_gte": lambda row, strike: row["strike"] >= strike,
    "strike_price_lte": lambda row, strike: row["strike"] <= strike,
    "expiration_date_gte": lambda row, day_ns: row["expiry"] * DAY_NS >= day_ns,
    "expiration_date_lte": lambda row, day_ns: row["expiry"] * DAY_NS <= day_ns,
    "root_symbol": lambda row, roots: row["symbol"][:-_TERMS_LENGTH] in roots,
    "updated_since": lambda row, time_ns: (row["quote_timestamp"] or 0) >= time_ns,
}


def with_greeks(row: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the volatility and the greeks of a row of `OPTION_GREEKS`, as members of a snapshot."""
    found = {} if row is None else {name: row[name] for name in GREEKS}
    greeks = None if None in found.values() else found or None
    return {"impliedVolatility": row and row["iv"], "greeks": greeks}


@dataclass(frozen=True, eq=False)
class AlpacaChain(AlpacaAnswer):
    """A page of an option chain, with fewer options than asked for where some are left out.

    wanted: the names and the values of the query's parameters.
    """

    wanted: tuple[tuple[str, Any], ...]

    def document(self) -> dict[str, Any]:
        """See `AnswerSnapshot.document`."""
        page, tests = self.page.page(), [(_TESTS[name], each) for name, each in self.wanted if name in _TESTS]
        rows = [
            row for row in page.rows.table.data.to_pylist() if all(test(row, each) for test, each in tests)
        ]
        quotes = self._quotes({row["symbol"] for row in rows})
        snapshots = {
            row["symbol"]: {"latestTrade": None, "latestQuote": quotes.get(row["symbol"]), **with_greeks(row)}
            for row in rows
        }
        return {"snapshots": snapshots, "next_page_token": self.page.neighbours(page)["next_cursor"]}

    def _quotes(self, symbols: set[str]) -> dict[str, Raw]:
        """Return the options' newest quotes, those from which the chain's rows are made."""
        index_of, rows = cast("SurfaceSource", self.page.source).last_quotes
        wanted = {symbol: index for symbol, index in index_of.items() if symbol in symbols}
        if not wanted:
            return {}
        is_whole = all(market_store().instrument(symbol).has_integer_volume for symbol in wanted)
        columns = out_columns(OPTION_QUOTES, has_integer_volume=is_whole)
        quotes = QUOTES.table(tick_table(rows.take([*wanted.values()]), columns), zone=ZONES["options"])
        return dict(
            zip(wanted, map(Raw, row_objects(quotes, TimeForm.RFC3339, "\n").splitlines()), strict=True)
        )


def _chain_snapshot(
    query: MarketDataQuery, wanted: tuple[tuple[str, Any], ...], *, now_ns: int
) -> AlpacaChain:
    (symbol,) = query.symbols
    if market_store().instrument(symbol_canonical(symbol)).instrument_class == OPTION:
        raise WrongClass(
            f"{symbol} is an option, which has no chain: see /api/v1beta1/options/snapshots?symbols={symbol}"
        )
    return AlpacaChain(query, page_snapshot(query, now_ns=now_ns), wanted)


class AlpacaChainViewSet(AlpacaRowsViewSet):
    """Option chains."""

    def described(self) -> dict[str, Any]:
        """See `RoutedViewSet`."""
        each = option_snapshot({"latestTrade": TRADES, "latestQuote": QUOTES})
        answer = paged({"snapshots": by_symbol(MARKET_CLASSES["options"].example, each)})
        return described_call("Option chain", _SERIALIZER, answer, is_single=True)

    @classmethod
    def parse_call(cls, query_string: str, answer_format: str, **path: Any) -> ParsedCall:
        """See `AnswerViewSet.parse_call`."""
        values = query_values(_SERIALIZER, query_string)
        query = MarketDataQuery.of(
            OPTION_GREEKS,
            (requested_symbol(path["symbol"]),),
            market_class=MARKET_CLASSES["options"],
            limit=values.get("limit", _PAGE_LIMIT),
            cursor=values.get("page_token"),
            options=PricingOptions(values.get("expiration_date")),
        )
        return ParsedCall(partial(_chain_snapshot, query, tuple(values.items())))
