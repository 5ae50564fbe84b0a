"""The price of an underlying at given instants, taken from its quotes, trades and stored bars."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from stats.market_data.options.last_rows import NEVER_NS, Keep, LastRows, last_rows_at
from stats.market_data.plan import SymbolQuery
from store.arrays import Floats, Integers, Mask
from store.bar_policies import BarPolicy
from store.bars.prints import masks_of
from store.datasets import BARS, QUOTES, TRADES
from store.instruments import Instrument
from store.lazy_imports import compute as pc
from store.log_views.log_view import LogView
from store.log_views.stored_bars import stored_resolutions
from store.protocol import ALL_TIME, Window
from store.timestamps import DAY_NS

LOG_COUNT = 3

# The maximum age of a price: a long weekend.
_REACH_NS = 4 * DAY_NS
_LONGEST_BAR_NS = 31 * DAY_NS


@dataclass(frozen=True, slots=True)
class SpotPrices:
    """Prices of an underlying at some instants; NaN if unknown.

    time_ns: when each price was made, nanoseconds UTC; `NEVER_NS` if unknown.
    """

    price: Floats
    time_ns: Integers


@dataclass(frozen=True, slots=True)
class UnderlyingPrice:
    """The newest of three prices: mid quote, last trade that sets a close, close of a finished stored bar.

    If the newest quote has one side only, the other side comes from an earlier quote.
    """

    policy: BarPolicy
    quotes: LogView
    trades: LogView
    bars: LogView

    @property
    def logs(self) -> tuple[LogView, ...]:
        """The logs of quotes, trades and bars."""
        return self.quotes, self.trades, self.bars

    def at(self, instants: Integers) -> SpotPrices:
        """The price at each of the ascending instants."""
        newest = SpotPrices(np.full(len(instants), np.nan), np.full(len(instants), NEVER_NS))
        # If several prices have the same time, the last one in this order is used.
        for found in (self._of_bars(instants), self._of_trades(instants), self._of_quotes(instants)):
            is_newer = np.isfinite(found.price) & (found.time_ns >= newest.time_ns)
            newest = SpotPrices(
                np.where(is_newer, found.price, newest.price),
                np.where(is_newer, found.time_ns, newest.time_ns),
            )
        return newest

    def _of_trades(self, instants: Integers) -> SpotPrices:
        def sets_close(rows: pa.Table) -> Mask:
            return masks_of(rows, self.policy)[0]

        return _prices(last_rows_at(self.trades, instants, reach_ns=_REACH_NS, keep=sets_close), "price")

    def _of_quotes(self, instants: Integers) -> SpotPrices:
        bid, ask = (
            _prices(last_rows_at(self.quotes, instants, reach_ns=_REACH_NS, keep=_named(side)), side)
            for side in ("bid", "ask")
        )
        with np.errstate(invalid="ignore"):
            middle = np.where(bid.price <= ask.price, bid.price / 2 + ask.price / 2, np.nan)
        return SpotPrices(middle, np.maximum(bid.time_ns, ask.time_ns))

    def _of_bars(self, instants: Integers) -> SpotPrices:
        """The closes of finished bars of the finest stored resolution."""
        if self.bars.is_empty:
            return SpotPrices(np.full(len(instants), np.nan), np.full(len(instants), NEVER_NS))
        finest = stored_resolutions(self.bars)[0]
        length = finest.length_ns

        def is_finest(rows: pa.Table) -> Mask:
            found: Mask = pc.equal(rows.column("resolution"), finest.value).to_numpy()
            return found

        found = _prices(
            last_rows_at(self.bars, instants - length, reach_ns=_REACH_NS, keep=is_finest), "close"
        )
        return SpotPrices(found.price, np.where(found.time_ns == NEVER_NS, NEVER_NS, found.time_ns + length))


def underlying_price(
    symbol_query: SymbolQuery, instrument: Instrument, places: range, window: Window
) -> UnderlyingPrice:
    """The price of an instrument, for instants in a window.

    places: the indices of its three logs among the query's logs.
    """
    needed = Window(max(window.start_ns - _REACH_NS - _LONGEST_BAR_NS, ALL_TIME.start_ns), window.end_ns)
    quotes, trades, bars = (
        symbol_query.read_point.limited_to(
            symbol_query.read_point.log(dataset, instrument.symbol, place), needed
        )
        for dataset, place in zip((QUOTES, TRADES, BARS), places, strict=True)
    )
    return UnderlyingPrice(instrument.policy, quotes, trades, bars)


def _named(side: str) -> Keep:
    def is_named(rows: pa.Table) -> Mask:
        found: Mask = np.isfinite(rows.column(side).to_numpy())
        return found

    return is_named


def _prices(last: LastRows, column: str) -> SpotPrices:
    price = last.values(column).to_numpy(zero_copy_only=False).astype(float)
    return SpotPrices(price, last.time_ns)
