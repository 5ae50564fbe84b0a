"""Alpaca's market data: the JSON of its API, and the CSV that its Python library writes (`.df.to_csv`)."""

import pyarrow as pa
import pyarrow.compute as pc

from store.datasets import BARS, QUOTES, TRADES
from trades.conditions import CONDITION_MAPS
from trades.imports.vendors.layout import Derived, VendorLayout
from trades.imports.vendors.sides import ASK_PRICE, BID_PRICE, HAS_SIDE

_SOURCE = "https://docs.alpaca.markets/reference/stocktrades-1, https://github.com/alpacahq/alpaca-py (alpaca.data.models)"
_LIST_MARKS = r"""[\[\]'" ]"""


def _conditions(conditions: pa.Array, tape: pa.Array) -> pa.Array:
    """Return the words of codes such as `['@', 'I']`; tape C has the codes of UTP, the others those of CTA."""
    codes = pc.replace_substring(pc.replace_substring_regex(conditions, _LIST_MARKS, ""), ",", ";")
    codes = pc.if_else(pc.equal(codes, ""), None, codes)
    cta, utp = (CONDITION_MAPS[name].translated(TRADES.name, codes) for name in ("cta", "utp"))
    return pc.if_else(pc.equal(tape, "C").fill_null(False), utp, cta)


def _words(conditions: pa.Array) -> pa.Array:
    codes = pc.replace_substring(pc.replace_substring_regex(conditions, _LIST_MARKS, ""), ",", ";")
    return pc.if_else(pc.equal(codes, ""), None, codes)


def _count(trade_count: pa.Array) -> pa.Array:
    """Return counts, which pandas writes as floats."""
    return trade_count.cast(pa.float64()).cast(pa.int64())


_ROW = {"timestamp": "timestamp", "symbol": "symbol"}

ALPACA_LAYOUTS = (
    VendorLayout(
        "alpaca trades",
        TRADES,
        _SOURCE,
        {**_ROW, "price": "price", "volume": "size"},
        {"trade_id": "id", "exchange": "exchange"},
        {
            "conditions": Derived(
                "conditions by tape", ("conditions", "tape"), _conditions, ("conditions", "tape")
            )
        },
    ),
    VendorLayout(
        "alpaca quotes",
        QUOTES,
        _SOURCE,
        {**_ROW, "bid_size": "bid_size", "ask_size": "ask_size"},
        {},
        {
            "bid": BID_PRICE,
            "ask": ASK_PRICE,
            "conditions": Derived("words", ("conditions",), _words, ("conditions",)),
        },
        HAS_SIDE,
    ),
    VendorLayout(
        "alpaca bars",
        BARS,
        _SOURCE,
        {**_ROW, "open": "open", "high": "high", "low": "low", "close": "close", "volume": "volume"},
        {"vwap": "vwap"},
        {"trade_count": Derived("count", ("trade_count",), _count, ("trade_count",))},
    ),
)
