"""The datasets of the market-data API, by their names in URLs."""

from stats.market_data.futures.continuous import CONTINUOUS
from stats.market_data.ohlcv.dataset import OHLCV
from stats.market_data.ohlcv.revisions import REVISIONS
from stats.market_data.options.datasets import IMPLIED_VOLATILITY, OPTION_GREEKS
from stats.market_data.query import MarketDataset
from stats.market_data.quoted_trades import TRADE_TICKS
from stats.market_data.quotes import QUOTE_ROWS
from stats.market_data.ticks import (
    CORPORATE_ACTION_ROWS,
    INTEREST_RATE_ROWS,
    OPEN_INTEREST_REPORTS,
    STATUS_CHANGES,
    STORED_BARS,
    UNIVERSE_CHANGE_ROWS,
)
from stats.market_data.universes import MEMBER_ROWS

MARKET_DATASETS: dict[str, MarketDataset] = {
    dataset.name: dataset
    for dataset in (
        OHLCV,
        QUOTE_ROWS,
        REVISIONS,
        OPTION_GREEKS,
        IMPLIED_VOLATILITY,
        TRADE_TICKS,
        OPEN_INTEREST_REPORTS,
        CONTINUOUS,
        INTEREST_RATE_ROWS,
        UNIVERSE_CHANGE_ROWS,
        MEMBER_ROWS,
        STATUS_CHANGES,
        CORPORATE_ACTION_ROWS,
        STORED_BARS,
    )
}
