"""Queries of `/stats/ohlc`, parsed into a `MarketDataQuery`, and their answers: all bars of a range, or a page."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated

from calendars.schedule import Hours, SessionMode
from stats.caching.keys import Irrelevant
from stats.exceptions import NoData, RangeTooLarge
from stats.market_data.answers.pin import MAX_PLANS, page_snapshot
from stats.market_data.answers.pinned_page import PageSnapshot
from stats.market_data.answers.report import Report
from stats.market_data.ohlcv.bar_rows import bar_columns
from stats.market_data.ohlcv.dataset import trade_bars_plan
from stats.market_data.query import MarketClass, MarketDataQuery, MarketDataset
from stats.ohlc.serializers import INTERVALS, OhlcQuerySerializer
from stats.parameters import DEFAULT_PAGE, query_values
from stats.rendering.format import Document
from store.datasets import TRADES
from store.protocol import ALL_TIME, NO_COMMIT
from store.resolutions import Resolution

# The maximum number of bars in an answer without paging.
BARS_LIMIT = 50_000
# Matches instruments of every class.
_ANY_CLASS = MarketClass("any", "", ("ohlc",), ())
OHLC = MarketDataset(
    name="ohlc",
    rows_name="data",
    own=(),
    resolution=Resolution.MINUTE,
    columns=bar_columns(has_integer_volume=True, with_date=False),
    plan=trade_bars_plan,
    logs_of=lambda _query: (TRADES,),
)
COLUMNS = ("timestamp", "open", "high", "low", "close", "volume")
_QUERY = OhlcQuerySerializer()


@dataclass(frozen=True, slots=True)
class OhlcQuery:
    """A query for bars of a symbol.

    bars: the equivalent query of the market-data API. end_ns: the requested end; None if there is none.
    is_paged: whether the answer is a page, with cursors.
    """

    interval: str
    bars: Annotated[MarketDataQuery, Irrelevant("the field `bars` of the snapshot has it")]
    end_ns: Annotated[int | None, Irrelevant("the snapshot's bars have their range")]
    is_paged: bool


@lru_cache(maxsize=4096)
def parse_ohlc_query(query_string: str) -> OhlcQuery:
    """Parse a URL's query string. Raises `InvalidParameter` and `InvalidValue`."""
    values = query_values(_QUERY, query_string)
    interval, is_paged = values["interval"], "limit" in values or "cursor" in values
    bars = MarketDataQuery.of(
        OHLC,
        (values["symbol"],),
        market_class=_ANY_CLASS,
        resolution=INTERVALS[interval],
        start_ns=values.get("start"),
        end_ns=values.get("end", ALL_TIME.end_ns),
        limit=values.get("limit", DEFAULT_PAGE) if is_paged else BARS_LIMIT,
        cursor=values.get("cursor"),
        fields=COLUMNS,
        as_of_ns=values.get("as_of"),
        session=SessionMode.UTC,
        hours=Hours.ALL,
        has_maximum_range=False,
    )
    return OhlcQuery(interval, bars, values.get("end"), is_paged)


@dataclass(frozen=True, eq=False)
class OhlcBars(Report):
    """A page of bars of the market-data API, in the shape of `/stats/ohlc`."""

    query: OhlcQuery
    bars: PageSnapshot

    @property
    def name(self) -> str:
        return OHLC.name

    @property
    def snapshots(self) -> tuple[PageSnapshot, ...]:
        return (self.bars,)

    @property
    def end_ns(self) -> int | None:
        return self.query.end_ns

    @property
    def is_period(self) -> bool:
        return self.bars.is_period

    def document(self) -> Document:
        """See `AnswerSnapshot.document`. Raises `NoData` and `RangeTooLarge`."""
        page = self.bars.page()
        if not len(page.rows):
            raise _no_data(self.bars)
        if not self.query.is_paged and page.later is not None:
            raise RangeTooLarge(
                f"the range has more than {BARS_LIMIT:,} bars, the maximum of an answer: ask for a shorter range, for"
                f" pages with limit and cursor, or for the stream /api/v1/market-data/…/{self.symbols[0]}/ohlcv/stream"
            )
        return Document(
            head={"symbol": self.symbols[0], "interval": self.query.interval},
            rows_name=OHLC.rows_name,
            table=page.rows.table.select(self.bars.query.fields or ()),
            tail=self.bars.neighbours(page) if self.query.is_paged else {},
        )


def ohlc_snapshot(query: OhlcQuery, *, now_ns: int) -> OhlcBars:
    """Pin a query to the newest commits. Raises the errors of `page_snapshot`, and `NoData`."""
    bars = page_snapshot(query.bars, now_ns=now_ns)
    if all(log.commit == NO_COMMIT for log in bars.logs):
        raise _no_data(bars)
    return _bars(query, bars)


@lru_cache(maxsize=MAX_PLANS)
def _bars(query: OhlcQuery, bars: PageSnapshot) -> OhlcBars:
    """Return one instance per page, so that its cache key is computed once."""
    return OhlcBars(query, bars)


def _no_data(bars: PageSnapshot) -> NoData:
    """Return the error for a range without bars."""
    suffix = ", or none was stored by as_of" if bars.as_of_ns is not None else ""
    return NoData(f"{bars.symbols[0]} has no trades in the range{suffix}")
