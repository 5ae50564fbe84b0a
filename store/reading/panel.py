"""Panels and cross-sections: values of many symbols, at many times or at one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from store.arrays import Floats, Integers
from store.bars.bars import Bars
from store.log_views.last_rows import LastRows
from store.reading.exceptions import UnknownColumn

_PRICES = ("open", "high", "low", "close")
FIELDS = (*_PRICES, "volume", "trade_count", "notional")


@dataclass(frozen=True, slots=True)
class Panel:
    """One field of the bars of many symbols.

    time_ns: the starts of all intervals with a bar of any symbol, nanoseconds UTC, ascending. values: float64, a row
    per time and a column per symbol; NaN without a bar.
    """

    time_ns: Integers
    symbols: tuple[str, ...]
    values: Floats

    def frame(self) -> Any:
        """Return a pandas DataFrame indexed by time in UTC, with a column per symbol."""
        from store.reading.frames import panel_frame  # noqa: PLC0415 pandas takes half a second

        return panel_frame(self.time_ns, self.symbols, self.values)


@dataclass(frozen=True, slots=True)
class CrossSection:
    """Each symbol's last trade at one instant, as equally long columns.

    time_ns: `store.reading.columns.NULL` without a trade. price, volume: NaN without a trade.
    """

    symbols: tuple[str, ...]
    time_ns: Integers
    price: Floats
    volume: Floats

    def frame(self) -> Any:
        """Return a pandas DataFrame indexed by symbol; the time is NaT without a trade."""
        from store.reading.frames import cross_section_frame  # noqa: PLC0415 pandas takes half a second

        return cross_section_frame(self.symbols, self.time_ns, {"price": self.price, "volume": self.volume})


def panel_of(
    symbols: tuple[str, ...], bars: Sequence[Bars], field: str, *, last_close: list[float] | None
) -> Panel:
    """Return the panel of one field. bars: of each symbol.

    last_close: each symbol's close before the panel, NaN for none; from its first bar on, a missing price is then its
    last close, and a missing sum or count is 0. None: missing values are NaN. Raises `UnknownColumn`.
    """
    if field not in FIELDS:
        raise UnknownColumn("field of bars", field, FIELDS)
    time_ns = _times(bars)
    values = _matrix(time_ns, bars, field)
    if field == "trade_count":
        values[values < 0] = np.nan
    if last_close is not None:
        closes = _matrix(time_ns, bars, "close")
        carried = _carried(np.column_stack([last_close, closes]))[:, 1:]
        missing = np.isnan(closes) & ~np.isnan(carried)
        values[missing] = carried[missing] if field in _PRICES else 0
    return Panel(time_ns, symbols, values.T)


def cross_section_of(symbols: tuple[str, ...], found: Sequence[LastRows]) -> CrossSection:
    """Return the cross-section of the rows that were found for each symbol, at one instant each."""
    price, volume = (
        np.array([each.values(name)[0].as_py() for each in found], np.float64) for name in ("price", "volume")
    )
    times = [each.time_ns[0] for each in found]
    return CrossSection(symbols, np.array(times, np.int64), price, volume)


def _times(bars: Sequence[Bars]) -> Integers:
    """Return the times of all bars, ascending. Symbols that trade in the same intervals are merged cheaply."""
    distinct = {each.time_ns.tobytes(): each.time_ns for each in bars}
    return np.unique(np.concatenate([np.empty(0, np.int64), *distinct.values()]))


def _matrix(time_ns: Integers, bars: Sequence[Bars], field: str) -> Floats:
    """Return a row per symbol and a column per time."""
    values = np.full((len(bars), len(time_ns)), np.nan)
    for row, each in zip(values, bars, strict=True):
        if len(each) == len(time_ns):
            row[:] = getattr(each, field)
        else:
            row[np.searchsorted(time_ns, each.time_ns)] = getattr(each, field)
    return values


def _carried(values: Floats) -> Floats:
    """Return each row with NaN replaced by the value before it; NaN before the first value."""
    known = np.where(np.isnan(values), 0, np.arange(values.shape[1]))
    carried: Floats = np.take_along_axis(values, np.maximum.accumulate(known, axis=1), axis=1)
    return carried
