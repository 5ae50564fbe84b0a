"""The answers of `/stats/ohlc`: all bars of a range, or a page of them."""

from dataclasses import dataclass
from functools import lru_cache

from stats.delivery.pinned_answer import Content
from stats.exceptions import NoData, RangeTooLarge
from stats.market_data.answers.paging import PageRows
from stats.market_data.answers.pin import MAX_PAGES, page_pin
from stats.market_data.answers.rows_page import RowsPage
from stats.market_data.ohlcv.dataset import BarsOfTrades
from stats.ohlc.query import BARS_LIMIT, OHLC, OhlcQuery
from stats.rendering.format import Document, Rendered
from stats.rendering.formats import FORMATS
from store.protocol import NO_COMMIT

_BARS = BarsOfTrades(OHLC)


@dataclass(frozen=True, eq=False)
class OhlcBars(Content):
    """A page of bars of the market-data API, in the shape of `/stats/ohlc`."""

    query: OhlcQuery
    bars: RowsPage

    @property
    def name(self) -> str:
        return OHLC.name

    @property
    def symbols(self) -> tuple[str, ...]:
        return self.bars.symbols

    @property
    def end_ns(self) -> int | None:
        return self.query.end_ns

    @property
    def is_period(self) -> bool:
        return self.bars.is_period

    @property
    def as_of_ns(self) -> int | None:
        return self.bars.as_of_ns

    @property
    def commits(self) -> str:
        return self.bars.commits

    def rendered(self, format_name: str) -> Rendered:
        """See `Content.rendered`. Raises `NoData` and `RangeTooLarge`."""
        page = self.bars.page()
        if not len(page.rows):
            raise no_data(self.bars)
        if not self.query.is_paged and page.later is not None:
            raise RangeTooLarge(
                f"the range has more than {BARS_LIMIT:,} bars, the maximum of an answer: ask for a shorter range, for pages"
                f" with limit and cursor, or for the stream /api/v1/market-data/…/{self.symbols[0]}/ohlcv/stream"
            )
        return FORMATS[format_name].render(self._document(page), None)

    def _document(self, page: PageRows) -> Document:
        return Document(
            head={"symbol": self.symbols[0], "interval": self.query.interval.value},
            rows_name=OHLC.rows_name,
            table=page.rows.table.select(self.bars.query.fields or ()),
            tail=self.bars.neighbours(page) if self.query.is_paged else {},
        )


def ohlc_pin(query: OhlcQuery, *, now_ns: int) -> OhlcBars:
    """Pin a query to the newest commits. Raises the errors of `page_pin`, and `NoData`."""
    bars = page_pin(_BARS, query.bars, now_ns=now_ns)
    if all(log.commit == NO_COMMIT for log in bars.logs):
        raise no_data(bars)
    return _bars(query, bars)


@lru_cache(maxsize=MAX_PAGES)
def _bars(query: OhlcQuery, bars: RowsPage) -> OhlcBars:
    """One instance per page, so that its cache key is computed once."""
    return OhlcBars(query, bars)


def no_data(bars: RowsPage) -> NoData:
    """The error for a range without bars."""
    then = ", or none was stored by as_of" if bars.as_of_ns is not None else ""
    return NoData(f"{bars.symbols[0]} has no trades in the range{then}")
