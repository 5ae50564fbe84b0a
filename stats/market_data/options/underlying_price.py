"""The price of an underlying at given instants, taken from its quotes, trades and stored bars."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from stats.market_data.plan import SymbolQuery
from store.arrays import Floats, Integers, Mask
from store.bar_policies import BarPolicy
from store.bars.prints import masks_of
from store.datasets import BARS, QUOTES, TRADES
from store.instruments import Instrument
from store.lazy_imports import compute as pc
from store.log_views.last_rows import NEVER_NS, RowFilter, last_rows_at
from store.log_views.log_view import LogView
from store.log_views.stored_resolutions import stored_resolutions
from store.protocol import ALL_TIME, Window
from store.rounding import midpoints
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
    """The newest of three prices: the mid quote, the last trade that sets a close, a finished stored bar's close.

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
        """Return the price at each of the ascending instants."""
        newest = SpotPrices(np.full(len(instants), np.nan), np.full(len(instants), NEVER_NS))
        # If several prices have the same time, the last one in this order is used.
        for each in (self._of_bars(instants), self._of_trades(instants), self._of_quotes(instants)):
            is_newer = np.isfinite(each.price) & (each.time_ns >= newest.time_ns)
            newest = SpotPrices(
                np.where(is_newer, each.price, newest.price),
                np.where(is_newer, each.time_ns, newest.time_ns),
            )
        return newest

    def _of_trades(self, instants: Integers) -> SpotPrices:
        return _prices(self.trades, instants, "price", self._sets_close)

    def _sets_close(self, rows: pa.Table) -> Mask:
        """Return whether each of the ordered trades sets a close."""
        return masks_of(rows, self.policy)[0]

    def _of_quotes(self, instants: Integers) -> SpotPrices:
        bid, ask = (_prices(self.quotes, instants, side, _has_side(side)) for side in ("bid", "ask"))
        with np.errstate(invalid="ignore"):
            middle = np.where(bid.price <= ask.price, midpoints(bid.price, ask.price), np.nan)
        return SpotPrices(middle, np.maximum(bid.time_ns, ask.time_ns))

    def _of_bars(self, instants: Integers) -> SpotPrices:
        """Return the closes of finished bars of the finest stored resolution."""
        if self.bars.is_empty:
            return SpotPrices(np.full(len(instants), np.nan), np.full(len(instants), NEVER_NS))
        finest = stored_resolutions(self.bars)[0]
        length = finest.length_ns

        def is_finest(rows: pa.Table) -> Mask:
            mask: Mask = pc.equal(rows.column("resolution"), finest.value).to_numpy()
            return mask

        closes = _prices(self.bars, instants - length, "close", is_finest)
        end_ns = np.where(closes.time_ns == NEVER_NS, NEVER_NS, closes.time_ns + length)
        return SpotPrices(closes.price, end_ns)


def underlying_price(
    symbol_query: SymbolQuery, instrument: Instrument, log_indices: range, window: Window
) -> UnderlyingPrice:
    """Return the price of an instrument, for instants in a window.

    log_indices: the indices of the instrument's three logs among the plan's logs.
    """
    needed = Window(max(window.start_ns - _REACH_NS - _LONGEST_BAR_NS, ALL_TIME.start_ns), window.end_ns)
    quotes, trades, bars = (
        symbol_query.limited_to(symbol_query.log(dataset, instrument.symbol, log_index), needed)
        for dataset, log_index in zip((QUOTES, TRADES, BARS), log_indices, strict=True)
    )
    return UnderlyingPrice(instrument.policy, quotes, trades, bars)


def _has_side(side: str) -> RowFilter:
    def has_side(rows: pa.Table) -> Mask:
        mask: Mask = np.isfinite(rows.column(side).to_numpy())
        return mask

    return has_side


def _prices(log: LogView, instants: Integers, column: str, row_filter: RowFilter) -> SpotPrices:
    last = last_rows_at(log, instants, reach_ns=_REACH_NS, row_filter=row_filter)
    price = last.values(column).to_numpy(zero_copy_only=False).astype(float)
    return SpotPrices(price, last.time_ns)
