"""Bars of days, weeks and months whose times are neither midnights nor surely of the UTC date by which they are stored."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from store.arrays import Integers
from store.instrument_calendars import calendar_if_known
from store.timestamps import DAY_NS, format_timestamp
from trades.imports.bar_dates import is_period
from trades.imports.blocks import SYMBOL
from trades.imports.reading import FileReading
from trades.imports.samples import Sample
from trades.imports.times import has_local_times, local_clock, parse_instants, wall_times
from trades.stores import market_store

# No clock is more than 14 hours ahead of UTC: an earlier time of day in UTC is no local midnight of the next date.
_EARLIEST_NS = 10 * 3_600 * 10**9


def clock_doubt(reading: FileReading, sample: Sample) -> str | None:
    """Return why the dates of bars of a day or longer may be those before, or None.

    Without a calendar such a bar has its UTC date. Late in the UTC day, where it is the next date already in the east,
    the time may be a local midnight. A clock that shows the same date as UTC dispels the doubt: that of the cell, or of
    `--timezone`. Raises `StorageError`s.
    """
    rows = sample.rows
    rows = rows.filter(pc.is_in(rows["resolution"], pa.array(_periods(rows), pa.string())))
    times: Integers = rows[0].to_numpy()
    late = times[times % DAY_NS >= _EARLIEST_NS]
    if 2 * len(late) <= len(times) or _have_calendars(rows) or _have_clocks(reading, sample):
        return None
    values, counts = np.unique(late % DAY_NS, return_counts=True)
    clock = format_timestamp(int(values[counts.argmax()]))[11:16]
    few = "all" if len(values) == 1 and len(late) == len(times) else "many"
    return (
        f"{few} times of bars of a day or longer are {clock} UTC, and their dates are those of UTC: if these are local"
        " midnights, give the --timezone of the exchange; if they are of sessions, declare the exchange"
    )


def _periods(rows: pa.Table) -> list[str]:
    return [name for name in rows["resolution"].unique().to_pylist() if is_period(name)]


def _have_calendars(rows: pa.Table) -> bool:
    """Return whether a calendar tells the dates of all symbols."""
    store = market_store()
    symbols = rows[SYMBOL].unique().to_pylist()
    return all(calendar_if_known(store.instrument(symbol)) is not None for symbol in symbols)


def _have_clocks(reading: FileReading, sample: Sample) -> bool:
    """Return whether all times have a clock of their own or of `--timezone`, which shows the same date as UTC.

    A time without an offset is written with its own date.
    """
    cells, options = reading.times_of(sample.cells), reading.options
    instants, _ = parse_instants(cells, replace(options, ambiguous="earliest"), is_event=True, limit=None)
    walls = wall_times(cells, options)
    is_given = "zone" in options.told and options.zone != "UTC"
    is_utc = pc.equal(walls, instants)
    shown = pc.if_else(is_utc, local_clock(instants, options.zone), walls) if is_given else walls
    both = pa.table({"utc": instants, "shown": shown, "is_utc": is_utc}).drop_null()
    same = both["utc"].to_numpy() // DAY_NS == both["shown"].to_numpy() // DAY_NS
    has_own = has_local_times(cells) or not pc.any(both["is_utc"]).as_py()
    return bool(same.all() and (is_given or has_own))
