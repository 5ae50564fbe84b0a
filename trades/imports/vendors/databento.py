"""Databento's records: DBN, and CSV with the same columns."""

import pyarrow as pa
import pyarrow.compute as pc

from store.datasets import BARS, QUOTES, TRADES
from trades.conditions.databento import DATABENTO
from trades.imports.vendors.layout import Derived, VendorLayout

_SOURCE = (
    "https://databento.com/docs/schemas, https://databento.com/docs/conventions/common-fields-enums-types"
)
# UNDEF_PRICE and UNDEF_TIMESTAMP of DBN.
_NULLS = ("9223372036854775807", "18446744073709551615")
_RESOLUTIONS = {"32": "1s", "33": "1m", "34": "1h", "35": "1d"}


def _is_trade(action: pa.Array) -> pa.Array:
    return pc.equal(action, "T").fill_null(False)


def _buyer_is_maker(side: pa.Array) -> pa.Array:
    """A trade's side is the aggressor's: A sold, B bought; N is unknown."""
    return pc.if_else(pc.is_in(side, pa.array(["A", "B"])), pc.equal(side, "A"), None).cast(pa.bool_())


def _resolution(rtype: pa.Array) -> pa.Array:
    encoded = pc.dictionary_encode(rtype)
    names = [_RESOLUTIONS.get(each, f"rtype-{each}") for each in encoded.dictionary.to_pylist()]
    return pa.array(names, pa.string()).take(encoded.indices)


def _has_side(bid: pa.Array, ask: pa.Array) -> pa.Array:
    """A record of an empty book has neither side; there is nothing to store of it."""
    return pc.or_(pc.is_valid(bid), pc.is_valid(ask))


def _same(values: pa.Array) -> pa.Array:
    return values


_RECORD = {"timestamp": "ts_event", "exchange": "publisher_id"}
_RECEIVED = {"received_at": "ts_recv", "sequence": "sequence"}
_SYMBOL = {"symbol": "symbol"}
_FLAGS = {"conditions": Derived("flags", ("flags",), _same)}

DATABENTO_LAYOUTS = (
    VendorLayout(
        "databento mbp-1, tbbo",
        QUOTES,
        _SOURCE,
        {
            **_RECORD, **_RECEIVED, "bid": "bid_px_00", "bid_size": "bid_sz_00", "ask": "ask_px_00",
            "ask_size": "ask_sz_00",
        },
        _SYMBOL,
        _FLAGS,
        Derived("with a side", ("bid_px_00", "ask_px_00"), _has_side),
        conditions=DATABENTO,
        nulls=_NULLS,
        fixed_point=("bid", "ask"),
    ),
    VendorLayout(
        "databento trades",
        TRADES,
        _SOURCE,
        {**_RECORD, **_RECEIVED, "price": "price", "volume": "size"},
        _SYMBOL,
        {**_FLAGS, "buyer_is_maker": Derived("aggressor", ("side",), _buyer_is_maker)},
        Derived("trades", ("action",), _is_trade),
        conditions=DATABENTO,
        nulls=_NULLS,
        fixed_point=("price",),
    ),
    VendorLayout(
        "databento ohlcv",
        BARS,
        _SOURCE,
        {"timestamp": "ts_event", "open": "open", "high": "high", "low": "low", "close": "close", "volume": "volume"},
        _SYMBOL,
        {"resolution": Derived("resolution", ("rtype",), _resolution)},
        nulls=_NULLS,
        fixed_point=("open", "high", "low", "close"),
        times_end=False,
    ),
)  # fmt: skip
