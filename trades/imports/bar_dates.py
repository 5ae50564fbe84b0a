"""The dates that the times of bars of a day or longer mean in files: local midnights, and the last days of weeks and months."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from store.arrays import Integers, Mask
from store.resolutions import Resolution
from store.timestamps import DAY_NS
from trades.batches.validation import TypedColumn
from trades.imports.blocks import LINE
from trades.imports.columns import mask_of
from trades.imports.layout import ReadOptions
from trades.imports.times import local_clock, wall_times

_RESOLUTION = "resolution"
_FRIDAY, _SUNDAY, _WEEK_DAYS = 4, 6, 7
# 1970-01-01 was a Thursday.
_FIRST_WEEKDAY = 3
_LAST_DAYS = 4


def dated_bars(
    times: TypedColumn, cells: pa.Array, resolutions: pa.Array, options: ReadOptions
) -> TypedColumn:
    """Return the times of bars, of which those of a day or longer that are a local midnight are the date's midnight UTC.

    A midnight is that of the clock by which the cell is written, also if a change to summer time left it out; else the
    one of the options' time zone. Weeks and months are dated by their first day if the times are of their ends. A week
    that begins on a Sunday is that of the Monday after. cells: as the file has them. resolutions: one for each row.
    """
    encoded = resolutions.dictionary_encode()
    kinds = [_period(name) for name in encoded.dictionary.to_pylist()]
    if not any(kinds):
        return times
    codes = encoded.indices.fill_null(len(kinds)).to_numpy()
    instants, is_time = times.values.fill_null(0).to_numpy().copy(), mask_of(times.values.is_valid())
    is_date: Mask = np.zeros(len(instants), dtype=bool)
    for code, kind in enumerate(kinds):
        rows = np.flatnonzero(codes == code)
        if kind is not None and len(rows):
            found, is_found = instants[rows], np.zeros(len(rows), dtype=bool)
            if (
                not is_time[rows].all() or (found % DAY_NS).any()
            ):  # midnights UTC are the dates that they mean
                found, is_found = _dates(found, cells.take(pa.array(rows)), options)
            found = _first_days(found, kind, options)
            keeps = ~is_found & ~is_time[rows]
            instants[rows] = np.where(keeps, instants[rows], found)
            is_date[rows] = is_found
    faults = [(fault, mask & ~is_date) for fault, mask in times.faults]
    values = pa.array(instants, mask=~(is_time | is_date))
    return TypedColumn(values, [(fault, mask) for fault, mask in faults if mask.any()])


def _dates(instants: Integers, cells: pa.Array, options: ReadOptions) -> tuple[Integers, Mask]:
    """Return the midnights UTC of the dates that local midnights mean, other instants as they are, and a mask of these dates."""
    encoded = cells.dictionary_encode()  # many rows have few dates, whose texts take long to parse
    codes = encoded.indices.fill_null(len(encoded.dictionary)).to_numpy()
    clock = wall_times(encoded.dictionary, replace(options, zone="UTC"))
    walls = np.append(clock.fill_null(1).to_numpy(), 1)[codes]
    local = local_clock(pa.array(instants), options.zone).to_numpy()
    is_own = walls % DAY_NS == 0
    is_found = is_own | ((local % DAY_NS == 0) & (instants % DAY_NS != 0))
    found = np.where(is_own, walls, np.where(is_found, local, instants))
    return found, is_found


def _first_days(instants: Integers, resolution: Resolution, options: ReadOptions) -> Integers:
    """Return the times of bars of weeks or months, dated by their first day if they are of the ends."""
    days = instants // DAY_NS
    if options.times_end and resolution.is_uneven:
        return resolution.first_day(resolution.number_of_day(days)) * DAY_NS
    if resolution.unit == "w" and "times_end" in options.told:
        return np.where((instants % DAY_NS == 0) & (_weekday(days) == _SUNDAY), instants + DAY_NS, instants)
    return instants


def ends_of_bars(bars: pa.Table, dated: pa.Table) -> str:
    """Return why the dates of bars of weeks or months seem to be those of their ends; an empty text if they do not.

    bars: the rows with their resolutions. dated: the rows with the times of the file; `LINE` tells which row is which.
    """
    lines = dated[LINE].to_numpy()
    for name in bars[_RESOLUTION].unique().to_pylist():
        resolution = Resolution.parse(name)
        if not resolution.is_uneven:
            continue
        is_of_one = np.isin(lines, bars.filter(pc.equal(bars[_RESOLUTION], name))[LINE].to_numpy())
        days = dated.column(0).to_numpy()[is_of_one] // DAY_NS
        if resolution.unit == "w" and _are_most(_weekday(days) >= _FRIDAY):
            return "most weeks have the date of a Friday, Saturday or Sunday"
        if resolution.unit == "M" and _are_most(_month(days) != _month(days + _LAST_DAYS)):
            return "most months have the date of one of their last days"
    return ""


def _are_most(mask: Mask) -> bool:
    return bool(2 * mask.sum() > len(mask))


def _month(days: Integers) -> Integers:
    return days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)


def _weekday(days: Integers) -> Integers:
    """Return the days of the week, 0 for Monday."""
    return (days + _FIRST_WEEKDAY) % _WEEK_DAYS


def is_period(name: str) -> bool:
    """Return whether a text is a resolution of a day or longer."""
    return _period(name) is not None


def _period(name: str | None) -> Resolution | None:
    """Return the resolution of a day or longer that a text is, if any."""
    try:
        resolution = Resolution.parse(name or "")
    except ValueError:  # the column's check reports it
        return None
    return resolution if resolution.is_period else None
