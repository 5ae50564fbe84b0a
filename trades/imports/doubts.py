"""What speaks against rows as they would be stored, and rows that are never stored."""

import re
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from store.arrays import Integers
from store.datasets import BARS, OPTION_QUOTES, QUOTES, TRADES
from store.resolutions import Resolution
from store.timestamps import DAY_NS, SECOND_NS, format_timestamp
from trades.exceptions import ImportRefused
from trades.formats.arrow_values import one_array
from trades.imports.bar_clocks import clock_doubt
from trades.imports.blocks import LINE, SYMBOL, RowBlock
from trades.imports.cell_looks import (
    are_clocks,
    are_contracts,
    are_dates,
    distinct_texts,
    fraction_digits,
    plain_texts,
)
from trades.imports.distances import distance_doubt
from trades.imports.hints import bare, listed, look, paired
from trades.imports.reading import FileReading
from trades.imports.row_kinds import doubts_of_kinds, refuse_kinds
from trades.imports.samples import Sample
from trades.imports.symbols import has_letters, may_be_an_instrument, may_be_symbols, tells_other_things
from trades.imports.times import are_epochs, has_local_times, wall_times
from trades.imports.vendors.marketdata import MARKETDATA

# Rows of other datasets may have dates for times: an ex-date, the date of a curve.
_OF_INSTANTS = (TRADES, QUOTES, OPTION_QUOTES)
_SAMPLES, _FEW, _SEVERAL = 3, 20, 2
_NIGHT_NS, _OFTEN = 6 * 3_600 * 10**9, 0.5
_HOURS = ("%H", "%I", "%c", "%X")
# Names of columns that tell instruments of one symbol apart, in small letters without other characters.
_PARTS_OF_SYMBOLS = re.compile(
    "expir|deliver|matur|series?$|seriesname|suffix|strike|contract|tenor|root|shareclass|^class$|verfall|liefer|laufzeit"
    "|vencim|echeance|scadenza|lejar|currency|^ccy$|whrung|underl|putcall|callput|^right$|optiontype"
)
_CLOCKS, _FRACTIONS, _DATES, _SPLITS = (
    "its cells are times of day",
    "its cells are parts of seconds",
    "its cells are dates",
    "it tells rows of one symbol apart",
)


class UnreadColumn(NamedTuple):
    """A column that is not read. samples: up to three of its cells. note: why it may matter, or empty."""

    name: str
    samples: tuple[str, ...]
    note: str


def unread_columns(reading: FileReading, sample: Sample) -> list[UnreadColumn]:
    """Return the columns that are not read, those first that may matter most: times of day, then parts of symbols."""
    found = []
    for name in reading.layout.unread_columns:
        if name not in sample.unread.column_names:
            found.append(UnreadColumn(name, (), ""))
            continue
        cells = one_array(sample.cells[name])
        texts = tuple(str(cell) for cell in cells.drop_null().unique()[:_SAMPLES].to_pylist())
        notes = {
            _CLOCKS: are_clocks(name, cells, is_named=False),
            _FRACTIONS: _is_fraction(reading, sample, cells, name),
            _SPLITS: bool(_split_texts(reading, sample, name)),
            _DATES: are_dates(cells),
        }
        found.append(UnreadColumn(name, texts, next((note for note, fits in notes.items() if fits), "")))
    return sorted(found, key=lambda column: (_CLOCKS, _FRACTIONS, _SPLITS, _DATES, "").index(column.note))


def doubts_of(reading: FileReading, sample: Sample, *, now_ns: int) -> Iterator[str]:
    """Yield why the rows may be wrong, whatever the options."""
    if not (rows := sample.rows).num_rows:
        return
    latest = int(rows[0].to_numpy().max())
    if latest > now_ns + DAY_NS:
        yield f"a time is yet to come: {format_timestamp(latest)}"
    # The manifest of our own export has the resolution, however few bars a file has.
    is_own = reading.options.vendor.startswith(MARKETDATA)
    if reading.options.dataset is BARS and not is_own and (doubt := distance_doubt(RowBlock(rows, (), 0))):
        yield doubt
    if reading.options.dataset is BARS and (doubt := clock_doubt(reading, sample)):
        yield doubt
    if _has_nights(reading, sample):
        yield "times of day jump back within a date: if the dates are trading dates, the night is that of the evening before"
    yield from _doubts_of_columns(reading, sample)
    yield from doubts_of_kinds(reading, sample)


def _doubts_of_columns(reading: FileReading, sample: Sample) -> Iterator[str]:
    has_clock = bool(reading.options.vendor) or _has_clock(reading, sample)
    if not has_clock and reading.options.dataset in _OF_INSTANTS:
        yield "all times are midnights: the times of day seem to be missing"
    for column in unread_columns(reading, sample):
        if column.name not in sample.unread.column_names:
            continue
        texts = ", ".join(column.samples)
        if column.note == _CLOCKS and not has_clock and not is_of_days(sample.rows):
            yield f"the times have no time of day, and {column.name} is not read: {texts}"
        if column.note == _FRACTIONS:
            yield f"{column.name} is not read, and seems to have the parts of seconds of the times: {texts}"
        if split := _split_texts(reading, sample, column.name):
            yield f"{column.name} is not read and has several values for one symbol: {', '.join(split)}"


def _is_fraction(reading: FileReading, sample: Sample, cells: pa.Array, name: str) -> bool:
    """Return whether an unread column has milliseconds or the like, and the times are of whole seconds."""
    if reading.options.vendor or fraction_digits(name, cells) is None:
        return False
    is_zero = pc.all(pc.match_substring_regex(cells.cast(pa.string()), "^[ 0]*$")).as_py()
    return not (is_zero or (sample.rows[0].to_numpy() % SECOND_NS).any())


def refuse_wrong_rows(reading: FileReading, sample: Sample) -> None:
    """Raise `ImportRefused` for rows that are never stored.

    These are dates as times of trades and quotes, rows of several kinds, and bars of one time with different values; and
    options by which no row of a file is read.
    """
    if not (sample.rows.num_rows or sample.bad):
        _refuse_no_rows(reading)
        return
    dataset = reading.options.dataset
    # Rows of our own exports are stored as they are.
    if dataset in _OF_INSTANTS and not reading.options.vendor.startswith(MARKETDATA):
        _refuse_dates(reading, sample)
    refuse_kinds(reading, sample)
    if dataset is BARS:
        _refuse_two_bars(reading, sample)


def _refuse_no_rows(reading: FileReading) -> None:
    """Raise `ImportRefused` if the option `--rows` leaves no row of a file that has rows."""
    names = [*reading.options.rows]
    piece = (
        next((each for each in reading.file.pieces(names) if each.cells.num_rows), None) if names else None
    )
    if piece is not None:
        texts = "; ".join(f"{name} has {listed(distinct_texts(piece.cells[name])[:_FEW])}" for name in names)
        raise ImportRefused(f"{reading.file.path}: --rows leaves no row; {texts}")


def _refuse_dates(reading: FileReading, sample: Sample) -> None:
    options, source = reading.options, reading.layout.sources.get("timestamp")
    if source is None or options.date is not None:
        return
    if options.time_format:
        is_date = not has_hours(options.time_format)
    else:
        is_date = are_dates(reading.times_of(sample.cells))
    clocks = _clocks(reading, sample)
    has_clock = not sample.rows.num_rows or _has_clock(reading, sample)
    if is_date or (clocks and not has_clock) or _are_midnights(reading, sample):
        cells = reading.times_of(sample.cells)
        is_epoch = not is_date and (pa.types.is_integer(cells.type) or are_epochs(cells))
        columns = paired({"timestamp": f"{source}+{clocks[0]}"}) if clocks else ""
        hint = look("--columns", columns) if columns and not (is_epoch or options.vendor) else ""
        raise ImportRefused(
            f"{reading.file.path}: {source} has dates without a time of day, which are no times of {options.dataset.name}{hint}"
        )


def _are_midnights(reading: FileReading, sample: Sample) -> bool:
    """Return whether several times are written, each as a midnight of its own clock. Epochs of midnights are doubted."""
    cells = reading.times_of(sample.cells).drop_null()
    if sample.rows.num_rows < _SEVERAL or pa.types.is_integer(cells.type) or are_epochs(cells):
        return False
    walls = wall_times(cells, reading.options).drop_null().to_numpy()
    return bool(len(walls)) and not (walls % DAY_NS).any()


def _clocks(reading: FileReading, sample: Sample) -> list[str]:
    """Return the unread columns whose cells are times of day."""
    return [
        name
        for name in reading.layout.unread_columns
        if name in sample.cells.column_names
        and are_clocks(name, one_array(sample.cells[name]), is_named=False)
    ]


def _has_clock(reading: FileReading, sample: Sample) -> bool:
    """Return whether a time is not midnight."""
    local = _local_times(reading, sample.rows)
    return bool((local % DAY_NS != 0).any())


def _local_times(reading: FileReading, rows: pa.Table) -> Integers:
    instants = one_array(rows[0]).cast(pa.timestamp("ns")).cast(pa.timestamp("ns", "UTC"))
    zoned = instants.cast(pa.timestamp("ns", reading.options.zone))
    return np.asarray(pc.local_timestamp(zoned).cast(pa.int64()).to_numpy())


def _refuse_two_bars(reading: FileReading, sample: Sample) -> None:
    keys, rows = [SYMBOL, "resolution", "timestamp"], sample.rows
    values = rows.drop_columns([LINE]).group_by(rows.drop_columns([LINE]).column_names).aggregate([])
    counts = values.group_by(keys).aggregate([([], "count_all")])
    twice = counts.filter(pc.greater(counts["count_all"], 1))
    if not twice.num_rows:
        return
    first = twice.slice(0, 1).to_pylist()[0]
    same = pc.and_(pc.equal(rows[SYMBOL], first[SYMBOL]), pc.equal(rows["timestamp"], first["timestamp"]))
    few = sample.unread.filter(same) if sample.unread.num_columns else sample.unread
    apart = [name for name in few.column_names if len(distinct_texts(few[name])) > 1]
    clocks = [name for name in apart if are_clocks(name, one_array(sample.cells[name]), is_named=False)]
    hint = look("--rows", f"{apart[0]}={listed(distinct_texts(few[apart[0]])[:1])}") if apart else ""
    if clocks:  # rows of one time of day would be taken for bars of days
        hint = look("--columns", paired({"timestamp": f"{reading.layout.sources['timestamp']}+{clocks[0]}"}))
    zone = (
        f"; {'or ' if hint else ''}give the --timezone, if an hour occurred twice"
        if has_local_times(reading.times_of(sample.cells))
        else ""
    )
    raise ImportRefused(
        f"{reading.file.path}: two bars of {first[SYMBOL]} have the time {format_timestamp(first['timestamp'])} and different"
        f" values{', and differ in ' + ', '.join(apart) if apart else ''}{hint}{zone}"
    )


def _split_texts(reading: FileReading, sample: Sample, name: str) -> list[str]:
    """Return values of an unread column that seem to be parts of symbols: several of one symbol; none of other columns."""
    rows, texts = sample.rows, distinct_texts(sample.unread[name])
    if not len(texts) > 1 or not _differs(rows, sample.unread[name], [SYMBOL]):
        return []
    is_part = _PARTS_OF_SYMBOLS.search(bare(name)) is not None
    if is_part or reading.options.vendor:
        return texts[:2] if is_part or _has_other_instruments(reading, sample, name) else []
    if are_contracts(texts):
        days = rows.append_column("day", pc.divide(rows[0], DAY_NS))
        is_few = len(texts) <= max(2, rows.num_rows // 2)
        return texts[:2] if is_few and _differs(days, sample.unread[name], [SYMBOL, "day"]) else []
    if tells_other_things(name):
        return []
    if may_be_symbols(texts):
        return texts[:2]
    is_bar = "resolution" in rows.column_names
    keys = [SYMBOL, rows.column_names[0], *(["resolution"] if is_bar else [])]
    is_text = all(has_letters(text) for text in texts if text)
    return (
        texts[:2]
        if (is_bar or is_text) and len(texts) <= _FEW and _differs(rows, sample.unread[name], keys)
        else []
    )


def _has_other_instruments(reading: FileReading, sample: Sample, name: str) -> bool:
    """Return whether a column that a vendor's layout does not read tells instruments of one symbol apart.

    Vendors give ids anew each day, and a symbol to another instrument later: of symbols from a column, ids count that
    differ within a day.
    """
    if not may_be_an_instrument(name):
        return False
    if reading.layout.symbol is None:
        return True
    days = sample.rows.append_column("day", pc.divide(sample.rows[0], DAY_NS))
    return _differs(days, sample.unread[name], [SYMBOL, "day"])


def _differs(rows: pa.Table, values: pa.ChunkedArray, keys: list[str]) -> bool:
    """Return whether rows of one key have several values."""
    table = rows.select(keys).append_column("value", pa.array(plain_texts(values)))
    pairs = table.group_by([*keys, "value"]).aggregate([])
    counts = pairs.group_by(keys).aggregate([([], "count_all")])
    return bool(pc.max(counts["count_all"]).as_py() > 1)


def has_hours(time_format: str) -> bool:
    """Return whether a format of `strptime` has the time of day."""
    return any(hours in time_format for hours in _HOURS)


def is_of_days(rows: pa.Table) -> bool:
    """Return whether rows are bars, all of a day or longer."""
    if "resolution" not in rows.column_names:
        return False
    names = rows["resolution"].unique().to_pylist()
    return bool(names) and all(Resolution.parse(name).is_period for name in names)


def _has_nights(reading: FileReading, sample: Sample) -> bool:
    """Return whether times of day go back by hours within dates again and again, in the order of dates."""
    rows = sample.rows
    if is_of_days(rows) or not has_local_times(reading.times_of(sample.cells)):
        return False
    local = _local_times(reading, rows)
    symbols = one_array(rows[SYMBOL]).dictionary_encode().indices.to_numpy()
    return any(_goes_back(local[symbols == symbol]) for symbol in np.unique(symbols)[:_FEW])


def _goes_back(local: Integers) -> bool:
    dates, steps = local // DAY_NS, np.diff(local)
    if np.sum(steps < 0) > np.sum(steps > 0):  # newest first
        dates, steps = dates[::-1], -steps[::-1]
    if (np.diff(dates) < 0).any():
        return False
    is_same = np.diff(dates) == 0
    of_several, of_nights = (
        np.unique(dates[1:][is_same]),
        np.unique(dates[1:][is_same & (steps <= -_NIGHT_NS)]),
    )
    return bool(len(of_nights) and len(of_nights) >= _OFTEN * len(of_several))
