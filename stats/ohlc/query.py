"""Parses a `/stats/ohlc` query and translates it into a `MarketDataQuery`."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated

from stats.caching.keys import Irrelevant
from stats.market_data.ohlcv.bar_rows import bar_columns
from stats.market_data.query import DatasetForm, MarketClass, MarketDataQuery
from stats.ohlc.serializers import OhlcInterval, OhlcQuerySerializer
from stats.parameters import DEFAULT_PAGE, query_values
from stats.sessions.spans import Hours, SessionMode
from store.protocol import ALL_TIME
from store.resolutions import Resolution

# The maximum number of bars in an answer without paging.
BARS_LIMIT = 50_000
# Matches instruments of every class.
_ANY_CLASS = MarketClass("any", "", ("ohlc",), ())
OHLC = DatasetForm(
    name="ohlc",
    rows_name="data",
    own=("interval",),
    resolution=Resolution.MINUTE,
    columns=bar_columns(whole=True, with_date=False),
)
_COLUMNS = ("timestamp", "open", "high", "low", "close", "volume")


@dataclass(frozen=True, slots=True)
class OhlcQuery:
    """A query for bars of a symbol.

    bars: the equivalent query of the market-data API. end_ns: as requested; None if there is none. is_paged:
    whether the answer is a page, with cursors.
    """

    interval: OhlcInterval
    bars: Annotated[MarketDataQuery, Irrelevant("the field `bars` of the content has it")]
    end_ns: Annotated[int | None, Irrelevant("the content's bars have their range")]
    is_paged: bool


@lru_cache(maxsize=4096)
def parse_ohlc_query(query_string: str) -> OhlcQuery:
    """Parse a URL's query string. Raises `InvalidParameter` and `InvalidValue`."""
    found = query_values(OhlcQuerySerializer, query_string)
    interval, is_paged = found["interval"], "limit" in found or "cursor" in found
    bars = MarketDataQuery(
        market_class=_ANY_CLASS,
        form=OHLC,
        symbols=(found["symbol"],),
        several=False,
        streamed=False,
        resolution=interval.resolution,
        start_ns=found.get("start"),
        end_ns=found.get("end", ALL_TIME.end_ns),
        whole_dates=(False, False),
        last=None,
        limit=found.get("limit", DEFAULT_PAGE) if is_paged else BARS_LIMIT,
        cursor=found.get("cursor"),
        is_descending=False,
        fields=_COLUMNS,
        as_of_ns=found.get("as_of"),
        session=SessionMode.UTC,
        hours=Hours.ALL,
        adjustment="raw",
        with_partial=True,
        with_coverage=False,
        time_form=None,
        with_trailer=False,
        has_maximum_range=False,
    )
    return OhlcQuery(interval, bars, found.get("end"), is_paged)
