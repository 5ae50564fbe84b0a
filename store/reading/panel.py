"""Panels: one field of the bars of many symbols."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from store.arrays import Floats, Integers
from store.bars.bars import Bars
from store.reading.exceptions import UnknownColumn

FIELDS = ("open", "high", "low", "close", "volume", "trade_count", "notional")


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


def panel_of(symbols: tuple[str, ...], bars: Sequence[Bars], field: str) -> Panel:
    """Return the panel of one field. bars: of each symbol. Raises `UnknownColumn`."""
    if field not in FIELDS:
        raise UnknownColumn("field of bars", field, FIELDS)
    time_ns = np.unique(np.concatenate([np.empty(0, np.int64), *(each.time_ns for each in bars)]))
    values = np.full((len(time_ns), len(symbols)), np.nan)
    for column, each in enumerate(bars):
        values[np.searchsorted(time_ns, each.time_ns), column] = getattr(each, field)
    if field == "trade_count":
        values[values < 0] = np.nan
    return Panel(time_ns, symbols, values)
