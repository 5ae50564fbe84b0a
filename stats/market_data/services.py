"""The services of the market-data API, called by its endpoints, `/stats/ohlc` and other apps."""

from stats.delivery.answers import AnswerSnapshot
from stats.market_data.answers.page import PageSnapshot, page_snapshot
from stats.market_data.query import MarketDataQuery
from stats.market_data.reports import COVERAGE, ReportQuery, coverage_snapshot, report_snapshot


def market_data_page(*, query: MarketDataQuery, now_ns: int) -> PageSnapshot:
    """Return a page of rows at the newest commits or, with a cursor, at the cursor's commits. now_ns: nanoseconds UTC.

    Raises `InvalidParameter`, the store's `StorageError`s and every `StatsError`.
    """
    return page_snapshot(query, now_ns=now_ns)


def market_data_report(*, query: ReportQuery, now_ns: int) -> AnswerSnapshot:
    """Return a report on symbols at the newest commits. Raises the errors of `market_data_page`."""
    return coverage_snapshot(query) if query.report == COVERAGE else report_snapshot(query, now_ns=now_ns)
