"""The datasets and reports of the market-data API, each declared by its package."""

from stats.market_data import explanation, gaps, reports, ticks
from stats.market_data.answers.report import MARKET_REPORTS
from stats.market_data.futures.continuous import CONTINUOUS
from stats.market_data.ohlcv.dataset import OHLCV
from stats.market_data.ohlcv.revisions import REVISIONS
from stats.market_data.options.datasets import IMPLIED_VOLATILITY, OPTION_GREEKS
from stats.market_data.query import MARKET_DATASETS
from stats.market_data.quotes import QUOTE_ROWS

__all__ = ["MARKET_DATASETS", "MARKET_REPORTS"]

_DATASETS = (
    OPTION_GREEKS, IMPLIED_VOLATILITY, OHLCV, QUOTE_ROWS, ticks.TRADE_TICKS, REVISIONS, CONTINUOUS, *ticks.DATASETS
)  # fmt: skip
_REPORTS = (*reports.REPORTS, *explanation.REPORTS, *gaps.REPORTS)
MARKET_DATASETS.update({each.name: each for each in _DATASETS})
MARKET_REPORTS.update({each.name: each for each in _REPORTS})
