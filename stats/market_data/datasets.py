"""The datasets of the market-data API, by their names in URLs."""

from stats.market_data.ohlcv.dataset import Ohlcv
from stats.market_data.ohlcv.revisions import Revisions
from stats.market_data.options.datasets import IMPLIED_VOLATILITY, OPTION_GREEKS
from stats.market_data.plan import MarketDataset
from stats.market_data.quotes import QuotesDataset
from stats.market_data.ticks import OPEN_INTEREST_REPORTS, TRADE_TICKS, StoredRows
from store.datasets import OPEN_INTEREST, TRADES

MARKET_DATASETS: dict[str, MarketDataset] = {
    dataset.form.name: dataset
    for dataset in (
        Ohlcv(),
        QuotesDataset(),
        Revisions(),
        OPTION_GREEKS,
        IMPLIED_VOLATILITY,
        StoredRows(TRADE_TICKS, TRADES),
        StoredRows(OPEN_INTEREST_REPORTS, OPEN_INTEREST),
    )
}
