"""AlgoSeek's files of US equities: bars with prices of trades, and trades and quotes (TAQ) as events."""

import pyarrow as pa
import pyarrow.compute as pc

from store.datasets import BARS, TRADES
from trades.imports.vendors.layout import Derived, VendorLayout

_SOURCE = (
    "https://www.algoseek.com/data-sets/docs/eq_taq_1min_ext,"
    " https://us-equity-market-data-docs.s3.amazonaws.com/algoseek.US.Equity.TAQ.Minute.Bars.pdf"
)
_TRADES = ("TRADE", "TRADE NB")


def _clock(start: pa.Array) -> pa.Array:
    """Return HHMM, HHMMSS and HHMMSSMMM, of which programs drop a leading zero, with all digits; 09:30 as it is."""
    text = start.cast(pa.string())
    is_short = pc.match_substring_regex(text, "^([0-9]{3}|[0-9]{5}|[0-9]{8})$")
    return pc.if_else(is_short, pc.binary_join_element_wise("0", text, ""), text)


def _has_trades(price: pa.Array) -> pa.Array:
    """A bar without trades has no prices, or the price 0."""
    return pc.not_equal(price.cast(pa.float64()), 0.0)


def _count(trades: pa.Array) -> pa.Array:
    return trades.cast(pa.int64())


def _is_trade(event: pa.Array) -> pa.Array:
    return pc.is_in(event, pa.array(_TRADES))


def _changes_a_trade(event: pa.Array) -> pa.Array:
    return pc.and_not(pc.starts_with(event, "TRADE"), _is_trade(event))


ALGOSEEK_LAYOUTS = (
    VendorLayout(
        "algoseek bars",
        BARS,
        _SOURCE,
        {
            "timestamp": "Date+clock", "symbol": "Ticker", "open": "FirstTradePrice", "high": "HighTradePrice",
            "low": "LowTradePrice", "close": "LastTradePrice", "volume": "Volume",
        },
        {"vwap": "VolumeWeightPrice"},
        {"trade_count": Derived("count", ("TotalTrades",), _count, ("TotalTrades",))},
        Derived("with trades", ("FirstTradePrice",), _has_trades),
        {"clock": Derived("clock", ("TimeBarStart",), _clock)},
        zone="America/New_York",
        times_end=False,
    ),
    VendorLayout(
        "algoseek TAQ trades",
        TRADES,
        _SOURCE,
        {
            "timestamp": "Date+Timestamp", "symbol": "Ticker", "price": "Price", "volume": "Quantity",
            "exchange": "Exchange", "conditions": "Conditions",
        },
        kept=Derived("trades", ("EventType",), _is_trade),
        # Nothing in the row says which of several equal trades it cancels.
        refused=Derived("cancelled", ("EventType",), _changes_a_trade),
        refusal=(
            "the event cancels or changes an earlier trade, and does not say which; remove these events and the trades"
            " that they cancel, and import the file again"
        ),
        zone="America/New_York",
    ),
)  # fmt: skip
