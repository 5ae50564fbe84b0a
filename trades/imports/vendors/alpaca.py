"""Alpaca's market data: the JSON of its API, and the CSV that its Python library writes (`.df.to_csv`)."""

from __future__ import annotations

import pyarrow.compute as pc

from store import lazy_pyarrow as pa
from store.datasets import BARS, QUOTES, TRADES
from trades.conditions import CONDITION_MAPS
from trades.imports.vendors.layout import ASK_PRICE, BID_PRICE, HAS_SIDE, Derived, VendorLayout

# Compared on 2026-11-22 with what alpaca-py 0.44.0 writes of the API's documented answers.
_SOURCE = "https://docs.alpaca.markets/reference/stocktrades-1, https://github.com/alpacahq/alpaca-py (alpaca.data.models)"
_LIST_MARKS = r"""[\[\]'" ]"""
# A code that is one space is a regular sale, as @ is: https://docs.alpaca.markets/reference/stockmetaconditions-1.
_BLANK, _REGULAR = r"""(^|[;'"]) ($|[;'"])""", r"\1@\2"
# Of a trade's `u`: it was cancelled, or replaced by a row with `corrected`.
_GONE = ("canceled", "incorrect")


def _codes(conditions: pa.Array) -> pa.Array:
    """Return codes joined by semicolons, of a list as Python or JSON has it."""
    named = pc.replace_substring_regex(conditions, _BLANK, _REGULAR)
    codes = pc.replace_substring(pc.replace_substring_regex(named, _LIST_MARKS, ""), ",", ";")
    return pc.if_else(pc.equal(codes, ""), None, codes)


def _conditions(conditions: pa.Array, tape: pa.Array) -> pa.Array:
    """Return the words of codes such as `['@', 'I']`; tape C has the codes of UTP, the others those of CTA."""
    codes = _codes(conditions)
    cta, utp = (CONDITION_MAPS[name].translated(TRADES.name, codes) for name in ("cta", "utp"))
    return pc.if_else(pc.equal(tape, "C").fill_null(False), utp, cta)


def _is_standing(update: pa.Array) -> pa.Array:
    return pc.invert(pc.is_in(update, pa.array(_GONE)))


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
        Derived("standing", ("update",), _is_standing, ("update",)),
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
            "conditions": Derived("words", ("conditions",), _codes, ("conditions",)),
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
        times_end=False,
    ),
)
