"""Effective and realised spreads of trades, from the quotes before and after them.

With the midpoint m of bid and ask, the side D (+1 for a buyer's trade, -1 for a seller's) and a horizon h, a trade
at price p and time t has

    effective spread = 2 D (p - m(t))
    realised spread  = 2 D (p - m(t + h))

in the currency of the price (Huang and Stoll, "Dealer versus auction markets", Journal of Financial Economics 41,
1996). D is +1 above the midpoint and -1 below it, the quote rule of Lee and Ready ("Inferring trade direction from
intraday data", Journal of Finance 46, 1991). Their tick test of trades at the midpoint is left out, because it depends
on trades before the range: such a trade has no side, the effective spread 0 and no realised spread. A feed's own word,
`buyer_is_maker`, goes before the rule.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from store import lazy_pyarrow as pa
from store.arrays import Floats, Integers
from store.datasets import QUOTES, TRADES
from store.declarations import Column, ColumnKind, Dataset
from store.log_views.asof_join import AsOfJoin, joined_dataset
from store.log_views.best_quotes import BEST_QUOTES
from store.log_views.last_rows import LastRows
from store.rounding import midpoints, rounded_sum

SPREAD_COLUMNS = (
    Column("mid", ColumnKind.NUMBER, help="The midpoint of bid and ask."),
    Column("side", ColumnKind.TEXT, help="Who wanted the trade.", choices=("buy", "sell")),
    Column("effective_spread", ColumnKind.NUMBER, help="Twice the signed distance to the midpoint."),
    Column("realised_spread", ColumnKind.NUMBER, help="The same to the midpoint after the horizon."),
)


def _quoted_trades(quotes: Dataset) -> Dataset:
    joined = joined_dataset(TRADES, quotes)
    return replace(joined, name="quoted_trades", columns=(*joined.columns, *SPREAD_COLUMNS))


# Trades with the quote, or the best bid and offer, that stood before each of them.
QUOTED_TRADES = _quoted_trades(QUOTES)
BEST_QUOTED_TRADES = _quoted_trades(BEST_QUOTES)


@dataclass(frozen=True, slots=True)
class QuotedTrades:
    """Joins trades with quotes and computes their spreads.

    horizon_ns: the time from a trade to the midpoint of its realised spread. known_until_ns: a realised spread is null
    if its horizon ends at this instant or later, because quotes before that end may still be missing.
    """

    join: AsOfJoin
    horizon_ns: int
    known_until_ns: int

    def columns(self, trades: pa.Table) -> dict[str, Any]:
        """Return the quotes' and spreads' columns of ordered trades, by name, as arrays with nulls or NaN."""
        time_ns = trades.column("timestamp").to_numpy()
        quotes = self.join.rows_at(time_ns)
        mid = _midpoints(quotes)
        price = trades.column("price").to_numpy()
        distance = _distances(price, mid)
        side = _sides(trades, distance)
        words = pa.array(side > 0, pa.int32(), mask=side == 0)
        return {
            **self.join.columns_of(quotes, TRADES),
            "mid": mid,
            "side": pa.DictionaryArray.from_arrays(words, ["sell", "buy"]).dictionary_decode(),
            "effective_spread": _spreads(side, distance),
            "realised_spread": _spreads(
                np.where(side == 0, np.nan, side), _distances(price, self._later_midpoints(time_ns))
            ),
        }

    def _later_midpoints(self, time_ns: Integers) -> Floats:
        ends_ns = time_ns + self.horizon_ns
        mid = _midpoints(replace(self.join, lag_ns=0).rows_at(ends_ns))
        mid[ends_ns >= self.known_until_ns] = np.nan
        return mid


def _midpoints(quotes: LastRows) -> Floats:
    """Return the midpoint of each quote; NaN if a side is absent or the quote is crossed."""
    bid, ask = (quotes.values(name).to_numpy(zero_copy_only=False) for name in ("bid", "ask"))
    return np.where(bid <= ask, midpoints(bid, ask), np.nan)


def _distances(price: Floats, mid: Floats) -> Floats:
    """Return the prices less the midpoints, NaN without a midpoint."""
    return rounded_sum(price, -mid)


def _spreads(side: Integers | Floats, distance: Floats) -> Floats:
    # 0.0 is added because -1 times 0.0 is -0.0.
    spreads: Floats = 2 * side * distance + 0.0
    return spreads


def _sides(trades: pa.Table, distance: Floats) -> Integers:
    """Return 1 for each buyer's trade, -1 for a seller's, 0 if unknown. distance: of the prices to the midpoints."""
    by_quote = np.nan_to_num(np.sign(distance)).astype(np.int64)
    maker = trades.column("buyer_is_maker")
    if maker.null_count == len(maker):
        return by_quote
    by_feed = np.where(maker.fill_null(False).to_numpy(), -1, 1)
    return np.where(maker.is_null().to_numpy(), by_quote, by_feed)
