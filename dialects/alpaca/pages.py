"""Alpaca's historical bars, trades and quotes: pages of the market-data API with other parameters and another shape."""

import re
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import lru_cache, partial
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import numpy as np
from django.http.response import HttpResponseBase
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request

from dialects.alpaca.market_rows import BARS, KINDS, AlpacaRows
from dialects.alpaca.openapi import described_call, page
from dialects.alpaca.symbols import ZONES, label_of, pairs_of
from stats.caching.keys import Irrelevant
from stats.delivery.answers import ParsedCall
from stats.delivery.responses import AnswerViewSet
from stats.market_data.answers.page import page_snapshot
from stats.market_data.answers.report import ReshapedPage
from stats.market_data.query import MARKET_CLASSES, MarketDataQuery, MarketDataset, common_fields
from stats.market_data.query_parameters import PARAMETERS, Parameters, QueryParameter, RowQuerySerializer
from stats.parameters import (
    Bound,
    BoundField,
    CursorField,
    QueryTimeField,
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
# Clients write the words in any case, as ccxt does (1min). The letters have one: M is a month.
_TIMEFRAME = re.compile(rf"([1-9][0-9]?)((?i:{'|'.join(each for each in _UNITS if len(each) > 1)})|[THDWM])")
# Our names of parameters.
_OURS = {"page_token": "cursor", "asof": "symbol_as_of", "timeframe": "resolution"}


@extend_schema_field({"type": "string", "examples": ["1Min", "15Min", "1Hour", "1Day", "1Week", "1Month"]})
class TimeframeField(serializers.Field[Resolution, str, str, Any]):
    """A length of bars: a number and `Min`, `Hour`, `Day`, `Week` or `Month` in any case, or their first letters (`T` for minutes)."""

    code = "unknown_resolution"
    default_error_messages = {
        code: "must be 1Min to 99Min, 1Hour to 23Hour, 1Day to 31Day, 1Week to 52Week or 1Month to 12Month"
    }

    def to_internal_value(self, data: str) -> Resolution:
        match = _TIMEFRAME.fullmatch(data)
        try:
            return Resolution.of_bars(f"{match[1]}{_UNITS[match[2].capitalize()]}" if match else "")
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


class AdjustmentField(WordField):
    """For splits, or for splits and dividends: in one word, or as Alpaca's list of words."""

    def to_internal_value(self, data: str) -> str:
        adjustment = super().to_internal_value(data)
        return "all" if "," in adjustment else adjustment


def parameter(name: str, field_class: type[Any], text: str, **options: Any) -> QueryParameter:
    """Return a parameter of the query."""
    return QueryParameter(name, field_class, {"help_text": text, **options})


FEED = parameter(
    "feed", WordField, "Both mean all that is stored; other feeds are refused.", words=("sip", "iex")
)
OPTION_FEED = parameter("feed", WordField, "Both mean all that is stored.", words=("opra", "indicative"))
CURRENCY = parameter("currency", WordField, "The currency of prices.", words=("USD",))
PAGE_TOKEN = parameter(
    "page_token",
    CursorField,
    "`next_page_token` of a page.",
    error_messages={"invalid_cursor": "is of no page"},
)
_PAGED: Parameters = (
    replace(PARAMETERS["start"], options={"help_text": "First instant. Default: 00:00 UTC today."}),
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
_TIMEFRAMES: Parameters = (parameter("timeframe", TimeframeField, "The length of bars.", required=True),)
_ADJUSTMENTS: Parameters = (
    parameter(
        "adjustment", AdjustmentField, "Adjusted for splits, or for splits and dividends.",
        words=("raw", "split", "all", "split,dividend", "dividend,split"),
    ),
)  # fmt: skip


@lru_cache(maxsize=32)
def _serializer(market_class: str, rows: AlpacaRows, *, several: bool) -> RowQuerySerializer:
    """Return the serializer of the query parameters. several: whether they have the symbols."""
    own = _STOCKS if market_class == "equities" else ()
    if rows is BARS:
        own = (*_TIMEFRAMES, *own, *(_ADJUSTMENTS if own else ()))
    return RowQuerySerializer((*(("symbols",) if several else ()), *_PAGED, *own), needs_range=False)


def query_of_walk(
    dataset: MarketDataset, market_class: str, symbol: str | None, values: dict[str, Any], **bounds: Any
) -> MarketDataQuery:
    """Return the query of parameters' values. symbol: None if they have the symbols. bounds: its fields of the range."""
    symbols = values["symbols"] if symbol is None else (requested_symbol(symbol),)
    return MarketDataQuery.of(
        dataset,
        symbols,
        market_class=MARKET_CLASSES[market_class],
        several=True,
        has_maximum_range=False,
        skips_unknown=symbol is None,
        **common_fields({_OURS.get(name, name): each for name, each in values.items() if each is not None}),
        **bounds,
    )


def _parsed(rows: AlpacaRows, market_class: str, symbol: str | None, query_string: str) -> MarketDataQuery:
    """Parse a URL's query string. Raises `InvalidParameter` and `InvalidValue`."""
    values = query_values(_serializer(market_class, rows, several=symbol is None), query_string)
    bounds = values.get("start"), values.get("end"), values.get("timeframe")
    return query_of_walk(
        rows.dataset, market_class, symbol, values, **_range(*bounds, ZoneInfo(ZONES[market_class]))
    )


def _range(
    start: Bound | None, end: Bound | None, resolution: Resolution | None, zone: ZoneInfo
) -> dict[str, Any]:
    """Return the range of a query for the rows whose time is in a range: of bars the time is their start."""
    if resolution is not None and resolution.is_period:
        start_ns, end_ns = (each and _period_from(each, resolution, zone) for each in (start, end))
        return {"start_ns": start_ns, "end_ns": end_ns, "whole_dates": (True, True)}
    length_ns = 1 if resolution is None else resolution.length_ns
    start_ns = start and -(-start.instant_ns // length_ns) * length_ns
    return {"start_ns": start_ns, "end_ns": end and end.instant_ns}


def _period_from(bound: Bound, resolution: Resolution, zone: ZoneInfo) -> int:
    """Return the first date of the first period that begins at a bound or later, in nanoseconds.

    A date is that trading date; any other time is on a date by the zone's clock.
    """
    before_ns = bound.instant_ns - 1
    if not bound.is_date:
        offset = datetime.fromtimestamp(before_ns // SECOND_NS, zone).utcoffset() or timedelta()
        before_ns += int(offset.total_seconds()) * SECOND_NS
    number = resolution.number_of_day(np.array([before_ns // DAY_NS])) + 1
    return int(resolution.first_day(number)[0]) * DAY_NS


@dataclass(frozen=True, eq=False)
class AlpacaAnswer(ReshapedPage):
    """The base of pages in Alpaca's shape. until_ns: when the day ends that is the default range; None for another range."""

    until_ns: Annotated[int | None, Irrelevant("the page has the range")] = field(default=None, kw_only=True)

    @property
    def expires_ns(self) -> int | None:
        expiries = (super().expires_ns, self.until_ns)
        return min((each for each in expiries if each is not None), default=None)


@dataclass(frozen=True, eq=False)
class AlpacaPage(AlpacaAnswer):
    """A page of rows. labels: the symbols' names as the client wrote them. is_single: of a path with a symbol."""

    rows: Annotated[AlpacaRows, Irrelevant("the page's name has it")]
    labels: tuple[str, ...]
    is_single: bool

    def document(self) -> RowsDocument:
        """See `AnswerSnapshot.document`."""
        page = self.page.page()
        table = page.rows.table.reversed() if self.query.is_descending else page.rows.table
        counts = np.bincount(page.rows.symbol_index, minlength=len(self.labels)).tolist()
        token = self.page.neighbours(page)["next_cursor"]
        # A descending page is read from the end, where the first symbol comes last.
        named = zip(self.labels, counts[:: -1 if self.query.is_descending else 1], strict=True)
        return RowsDocument(
            head={},
            rows_name=self.rows.name,
            table=self.rows.table(table, zone=ZONES[self.query.market_class.path]),
            tail={**({"symbol": self.labels[0]} if self.is_single else {}), "next_page_token": token},
            groups=None if self.is_single else [(label, count) for label, count in named if count],
        )


def _snapshot(query: MarketDataQuery, rows: AlpacaRows, *, is_single: bool, now_ns: int) -> AlpacaPage:
    until_ns = None
    query = replace(query, symbols=pairs_of(query.symbols, query.market_class.path))
    if query.start_ns is None:
        today = now_ns // DAY_NS
        query, until_ns = replace(query, start_ns=today * DAY_NS), (today + 1) * DAY_NS
    page = page_snapshot(query, now_ns=now_ns)
    labels = tuple(label_of(name, query.market_class.path) for name in query.symbols or page.symbols)
    return AlpacaPage(query, page, rows, labels, is_single, until_ns=until_ns)


class AlpacaRowsViewSet(RoutedViewSet, AnswerViewSet):
    """The base of endpoints for rows. Of a route: market_class; subject: what is asked for; is_single: whether it has a symbol."""

    access = {"retrieve": Access("market:read", cost="page", is_heavy=True)}
    renderer_classes = [JSONRenderer]
    market_class = ""
    subject = ""
    is_single = False

    def retrieve(self, request: Request, symbol: str | None = None) -> HttpResponseBase:
        """The rows that the query string asks for."""
        route = {"market_class": self.market_class, "subject": self.subject, "symbol": symbol}
        return self.respond(request, request.META["QUERY_STRING"], **route)


class AlpacaPagesViewSet(AlpacaRowsViewSet):
    """Pages of bars, trades and quotes. subject: a name of `KINDS`."""

    access = {"retrieve": Access("market:read", cost="page")}

    def described(self) -> dict[str, Any]:
        """See `RoutedViewSet`."""
        rows = KINDS[self.subject]
        example = label_of(MARKET_CLASSES[self.market_class].example, self.market_class)
        serializer = _serializer(self.market_class, rows, several=not self.is_single)
        answer = page(rows, example, is_single=self.is_single)
        return described_call(rows.name.capitalize(), serializer, answer, is_single=self.is_single)

    @classmethod
    def parse_call(cls, query_string: str, answer_format: str, **path: Any) -> ParsedCall:
        """See `AnswerViewSet.parse_call`."""
        rows, symbol = KINDS[path["subject"]], path["symbol"]
        query = _parsed(rows, path["market_class"], symbol, query_string)
        return ParsedCall(partial(_snapshot, query, rows, is_single=symbol is not None), query.logs)
