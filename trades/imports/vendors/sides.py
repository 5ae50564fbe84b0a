"""The sides of vendors' quotes, where an absent side has the price 0."""

import pyarrow as pa
import pyarrow.compute as pc

from trades.imports.vendors.layout import Derived


def _price(price: pa.Array) -> pa.Array:
    number = price.cast(pa.float64())
    return pc.if_else(pc.equal(number, 0.0), None, number)


def _has_side(bid: pa.Array, ask: pa.Array) -> pa.Array:
    return pc.or_(pc.is_valid(_price(bid)), pc.is_valid(_price(ask)))


BID_PRICE = Derived("price or null", ("bid_price",), _price)
ASK_PRICE = Derived("price or null", ("ask_price",), _price)
HAS_SIDE = Derived("with a side", ("bid_price", "ask_price"), _has_side)
