"""The grids of an instrument's bars, as the options ask for."""

from __future__ import annotations

import sys
from functools import lru_cache

from calendars.schedule import Anchor, Hours, SessionMode
from store.instruments import Instrument
from store.log_views.bar_grid import BarGrid, instrument_grid, plain_grid
from store.reading.arguments import IntervalArgument, interval_ns, resolution_of
from store.reading.bar_choice import BarChoice
from store.resolutions import Resolution
from store.timestamps import DAY_NS


def grid_of_instrument(instrument: Instrument, choice: BarChoice, interval: IntervalArgument) -> BarGrid:
    """Return the grid of an instrument's bars. Raises `InvalidInterval`, `NoExchange` and `UnknownExchange`."""
    if choice.needs_resolution or is_long(interval):
        return instrument_grid(
            instrument,
            resolution_of(interval),
            session=None if choice.session is None else SessionMode(choice.session),
            hours=None if choice.hours is None else Hours(choice.hours),
            anchor=Anchor(choice.anchor),
        )
    length = interval_ns(interval)
    if length != DAY_NS or choice.session is not None or not instrument.has_sessions:
        return plain_grid(length, instrument)
    return instrument_grid(instrument, Resolution.DAY)


def shown_until_ns(choice: BarChoice, grid: BarGrid) -> int:
    """Return the instant from which intervals are left out: with `partial="exclude"` the first that is not over."""
    return sys.maxsize if choice.with_partial else grid.first_not_over_ns(choice.now_ns)


def is_long(interval: IntervalArgument) -> bool:
    """Return whether an interval is a resolution of HTTP that is longer than a day."""
    return isinstance(interval, str) and _is_long_name(interval)


@lru_cache(maxsize=4096)
def _is_long_name(text: str) -> bool:
    try:
        return Resolution.parse(text) > Resolution.DAY
    except ValueError:
        return False
