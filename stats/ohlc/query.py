"""A query for bars in this dialect, parsed once at the border into one of the tree."""

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

# As many bars as an answer has that is not a page.
BARS_LIMIT = 50_000
# Of instruments of every class.
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
    """Bars of a symbol. bars: the query of the tree that has them. end_ns: as requested, None for all that is stored.

    is_paged: whether the answer is a page, with cursors.
    """

    interval: OhlcInterval
    bars: Annotated[MarketDataQuery, Irrelevant("the rows have it")]
    end_ns: Annotated[int | None, Irrelevant("the rows have their range")]
    is_paged: bool


@lru_cache(maxsize=4096)
def parse_ohlc_query(query_string: str) -> OhlcQuery:
    """The query in a URL's query string. Raises `InvalidParameter` and `InvalidValue`."""
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
