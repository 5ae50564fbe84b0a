"""Flat files of Polygon.io (Massive): CSV, one file per day with all symbols, times in nanoseconds."""

import re

import pyarrow as pa
import pyarrow.compute as pc

from store.datasets import BARS, OPTION_QUOTES, QUOTES, TRADES
from trades.conditions.polygon import POLYGON
from trades.imports.symbols import SymbolSpelling
from trades.imports.vendors.layout import ASK_PRICE, BID_PRICE, HAS_SIDE, Derived, VendorLayout

# Columns and sample rows of each dataset's page were compared with this module on 2026-11-22.
_SOURCE = (
    "https://massive.com/docs/flat-files, https://polygon.io/flat-files/stocks-trades,"
    " https://polygon.io/blog/insights-from-trade-level-data, https://polygon.io/blog/change-stocks-quotes-round-lots-to-shares"
)
# Tickers of stocks have the suffixes of the quotation system (CQS): p preferred, r rights, w when issued. They become
# those of the exchanges (CMS), after a dot: TpC is T.PRC, GLOrw is GLO.RTWI, XYZ.Aw is XYZ.AWI. Both are in
# https://www.nasdaqtrader.com/Trader.aspx?id=CQSSymbolConvention.
POLYGON_SYMBOLS = SymbolSpelling(
    "polygon",
    re.compile(r"([A-Z]+)((?:\.[A-Z]+)*(?:p[A-Z]?|r)?w?(?:\.[A-Z]+)*)"),
    {"p": "PR", "r": "RT", "w": "WI", ".": ""},
)
# O: options, X: crypto, C: currencies, I: indices.
_PREFIX = "^[OXCI]:"
# NYSE's correction codes: 0 is a trade, 1 one with its corrected values. The others are trades that were cancelled,
# and the records that cancel or correct.
_STANDING = ("0", "1")


def _words(conditions: pa.Array) -> pa.Array:
    return pc.replace_substring(conditions, ",", ";")


def _venue(exchange: pa.Array, facility: pa.Array) -> pa.Array:
    """Return exchange, or exchange-facility: ids of FINRA's trades are unique per trade reporting facility."""
    has_facility = pc.and_(pc.is_valid(facility), pc.not_equal(facility, "0")).fill_null(False)
    return pc.if_else(has_facility, pc.binary_join_element_wise(exchange, facility, "-"), exchange)


def _is_standing(correction: pa.Array) -> pa.Array:
    return pc.or_(pc.is_null(correction), pc.is_in(correction, pa.array(_STANDING)))


_WORDS = {"conditions": Derived("words", ("conditions",), _words)}
_STANDS = Derived("standing", ("correction",), _is_standing)

POLYGON_LAYOUTS = (
    VendorLayout(
        "polygon stocks trades_v1",
        TRADES,
        _SOURCE,
        {
            "timestamp": "sip_timestamp", "symbol": "ticker", "price": "price", "volume": "size",
            "trade_id": "id", "sequence": "sequence_number",
        },
        derived={
            **_WORDS,
            "exchange": Derived("venue", ("exchange", "trf_id"), _venue, ("trf_id",)),
        },
        kept=_STANDS,
        conditions=POLYGON,
    ),
    VendorLayout(
        "polygon options trades_v1",
        TRADES,
        _SOURCE,
        {"timestamp": "sip_timestamp", "symbol": "ticker", "price": "price", "volume": "size"},
        {"exchange": "exchange"},
        _WORDS,
        _STANDS,
        prefix=_PREFIX,
    ),
    VendorLayout(
        "polygon crypto trades_v1",
        TRADES,
        _SOURCE,
        {
            "timestamp": "participant_timestamp", "symbol": "ticker", "price": "price", "volume": "size",
            "trade_id": "id", "exchange": "exchange",
        },
        derived=_WORDS,
        prefix=_PREFIX,
    ),
    VendorLayout(
        "polygon options quotes_v1",
        OPTION_QUOTES,
        _SOURCE,
        {
            "timestamp": "sip_timestamp", "symbol": "ticker", "bid_size": "bid_size", "ask_size": "ask_size",
            "sequence": "sequence_number",
        },
        derived={"bid": BID_PRICE, "ask": ASK_PRICE},
        kept=HAS_SIDE,
        prefix=_PREFIX,
        absent=frozenset({"participant_timestamp"}),
    ),
    VendorLayout(
        "polygon quotes_v1",
        QUOTES,
        _SOURCE,
        {
            "timestamp": "sip_timestamp", "symbol": "ticker", "bid_size": "bid_size", "ask_size": "ask_size",
        },
        {"sequence": "sequence_number"},
        {
            "bid": BID_PRICE, "ask": ASK_PRICE,
            "conditions": Derived("words", ("conditions",), _words, ("conditions",)),
        },
        HAS_SIDE,
        prefix=_PREFIX,
    ),
    VendorLayout(
        "polygon forex quotes_v1",
        QUOTES,
        _SOURCE,
        {"timestamp": "participant_timestamp", "symbol": "ticker"},
        derived={"bid": BID_PRICE, "ask": ASK_PRICE},
        kept=HAS_SIDE,
        prefix=_PREFIX,
    ),
    VendorLayout(
        "polygon aggregates",
        BARS,
        _SOURCE,
        {
            "timestamp": "window_start", "symbol": "ticker", "open": "open", "high": "high", "low": "low",
            "close": "close",
        },
        # Indices have neither.
        {"volume": "volume", "trade_count": "transactions"},
        # The samples of futures have milliseconds in `window_start`, all others nanoseconds.
        given_by_folder={
            "minute_aggs_v1": {"resolution": "1m"}, "day_aggs_v1": {"resolution": "1d"},
            "session_aggs_v1": {"resolution": "1d"},
        },
        prefix=_PREFIX,
        times_end=False,
    ),
)  # fmt: skip
