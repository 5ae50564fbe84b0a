"""Alpaca's historical bars, trades and quotes: pages of the market-data API with other parameters and another shape."""

import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import numpy as np
from django.http.response import HttpResponseBase
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request

from dialects.alpaca.market_rows import BARS, QUOTES, TRADES, AlpacaRows
from dialects.alpaca.openapi import described_call, page
from stats.caching.keys import Irrelevant
from stats.delivery.answers import LogName, TakeSnapshot
from stats.delivery.responses import AnswerViewSet
from stats.market_data.answers.page import page_snapshot
from stats.market_data.answers.report import ReshapedPage
from stats.market_data.query import MARKET_CLASSES, MarketDataQuery
from stats.market_data.query_parameters import PARAMETERS, Parameters, QueryParameter, RowQuerySerializer
from stats.parameters import (
    DEFAULT_PAGE,
    Bound,
    BoundField,
    CursorField,
    QueryTimeField,
    SymbolList,
    WordField,
    query_values,
)
from stats.rendering.format import RowsDocument
from store.resolutions import Resolution
from store.timestamps import DAY_NS, SECOND_NS
from trades.instruments.services import requested_symbol
from web.endpoints import Access
from web.routed_views import RoutedViewSet

_UNITS = {"Min": "m", "T": "m", "Hour": "h", "H": "h", "Day": "d", "D": "d", "Week": "w", "W": "w", "Month": "M", "M": "M"}  # fmt: skip
_TIMEFRAME = re.compile(rf"([1-9][0-9]?)({'|'.join(_UNITS)})")
# Of an equity and of an option the days are New York's, of crypto UTC's.
ZONES = {"equities": "America/New_York", "options": "America/New_York", "crypto": "UTC"}
# Adjustments for splits and dividends; for one alone, for both in one word, and as Alpaca's list of words.
_ADJUSTMENTS = {
    "raw": "raw",
    "split": "split",
    "all": "all",
    "split,dividend": "all",
    "dividend,split": "all",
}


@extend_schema_field({"type": "string", "examples": ["1Min", "15Min", "1Hour", "1Day", "1Week", "1Month"]})
class TimeframeField(serializers.Field[Resolution, str, str, Any]):
    """A length of bars: a number and `Min`, `Hour`, `Day`, `Week` or `Month`, or their first letters (`T` for minutes)."""

    code = "unknown_resolution"
    default_error_messages = {
        code: "must be 1Min to 99Min, 1Hour to 23Hour, 1Day to 31Day, 1Week to 52Week or 1Month to 12Month"
    }

    def to_internal_value(self, data: str) -> Resolution:
        match = _TIMEFRAME.fullmatch(data)
        try:
            return Resolution.of_bars(f"{match[1]}{_UNITS[match[2]]}" if match else "")
        except ValueError:
            self.fail(self.code)


class LastInstantField(BoundField):
    """The last instant of a range. Gives the exclusive end."""

    def to_internal_value(self, data: str) -> Bound:
        last = super().to_internal_value(data)
        return last._replace(instant_ns=last.instant_ns + 1)


@extend_schema_field({"type": "string", "format": "date"})
class AsOfDateField(QueryTimeField):
    """A date, or `-` for none."""

    def to_internal_value(self, data: str) -> int | None:  # type: ignore[override]
        return None if data == "-" else super().to_internal_value(data)


def parameter(name: str, field_class: type[Any], text: str, **options: Any) -> QueryParameter:
    """Return a parameter of the query."""
    return QueryParameter(name, field_class, {"help_text": text, **options})


def word(name: str, words: tuple[str, ...], text: str) -> QueryParameter:
    """Return a parameter that is one of some words."""
    return parameter(name, WordField, text, words=words)


FEED = word("feed", ("sip", "iex"), "Both mean all that is stored; other feeds are refused.")
OPTION_FEED = word("feed", ("opra", "indicative"), "Both mean all that is stored.")
CURRENCY = word("currency", ("USD",), "The currency of prices.")
PAGE_TOKEN = parameter(
    "page_token",
    CursorField,
    "`next_page_token` of a page.",
    error_messages={"invalid_cursor": "is of no page"},
)
_PAGED: Parameters = (
    replace(PARAMETERS["start"], options={"help_text": "First instant. Default: the beginning of today."}),
    parameter(
        "end",
        LastInstantField,
        "Last instant, or of daily and longer bars last date; included. Default: now.",
    ),
    "limit",
    PAGE_TOKEN,
    "sort",
)
_STOCKS: Parameters = (
    FEED,
    CURRENCY,
    parameter("asof", AsOfDateField, "When the symbols had their meaning; `-`: now."),
)
_OF_BARS: Parameters = (parameter("timeframe", TimeframeField, "The length of bars.", required=True),)
_ADJUSTMENT = word("adjustment", tuple(_ADJUSTMENTS), "Adjusted for splits, or for splits and dividends.")


@dataclass(frozen=True, slots=True, eq=False)
class AlpacaPages:
    """Pages of a kind of rows. market_class: the path of the class that has them."""

    rows: AlpacaRows
    market_class: str

    def serializer(self, *, several: bool) -> RowQuerySerializer:
        """Return the serializer of the query parameters."""
        is_bars, is_stock = self.rows is BARS, self.market_class == "equities"
        return RowQuerySerializer(
            (
                *(("symbols",) if several else ()),
                *(_OF_BARS if is_bars else ()),
                *_PAGED,
                *(_STOCKS if is_stock else ()),
                *((_ADJUSTMENT,) if is_bars and is_stock else ()),
            ),
            needs_range=False,
        )


PAGES = {
    f"{market_class}-{rows.name}": AlpacaPages(rows, market_class)
    for market_class, kinds in (
        ("equities", (BARS, TRADES, QUOTES)),
        ("crypto", (BARS, TRADES, QUOTES)),
        ("options", (BARS, TRADES)),
    )
    for rows in kinds
}


@lru_cache(maxsize=4096)
def parse_alpaca_query(pages: AlpacaPages, symbol: str | None, query_string: str) -> MarketDataQuery:
    """Parse a URL's query string. symbol: None if the query string has the symbols.

    Raises `InvalidParameter` and `InvalidValue`.
    """
    values = query_values(pages.serializer(several=symbol is None), query_string)
    symbols = values["symbols"] if symbol is None else SymbolList((requested_symbol(symbol),))
    resolution = values.get("timeframe")
    zone = ZoneInfo(ZONES[pages.market_class])
    return MarketDataQuery.of(
        pages.rows.dataset,
        symbols.names,
        market_class=MARKET_CLASSES[pages.market_class],
        universe=symbols.universe,
        resolution=resolution,
        limit=values.get("limit", DEFAULT_PAGE),
        several=True,
        cursor=values.get("page_token"),
        is_descending=values.get("sort") == "desc",
        symbol_as_of_ns=values.get("asof"),
        adjustment=_ADJUSTMENTS[values.get("adjustment", "raw")],
        has_maximum_range=False,
        skips_unknown=symbol is None,
        **_range(values.get("start"), values.get("end"), resolution, zone),
    )


def _range(
    start: Bound | None, end: Bound | None, resolution: Resolution | None, zone: ZoneInfo
) -> dict[str, Any]:
    """Return the range of a query for the rows whose time is in a range: of bars the time is their start.

    A date as the end of daily and longer bars is that trading date.
    """
    start_ns, end_ns = start and start.instant_ns, end and end.instant_ns
    if resolution is None or not resolution.is_period:
        length_ns = 1 if resolution is None else resolution.length_ns
        return {"start_ns": start_ns and -(-start_ns // length_ns) * length_ns, "end_ns": end_ns}
    if start_ns is not None:
        start_ns = _period_from(-(-_local_ns(start_ns, zone) // DAY_NS), resolution)
    if end is not None:
        last_ns = end.instant_ns - 1
        last_day = (last_ns if end.is_date else _local_ns(last_ns, zone)) // DAY_NS
        end_ns = _period_from(last_day + 1, resolution)
    return {"start_ns": start_ns, "end_ns": end_ns, "whole_dates": (True, True)}


def _local_ns(instant_ns: int, zone: ZoneInfo) -> int:
    """Return what a clock of the zone shows, in nanoseconds since 1970."""
    offset = datetime.fromtimestamp(instant_ns // SECOND_NS, UTC).astimezone(zone).utcoffset()
    return instant_ns + (0 if offset is None else int(offset.total_seconds()) * SECOND_NS)


def _period_from(day: int, resolution: Resolution) -> int:
    """Return the first day of the first period that begins on a day or later, in nanoseconds."""
    if not resolution.is_uneven:
        return -(-day // resolution.count) * resolution.count * DAY_NS
    number = resolution.number_of_day(np.array([day - 1])) + 1
    return int(resolution.start_ns(number)[0])


@dataclass(frozen=True, eq=False)
class AlpacaAnswer(ReshapedPage):
    """The base of pages in Alpaca's shape. until_ns: when the day ends that is the default range; None for another range."""

    until_ns: Annotated[int | None, Irrelevant("the page has the range")] = field(default=None, kw_only=True)

    @property
    def name(self) -> str:
        return f"alpaca-{self.page.name}"

    @property
    def expires_ns(self) -> int | None:
        expiries = (super().expires_ns, self.until_ns)
        return min((each for each in expiries if each is not None), default=None)


@dataclass(frozen=True, eq=False)
class AlpacaPage(AlpacaAnswer):
    """A page of rows. labels: the symbols' names as the client wrote them. is_single: of a path with a symbol."""

    rows: Annotated[AlpacaRows, Irrelevant("the name has it")]
    labels: tuple[str, ...]
    is_single: bool

    def document(self) -> RowsDocument:
        """See `AnswerSnapshot.document`."""
        page = self.page.page()
        table = page.rows.table.reversed() if self.query.is_descending else page.rows.table
        counts = np.bincount(page.rows.symbol_index, minlength=len(self.labels)).tolist()
        token = self.page.neighbours(page)["next_cursor"]
        # A descending page is read from the end, where the first symbol comes last.
        order = -1 if self.query.is_descending else 1
        named = zip(self.labels, counts[::order], strict=True)
        return RowsDocument(
            head={},
            rows_name=self.rows.name,
            table=self.rows.table(table, zone=ZONES[self.query.market_class.path]),
            tail={**({"symbol": self.labels[0]} if self.is_single else {}), "next_page_token": token},
            groups=None if self.is_single else [(label, count) for label, count in named if count],
        )


def alpaca_page_snapshot(
    query: MarketDataQuery, rows: AlpacaRows, *, is_single: bool, now_ns: int
) -> AlpacaPage:
    """Return the page of a query at the newest commits. Raises the errors of `page_snapshot`."""
    until_ns = None
    if query.start_ns is None:
        today = now_ns // DAY_NS
        query, until_ns = replace(query, start_ns=today * DAY_NS), (today + 1) * DAY_NS
    page = page_snapshot(query, now_ns=now_ns)
    labels = tuple(label_of(name, query.market_class.path) for name in query.symbols or page.symbols)
    return AlpacaPage(query, page, rows, labels, is_single, until_ns=until_ns)


def label_of(symbol: str, market_class: str) -> str:
    """Return a symbol as clients write it: pairs of crypto have a slash."""
    return symbol.replace("-", "/", 1) if market_class == "crypto" else symbol


class AlpacaPagesViewSet(RoutedViewSet, AnswerViewSet):
    """Pages of bars, trades and quotes. Of a route: subject, a name of `PAGES`; is_single: whether it has a symbol."""

    access = {"retrieve": Access("market:read", cost="page")}
    renderer_classes = [JSONRenderer]
    subject = ""
    is_single = False

    def described(self) -> dict[str, Any]:
        """See `RoutedViewSet`."""
        pages = PAGES[self.subject]
        example = label_of(MARKET_CLASSES[pages.market_class].example, pages.market_class)
        return described_call(
            pages.rows.name.capitalize(),
            pages.serializer(several=not self.is_single),
            page(pages.rows, example, is_single=self.is_single),
            is_single=self.is_single,
        )

    def retrieve(self, request: Request, symbol: str | None = None) -> HttpResponseBase:
        """Rows of a range, page by page."""
        return self.respond(request, request.META["QUERY_STRING"], subject=self.subject, symbol=symbol)

    @classmethod
    def parse_call(cls, query_string: str, answer_format: str, **path: Any) -> TakeSnapshot:
        """See `AnswerViewSet.parse_call`."""
        pages, symbol = PAGES[path["subject"]], path["symbol"]
        query = parse_alpaca_query(pages, symbol, query_string)
        return partial(alpaca_page_snapshot, query, pages.rows, is_single=symbol is not None)

    @classmethod
    def expected_logs(cls, query_string: str, **path: Any) -> frozenset[LogName] | None:
        """See `AnswerViewSet.expected_logs`."""
        query = parse_alpaca_query(PAGES[path["subject"]], path["symbol"], query_string)
        logs = frozenset((stored, name) for stored in query.dataset.logs_of(query) for name in query.symbols)
        return logs or None
