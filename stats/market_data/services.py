"""The tree's answers: what the endpoints, other dialects and other apps ask for."""

from stats.delivery.pinned_answer import Content
from stats.market_data.answers.pin import page_pin
from stats.market_data.answers.rows_page import RowsPage
from stats.market_data.answers.stream import RowStream
from stats.market_data.datasets import MARKET_DATASETS
from stats.market_data.queries.query import MarketDataQuery
from stats.market_data.reports.coverage import COVERAGE, coverage_pin
from stats.market_data.reports.newest import ReportQuery, report_pin


def market_data_page(*, query: MarketDataQuery, now_ns: int) -> RowsPage:
    """A page of the tree as of the newest commits at a time, nanoseconds UTC.

    Raises `InvalidParameter`, the store's `StorageError`s and every `StatsError`.
    """
    return page_pin(MARKET_DATASETS[query.form.name], query, now_ns=now_ns)


def market_data_stream(*, query: MarketDataQuery, format_name: str, now_ns: int) -> RowStream:
    """All rows of a range, from the first one on, whatever their number.

    Raises as `market_data_page`, before the first row.
    """
    return RowStream(market_data_page(query=query, now_ns=now_ns), format_name)


def market_data_report(*, query: ReportQuery, now_ns: int) -> Content:
    """A report on symbols as of the newest commits at a time. Raises as `market_data_page`."""
    return coverage_pin(query) if query.report == COVERAGE else report_pin(query, now_ns=now_ns)
