"""The endpoint `/stats/ohlc`, the oldest of the API: bars of one symbol at four intervals.

Like other dialects it makes a `MarketDataQuery` of its parameters, and its own document of the query's page.
"""

from functools import partial
from typing import Annotated, Any, Literal, get_args

from django.http.response import HttpResponseBase
from drf_spectacular.utils import extend_schema
from msgspec import UNSET, UnsetType
from rest_framework import serializers
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request

from stats.delivery.answers import ParsedCall
from stats.delivery.responses import AnswerViewSet, paged_query_string
from stats.exceptions import NoData, RangeTooLarge
from stats.market_data.answers.page import page_snapshot
from stats.market_data.answers.report import ReshapedPage
from stats.market_data.ohlcv.bar_rows import bar_columns
from stats.market_data.ohlcv.dataset import trade_bars_plan
from stats.market_data.query import ANY_CLASS, MarketDataQuery, MarketDataset
from stats.market_data.query_parameters import (
    END_EXAMPLES,
    ISO_OR_EPOCH,
    START_EXAMPLES,
    QueryParameter,
    RowQuerySerializer,
)
from stats.parameters import DEFAULT_PAGE, BoundField, PageLimitField, WordField, query_values
from stats.rendering.format import RowsDocument
from stats.rendering.renderers import QueryFormRenderer
from store.datasets import TRADES
from store.protocol import ALL_TIME
from store.resolutions import Resolution
from trades.batches.serializers import SymbolField
from web.documents import AnswerDocument, Instant, like
from web.endpoints import Access

# The maximum number of bars in an answer without paging. A page has fewer.
BARS_LIMIT = 50_000
Interval = Literal["1min", "5min", "1h", "1d"]
# The lengths of bars, by their names in requests. Days are UTC days.
INTERVALS = {name: Resolution.parse(name) for name in get_args(Interval)}
_NAMES = {resolution: name for name, resolution in INTERVALS.items()}
OHLC = MarketDataset(
    name="ohlc",
    rows_name="data",
    own=(),
    resolution=Resolution.MINUTE,
    columns=bar_columns(has_integer_volume=True, with_date=False),
    plan=trade_bars_plan,
    logs_of=lambda _query: (TRADES,),
)


class IntervalField(WordField):
    """The length of bars, by its name."""

    code = "unknown_interval"
    default_error_messages = {code: "must be one of {words}"}


OHLC_PARAMETERS = RowQuerySerializer(
    (
        QueryParameter("symbol", SymbolField, {"help_text": "The instrument."}),
        QueryParameter(
            "start",
            BoundField,
            {"examples": START_EXAMPLES, "help_text": f"First instant, rounded down. {ISO_OR_EPOCH}"},
        ),
        QueryParameter(
            "end",
            BoundField,
            {"examples": END_EXAMPLES, "help_text": f"Exclusive end, rounded up. {ISO_OR_EPOCH}"},
        ),
        QueryParameter(
            "interval",
            IntervalField,
            {"words": INTERVALS, "default": "1min", "help_text": "The length of bars."},
        ),
        "as_of",
        QueryParameter(
            "limit", PageLimitField, {"help_text": "Most bars in a page. Default: all, without pages."}
        ),
        "cursor",
    ),
    needed="symbol",
    needs_range=False,
)


class BarDocument(AnswerDocument):
    """One bar; its timestamp is the start of its interval."""

    timestamp: Instant
    open: float
    high: float
    low: float
    close: float
    volume: float


_EXAMPLES = (
    BarDocument("2025-01-02T14:30:00Z", 189.98, 190.02, 189.98, 190.02, 350),
    BarDocument("2025-01-02T14:31:00Z", 190.1, 190.1, 190.1, 190.1, 75),
)


class OhlcAnswerDocument(AnswerDocument):
    """Bars, ascending. Intervals without a price have no bar. Cursors appear only with `limit` or `cursor`."""

    symbol: Annotated[str, like("AAPL")]
    interval: Interval
    data: Annotated[list[BarDocument], like(_EXAMPLES)]
    next_cursor: str | UnsetType | None = UNSET
    prev_cursor: str | UnsetType | None = UNSET
    total_estimate: int | UnsetType = UNSET


def parse_ohlc_query(query_string: str) -> MarketDataQuery:
    """Parse a URL's query string. Raises `InvalidParameter` and `InvalidValue`."""
    values = query_values(OHLC_PARAMETERS, query_string)
    is_paged = "limit" in values or "cursor" in values
    return MarketDataQuery.of(
        OHLC,
        (values["symbol"],),
        market_class=ANY_CLASS,
        resolution=INTERVALS[values["interval"]],
        start_ns=values["start"].instant_ns if "start" in values else None,
        end_ns=values["end"].instant_ns if "end" in values else ALL_TIME.end_ns,
        limit=values.get("limit", DEFAULT_PAGE) if is_paged else BARS_LIMIT,
        cursor=values.get("cursor"),
        fields=BarDocument.__struct_fields__,
        as_of_ns=values.get("as_of"),
        has_maximum_range=False,
    )


class OhlcBars(ReshapedPage):
    """Bars in the shape of `/stats/ohlc`."""

    def document(self) -> RowsDocument:
        """See `AnswerSnapshot.document`. Raises `NoData` and `RangeTooLarge`."""
        query, page, (symbol,) = self.query, self.page.page(), self.symbols
        is_paged = query.limit < BARS_LIMIT
        if not len(page.rows):
            suffix = "" if self.as_of_ns is None else ", or none was stored by as_of"
            raise NoData(f"{symbol} has no trades in the range{suffix}")
        if not is_paged and page.later is not None:
            raise RangeTooLarge(
                f"the range has more than {BARS_LIMIT:,} bars, the maximum of an answer: ask for a shorter range, for"
                f" pages with limit and cursor, or for the stream /api/v1/market-data/…/{symbol}/ohlcv/stream"
            )
        return RowsDocument(
            head={"symbol": symbol, "interval": _NAMES[query.resolution]},
            rows_name=OHLC.rows_name,
            table=page.rows.table,
            tail=self.page.neighbours(page) if is_paged else {},
        )


def ohlc_snapshot(query: MarketDataQuery, *, now_ns: int) -> OhlcBars:
    """Return the bars of a query at the newest commits. Raises the errors of `page_snapshot`."""
    return OhlcBars(query, page_snapshot(query, now_ns=now_ns))


class OhlcViewSet(AnswerViewSet):
    """Bars made from stored trades."""

    tag = "bars"
    access = {"retrieve": Access("market:read", cost="page")}
    renderer_classes = [JSONRenderer, QueryFormRenderer]

    def query_serializer(self) -> serializers.Serializer[Any]:
        """Return the serializer of the query parameters."""
        return OHLC_PARAMETERS

    @extend_schema(
        parameters=[OHLC_PARAMETERS],
        responses={200: OhlcAnswerDocument},
    )
    def retrieve(self, request: Request) -> HttpResponseBase:
        """Bars of a symbol.

        Open, high, low, close and volume of each interval in `[start, end)`, which is extended to whole intervals.

        Trades are ordered by event time, then `sequence`, then arrival. Intervals without a price have no bar.
        The instrument's bar policy decides which trades set prices and which count in the volume. Days are UTC.
        """
        return self.respond(request, paged_query_string(request))

    @classmethod
    def parse_call(cls, query_string: str, answer_format: str, **path: Any) -> ParsedCall:
        """See `AnswerViewSet.parse_call`."""
        query = parse_ohlc_query(query_string)
        return ParsedCall(partial(ohlc_snapshot, query), query.logs)
