"""What common programs and sites write: brokers, charting programs and collections of prices."""

import re
from collections.abc import Mapping
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from store.datasets import BARS, QUOTES, TRADES
from store.declarations import Dataset
from trades.imports.symbols import SymbolSpelling
from trades.imports.vendors.layout import Derived, VendorLayout

_SOURCES = {
    "binance": "https://github.com/binance/binance-public-data",
    "kraken": "https://support.kraken.com/articles/360047124832",
    "ib": (
        "https://www.ibkrguides.com/reportingreference/reportguide/tradesfq.htm,"
        " https://interactivebrokers.github.io/tws-api/classIBApi_1_1Bar.html"
    ),
    "mt4": "https://www.metatrader4.com/en/trading-platform/help/service/history_center",
    "mt5": "https://www.metatrader5.com/en/terminal/help/trading_advanced/custom_instruments",
    "yahoo": "https://finance.yahoo.com, https://github.com/ranaroussi/yfinance",
    "firstrate": "https://firstratedata.com/about/FAQ",
    "histdata": "https://www.histdata.com/f-a-q/data-files-detailed-specification/",
    "truefx": "https://www.truefx.com",
    "dukascopy": "https://www.dukascopy.com/swiss/english/marketwatch/historical/",
    "ninjatrader": "https://ninjatrader.com/support/helpguides/nt8/exporting.htm",
    "stooq": "https://stooq.com/db/",
    "freqtrade": "https://www.freqtrade.io/en/stable/data-download/",
    "cboe": "https://www.cboe.com/tradable_products/vix/vix_historical_data/",
    "tradestation": "https://help.tradestation.com/10_00/eng/tradestationhelp/symlist/ascii_3rd_party_data_guidelines.htm",
    "barchart": "https://www.barchart.com/my/price-history/download",
}
# Of positions: a number, an epoch of Binance, a truth; an open, high, low and close.
_N, _E, _B = "[0-9.eE+-]+", "(?:[0-9]{13}|[0-9]{16})", "(?i:true|false)"
_PRICES = ",".join([_N] * 4)
_STAMP = "[0-9]{8} [0-9]{6}"
_STOOQ = {"D": "1d", "W": "1w", "M": "1M", "1": "1m", "5": "5m", "15": "15m", "30": "30m", "60": "1h"}


def _ohlcv(timestamp: str, *names: str) -> dict[str, str]:
    return dict(
        zip(("timestamp", "open", "high", "low", "close", "volume"), (timestamp, *names), strict=True)
    )


def _places(first: str, start: int = 2) -> dict[str, str]:
    """Return the columns of bars by position, from the open at `start`."""
    return _ohlcv(first, *map(str, range(start, start + 5)))


def _absolute(quantity: pa.Array) -> pa.Array:
    """Return quantities without their sign, which tells bought from sold, and without commas."""
    return pc.replace_substring_regex(quantity, "[-,]", "").cast(pa.float64())


def _number_or_null(number: pa.Array) -> pa.Array:
    """Return numbers; -1 stands where a bar is not of trades, such as one of midpoints."""
    values = number.cast(pa.float64())
    return pc.if_else(pc.equal(values, -1.0), None, values)


def _count_or_null(count: pa.Array) -> pa.Array:
    return _number_or_null(count).cast(pa.int64())


def _is_execution(level: pa.Array, transaction: pa.Array) -> pa.Array:
    """A query may have orders, closed lots and sums beside executions, and rows of exercised or expired options."""
    words = pc.replace_substring_regex(pc.utf8_upper(level), "[^A-Z]", "")
    is_booked = pc.equal(transaction, "BookTrade").fill_null(False)
    return pc.and_not(pc.equal(words, "EXECUTION").fill_null(True), is_booked)


def _is_unclear(
    level: pa.Array, trade: pa.Array, transaction: pa.Array, side: pa.Array, codes: pa.Array
) -> pa.Array:
    """Return which rows cancel or correct others, or by their lack of an id seem to be no executions."""
    has_id = pc.greater(pc.utf8_length(trade), 0).fill_null(False)
    is_other = pc.and_(pc.and_not(pc.is_null(level), has_id), pc.any(has_id))
    changes = (
        pc.match_substring_regex(transaction, "Cancel|Correct"),
        pc.match_substring_regex(side, "[(]C"),
        pc.match_substring_regex(codes, "(^|;) *(Ca|Co) *(;|$)"),
    )
    for each in changes:
        is_other = pc.or_(is_other, each.fill_null(False))
    return is_other


def _has_prices(price: pa.Array, *_: pa.Array) -> pa.Array:
    return pc.is_valid(price)


def _resolution(names: Mapping[str, str], period: pa.Array) -> pa.Array:
    encoded = pc.dictionary_encode(period)
    return pa.array([names.get(each, each) for each in encoded.dictionary.to_pylist()], pa.string()).take(
        encoded.indices
    )


def _layout(
    vendor: str, what: str, dataset: Dataset, columns: Mapping[str, str], **rest: Any
) -> VendorLayout:
    return VendorLayout(f"{vendor} {what}", dataset, _SOURCES[vendor], columns, **rest)


# "BRK B" is BRK.B.
IB_SYMBOLS = SymbolSpelling("ib", re.compile("([A-Z]+) ([A-Z]+)"), {})
_MT5 = ("<OPEN>", "<HIGH>", "<LOW>", "<CLOSE>", "<VOL>")
_TITLES = ("Open", "High", "Low", "Close", "Volume")
# Of Flex queries: what a row is, how a trade came about, and what tells that it changes another.
_LEVEL, _KIND = "LevelOfDetail", "TransactionType"
_CHANGES = (_LEVEL, "TradeID", _KIND, "Buy/Sell", "Notes/Codes")
_DUKASCOPY: dict[str, Any] = {"time_format": "%d.%m.%Y %H:%M:%S.%f"}

_LAYOUTS = (
    _layout(
        "binance", "klines", BARS, _places("1"), optional={"trade_count": "9"},
        first_row=f"{_E},{_PRICES},{_N},{_E},{_N},[0-9]+,{_N},{_N},[0-9]+", times_end=False,
    ),
    _layout(
        "binance", "klines with names", BARS,
        _ohlcv("open_time", "open", "high", "low", "close", "volume"), optional={"trade_count": "count"},
        times_end=False,
    ),
    _layout(
        "binance", "trades", TRADES,
        {"trade_id": "1", "price": "2", "volume": "3", "timestamp": "5", "buyer_is_maker": "6"},
        first_row=f"[0-9]+,{_N},{_N},{_N},{_E},{_B}(,{_B})?",
    ),
    _layout(
        "binance", "trades with names", TRADES,
        {"trade_id": "id", "price": "price", "volume": "qty", "timestamp": "time", "buyer_is_maker": "is_buyer_maker"},
    ),
    _layout(
        "binance", "aggTrades", TRADES,
        {"trade_id": "1", "price": "2", "volume": "3", "timestamp": "6", "buyer_is_maker": "7"},
        first_row=f"[0-9]+,{_N},{_N},[0-9]+,[0-9]+,{_E},{_B}(,{_B})?",
    ),
    _layout(
        "binance", "aggTrades with names", TRADES,
        {
            "trade_id": "agg_trade_id", "price": "price", "volume": "quantity", "timestamp": "transact_time",
            "buyer_is_maker": "is_buyer_maker",
        },
    ),
    _layout(
        "kraken", "trades", TRADES, {"timestamp": "1", "price": "2", "volume": "3"},
        first_row=f"[0-9]{{10}}([.][0-9]+)?,{_N},{_N}",
    ),
    _layout(
        "kraken", "OHLCVT", BARS, {**_places("1"), "trade_count": "7"},
        first_row=f"[0-9]{{10}},{_PRICES},{_N},[0-9]+", times_end=False,
    ),
    _layout(
        "ib", "Flex trades", TRADES, {"timestamp": "DateTime", "price": "TradePrice", "symbol": "Symbol"},
        optional={"trade_id": "TradeID", "exchange": "Exchange"},
        derived={"volume": Derived("absolute", ("Quantity",), _absolute)},
        kept=Derived("executions", (_LEVEL, _KIND), _is_execution, (_LEVEL, _KIND)),
        refused=Derived("unclear", _CHANGES, _is_unclear, _CHANGES),
        refusal=(
            "the row cancels or corrects a trade, or has no TradeID where others have one, as orders and closed lots do;"
            " remove these rows and the trades that they change, or add LevelOfDetail to the query, and import the file again"
        ),
        zone="America/New_York",
    ),
    _layout(
        "ib", "TWS bars", BARS,
        {name: source for name, source in _ohlcv("date", "open", "high", "low", "close", "volume").items() if name != "volume"},
        derived={
            "volume": Derived("number or null", ("volume",), _number_or_null),
            "vwap": Derived("number or null", ("average",), _number_or_null),
            "trade_count": Derived("count or null", ("barCount",), _count_or_null),
        },
        zone=None,
    ),
    _layout(
        "mt4", "bars", BARS, _places("1+2", 3), zone=None,
        first_row=f"[0-9]{{4}}[.][0-9]{{2}}[.][0-9]{{2}},[0-9:]+,{_PRICES},{_N}", times_end=False,
    ),
    _layout("mt5", "bars", BARS, _ohlcv("<DATE>+<TIME>", *_MT5), absent=frozenset({"<PER>"}), zone=None, times_end=False),
    _layout("mt5", "bars of days", BARS, _ohlcv("<DATE>", *_MT5), absent=frozenset({"<PER>", "<TIME>"}), times_end=False),
    _layout(
        "yahoo", "prices", BARS, _ohlcv("Date", *_TITLES), nulls=("null",),
        kept=Derived("with prices", ("Open", "Adj Close"), _has_prices),
    ),
    # See `TickersFile`.
    _layout(
        "yahoo", "yfinance", BARS, {**_ohlcv("Date", *_TITLES), "symbol": "ticker of yfinance"},
        kept=Derived("with prices", ("Close",), _has_prices), zone=None,
    ),
    _layout(
        "firstrate", "bars", BARS, _places("1"), zone="America/New_York",
        first_row=f"[0-9-]{{10}} [0-9:]{{8}},{_PRICES},{_N}", times_end=False,
    ),
    _layout("histdata", "M1", BARS, _places("1"), zone="Etc/GMT+5", first_row=f"{_STAMP},{_PRICES},0"),
    _layout(
        "histdata", "ticks", QUOTES, {"timestamp": "1", "bid": "2", "ask": "3"}, zone="Etc/GMT+5",
        first_row=f"{_STAMP}[0-9]{{3}},{_N},{_N},0",
    ),
    _layout(
        "truefx", "ticks", QUOTES, {"symbol": "1", "timestamp": "2", "bid": "3", "ask": "4"},
        first_row=f"[A-Z]{{3}}/[A-Z]{{3}},[0-9]{{8}} [0-9:.]+,{_N},{_N}",
    ),
    *(
        layout
        for name in ("Gmt time", "Local time")
        for layout in (
            _layout("dukascopy", f"candles, {name}", BARS, _ohlcv(name, *_TITLES), times_end=False, **_DUKASCOPY),
            _layout(
                "dukascopy", f"ticks, {name}", QUOTES,
                {"timestamp": name, "ask": "Ask", "bid": "Bid", "ask_size": "AskVolume", "bid_size": "BidVolume"},
                **_DUKASCOPY,
            ),
        )
    ),
    _layout("ninjatrader", "minutes", BARS, _places("1"), first_row=f"{_STAMP},{_PRICES},{_N}", times_end=True),
    _layout("ninjatrader", "days", BARS, _places("1"), first_row=f"[0-9]{{8}},{_PRICES},{_N}"),
    _layout(
        "ninjatrader", "ticks", TRADES, {"timestamp": "1", "price": "2", "volume": "3"},
        first_row=f"{_STAMP}( [0-9]{{7}})?,{_N},{_N}",
    ),
    _layout(
        "ninjatrader", "ticks with quotes", TRADES, {"timestamp": "1", "price": "2", "volume": "5"},
        first_row=f"{_STAMP}( [0-9]{{7}})?,{_N},{_N},{_N},{_N}",
    ),
    _layout(
        "stooq", "bars", BARS, {**_ohlcv("<DATE>+<TIME>", *_MT5), "symbol": "<TICKER>"}, zone=None,
        derived={"resolution": Derived("resolution of stooq", ("<PER>",), partial(_resolution, _STOOQ))},
    ),
    # An index has no volume.
    _layout(
        "cboe", "index history", BARS,
        {"timestamp": "DATE", "open": "OPEN", "high": "HIGH", "low": "LOW", "close": "CLOSE"},
        exact=("DATE", "OPEN", "HIGH", "LOW", "CLOSE"), zone=None,
    ),
    # See `FreqtradeFile`: the file's name has the symbol and the resolution.
    _layout("freqtrade", "candles", BARS, _ohlcv("date", "open", "high", "low", "close", "volume"), times_end=False),
    # Of days, upticks and downticks stand beside the volume.
    _layout(
        "tradestation", "bars", BARS, _ohlcv("Date+Time", *_TITLES[:4], "Up+Down"), absent=frozenset({"Vol"}),
        zone=None, times_end=True,
    ),
    *(
        _layout(
            "barchart", f"prices, {close}", BARS, _ohlcv("Time", "Open", "High", "Low", close, "Volume"), zone=None,
            marks=frozenset({"Change", change}),
        )
        for close, change in (("Latest", "%Change"), ("Latest", "%Chg"), ("Last", "%Chg"), ("Last", "%Change"))
    ),
)  # fmt: skip

EXPORTS = {name: tuple(each for each in _LAYOUTS if each.name.split()[0] == name) for name in _SOURCES}
