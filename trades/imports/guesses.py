"""Options that a file's names and first rows tell: the dataset, the columns, the decimal mark, the times, the resolution.

An option is taken where the file can mean nothing else, or little else; where it can, the file is refused with the choice.
"""

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from itertools import product

import pyarrow as pa

from store.datasets import BARS
from store.declarations import ColumnKind
from store.resolutions import Resolution
from trades.exceptions import ImportRefused
from trades.formats.arrow_values import one_array
from trades.imports.bar_dates import ends_of_bars
from trades.imports.blocks import LINE, SYMBOL, RowBlock, SourceFile
from trades.imports.columns import with_joined, with_prepared
from trades.imports.csv_file import CsvFile
from trades.imports.distances import found_resolution
from trades.imports.hints import WHICH_ZONE, look, option
from trades.imports.layout import FileLayout, ReadOptions, file_layout
from trades.imports.parse import BlockParser
from trades.imports.times import has_local_clock, local_time, parse_instants
from trades.imports.zones import without_zone_names, zone_names

_RESOLUTION, _TIMESTAMP = "resolution", "timestamp"
ENDS = "--bar-times"
NO_OFFSET = "the times have no offset"
_BY_ROWS = "the first rows can mean nothing else"
# Both orders of day and month are here, so that a text that fits both is never read as one of them.
_DATES = (
    "%m/%d/%Y", "%d/%m/%Y", "%d.%m.%Y", "%m.%d.%Y", "%m-%d-%Y", "%d-%m-%Y", "%m/%d/%y", "%d/%m/%y", "%d.%m.%y", "%m.%d.%y",
    "%y/%m/%d", "%Y/%m/%d", "%d-%b-%Y", "%d %b %Y", "%d-%b-%y", "%d%b%Y", "%b %d, %Y", "%b %d %Y", "%B %d, %Y",
)  # fmt: skip
_CLOCKS = ("%H:%M", "%H:%M:%S", "%H:%M:%S.%f", "%H:%M:%S,%f", "%I:%M %p", "%I:%M:%S %p", "%I:%M:%S.%f %p")
_FORMATS = (
    *_DATES,
    *map("".join, product(_DATES, (" ", ", ", "T", ";"), _CLOCKS)),
    *map(" ".join, product(("%Y-%m-%d", "%Y%m%d"), (each for each in _CLOCKS if "%p" in each))),
)
# Two formats that have its year, month and day in another order read another time.
_EXAMPLE = datetime(2004, 2, 3, 4, 5, 6, 789_000)  # noqa: DTZ001 a local time
# So many texts are tried by all formats, at some 13 ms each, until a text fits one.
_MOST_MISSES = 20
# Numbers that may be thousands, in files that by their dates or delimiter may be written with decimal commas.
_THOUSANDS = re.compile(r"[+-]?[0-9]{1,3}[.][0-9]{3}")
_POINTED_DATE = re.compile(r"\s*[0-9]{1,2}[.][0-9]{1,2}[.][0-9]{2}")
_OFFSET = re.compile(r" ?((GMT)?([+-][0-9]{2}:?[0-9]{2})|Z|UTC|GMT)$")
# Numbers, without sign and currency, of which the decimal mark is certain, and those that need to be told it.
_MARKS = {
    mark: re.compile(
        rf"[0-9]{{1,3}}([{other} '\u2019\u00a0\u202f][0-9]{{3}})+[{mark}][0-9]+|[0-9]{{1,3}}([{other}][0-9]{{3}}){{2,}}"
        rf"|(0|[0-9]{{4,}})[{mark}][0-9]+|[0-9]+[{mark}]([0-9]{{1,2}}|[0-9]{{4,}})"
    )
    for mark, other in (",.", ".,")
}
_IS_MARKED = re.compile(
    r"[+-]?[$€£]?[0-9][0-9.]*[, '\u2019\u00a0\u202f][0-9., '\u2019\u00a0\u202f]*|[+-]?[$€£][0-9.]+|[0-9]+([.][0-9]{3}){2,}"
)


def with_values(file: SourceFile, options: ReadOptions, *, zone: str | None) -> ReadOptions:
    """Return options for how numbers and times are written, by the first rows. zone: as the caller gave it.

    Raises `ImportRefused` where the rows can mean two things, or miss columns.
    """
    if not isinstance(file, CsvFile):
        return options
    layout = file_layout(file.names, _of_seconds(options))
    rows = with_prepared(file.first_rows(layout.read_columns(options)), options.prepared, file.path)
    rows = with_joined(rows, layout.joined)
    if not options.dialect.decimal:
        options = _with_decimal(options, layout, rows)
    times = one_array(rows[layout.sources[_TIMESTAMP]]).drop_null()
    if options.date is None and not options.time_format:
        options = _with_time_format(options, times, zone=zone)
    if names := zone_names(times):
        return _with_zone(options, times, names, zone=zone)
    if zone is None and has_local_clock(times):
        options = options.guessing("--timezone", options.zone, options.vendor or NO_OFFSET)
    return options


def _with_zone(
    options: ReadOptions, times: pa.Array, names: Sequence[str], *, zone: str | None
) -> ReadOptions:
    """Return options with the time zone that all cells of times name. Of several, each row has its own.

    Raises `ImportRefused` if `zone` contradicts them.
    """
    if zone is None:
        return (
            options.guessing("--timezone", names[0], "the times name it", zone=names[0])
            if len(names) == 1
            else options
        )
    own, _ = parse_instants(times, replace(options, ambiguous="earliest"), is_event=True, limit=1)
    given = replace(options, ambiguous="earliest", zone=zone)
    others, _ = parse_instants(without_zone_names(times), given, is_event=True, limit=1)
    if len(names) == 1 and not own.equals(others):
        raise ImportRefused(f"the times name the zone {names[0]}, not {zone}; leave --timezone out")
    return options


def _of_seconds(options: ReadOptions) -> ReadOptions:
    """Return options in which bars without a resolution have one."""
    return (
        replace(options, given={_RESOLUTION: "1s", **options.given}) if options.dataset is BARS else options
    )


def _with_decimal(options: ReadOptions, layout: FileLayout, rows: pa.Table) -> ReadOptions:
    sources = {
        c.name: layout.sources.get(c.name) for c in options.dataset.columns if c.kind is ColumnKind.NUMBER
    }
    cells = {
        name: [cell for part in layout.parts_of(source) for cell in _distinct_cells(rows, part)]
        for name, source in sources.items()
        if source
    }
    distinct = {cell for some in cells.values() for cell in some}
    bare_cells = {cell.lstrip("+-$€£") for cell in distinct}
    marks = [mark for mark, pattern in _MARKS.items() if any(map(pattern.fullmatch, bare_cells))]
    marked = [cell for some in cells.values() for cell in some if _IS_MARKED.fullmatch(cell)]
    if not marks and not options.vendor and _may_have_decimal_commas(options, layout, rows):
        marked += [cell for some in cells.values() for cell in some if _THOUSANDS.fullmatch(cell)]
    if not marked or len(marks) > 1:
        return options
    if not marks:
        raise ImportRefused(
            f"{marked[0]!r} has a mark of thousands or of decimals; look at it with --decimal . --preview or --decimal , --preview:"
            " the decimal mark"
        )
    dialect = replace(options.dialect, decimal=marks[0])
    return options.guessing("--decimal", marks[0], _BY_ROWS, dialect=dialect)


def _distinct_cells(rows: pa.Table, name: str) -> list[str]:
    return [cell.strip() for cell in rows[name].drop_null().unique().to_pylist()]


def _may_have_decimal_commas(options: ReadOptions, layout: FileLayout, rows: pa.Table) -> bool:
    dates = rows[layout.sources[_TIMESTAMP]].drop_null().slice(0, 1).to_pylist()
    return options.dialect.delimiter == ";" or any(map(_POINTED_DATE.match, dates))


def _with_time_format(options: ReadOptions, times: pa.Array, *, zone: str | None) -> ReadOptions:
    texts = times.unique()
    plain = without_zone_names(texts)
    _, unread = parse_instants(texts, replace(options, zone="UTC"), is_event=False, limit=None)
    formats: Sequence[str] = _FORMATS
    fitted, misses = "", 0
    for text in (
        _OFFSET.sub("", each.strip()) for each in plain.take(pa.array(unread, pa.int64())).to_pylist()
    ):
        if fitting := [each for each in formats if local_time(text, each)]:
            formats, fitted = fitting, text
        elif not fitted and (misses := misses + 1) == _MOST_MISSES:
            break
    if not fitted:
        return options
    found, *rest = formats
    if others := [each for each in rest if _reads_differently(found, each)]:
        choices = " or ".join(f"{option('--time-format', each)} --preview" for each in (found, *others))
        zones = "" if zone else f", and give {WHICH_ZONE}"
        raise ImportRefused(
            f"times such as {fitted!r} can be read in several ways; look at it with {choices}{zones}"
        )
    guessed = options.guessing("--time-format", found, _BY_ROWS, time_format=found)
    _, unread = parse_instants(texts, replace(guessed, zone="UTC"), is_event=True, limit=_MOST_MISSES)
    for text in plain.take(pa.array(unread, pa.int64())).to_pylist():
        if any(local_time(_OFFSET.sub("", text.strip()), each) for each in _FORMATS):
            raise ImportRefused(
                f"times are written as {found}, but {text!r} is not; correct the times, or give --time-format of the rows to read"
            )
    return guessed


def _reads_differently(one: str, other: str) -> bool:
    """Return whether a format reads another time in a text that another one wrote."""
    found = local_time(_EXAMPLE.strftime(one), other)
    return found is not None and found != local_time(_EXAMPLE.strftime(one), one)


def with_resolution(file: SourceFile, options: ReadOptions) -> ReadOptions:
    """Return options with the resolution of bars by their distances. Raises `ImportRefused` if it is not certain."""
    source = options.columns.get(_RESOLUTION, _RESOLUTION)
    if (
        options.dataset is not BARS
        or source in file.names
        or _RESOLUTION in {*options.given, *options.derived}
    ):
        return options
    earliest = replace(_of_seconds(options), ambiguous="earliest")
    layout = file_layout(file.names, earliest)
    parser = BlockParser(file.path, layout, earliest, symbol="X", skip_bad=True, bad_limit=1)
    found, is_certain, bad = "", False, None
    for block in parser.blocks(file):
        bad = bad or next(iter(block.bad), None)
        if block.rows.num_rows:
            _refuse_repeated_times(file, block)
            found, is_certain = found_resolution(block)
            break
    else:
        if bad:
            raise ImportRefused(f"no row can be read: {bad}")
    if not is_certain:
        unread = f", and rows cannot be read, such as {bad}" if bad else ""
        hint = look("--resolution", found or "1d")
        raise ImportRefused(
            f"{file.path}: no column has the resolution of the bars{unread}{hint}, or with another"
        )
    given = {**options.given, _RESOLUTION: found}
    return options.guessing("--resolution", found, "most rows are so far apart", given=given)


def _refuse_repeated_times(file: SourceFile, block: RowBlock) -> None:
    """Raise `ImportRefused` if most bars have a time that others of their symbol have: no distance tells a resolution."""
    names = [name for name in block.rows.column_names if name != LINE]
    bars = block.rows.group_by(names).aggregate([])
    times = bars.group_by([SYMBOL, _TIMESTAMP]).aggregate([])
    if bars.num_rows and times.num_rows * 2 <= bars.num_rows:
        raise ImportRefused(
            f"{file.path}: several bars of one symbol have one time, which tells no resolution; give"
            " --columns timestamp=… with the time of day, or --columns symbol=… or --rows with what tells them apart"
        )


def with_ends(file: SourceFile, options: ReadOptions) -> ReadOptions:
    """Return options with the times of bars of weeks or months as those of their ends, if their dates seem to be."""
    if options.dataset is not BARS or "times_end" in options.told or not _may_be_uneven(options):
        return options
    # A month's last day is no valid date of its bar: the bars are read once as those of days, once by their ends.
    days = replace(
        options,
        columns={**options.columns, _RESOLUTION: ""},
        given={**options.given, _RESOLUTION: Resolution.DAY.value},
        derived={name: each for name, each in options.derived.items() if name != _RESOLUTION},
    )
    bars, dated = (_first_rows(file, each) for each in (replace(options, times_end=True), days))
    reason = ends_of_bars(bars, dated)
    return options.guessing(ENDS, "end", reason, times_end=True) if reason else options


def _may_be_uneven(options: ReadOptions) -> bool:
    """Return whether bars may be of weeks or months."""
    with suppress(KeyError, ValueError):  # a column has it, or the column's check reports it
        return Resolution.parse(options.given[_RESOLUTION]).is_uneven
    return _RESOLUTION not in options.given


def _first_rows(file: SourceFile, options: ReadOptions) -> pa.Table:
    """Return the valid rows of the first piece of a file that has some."""
    parser = BlockParser(file.path, file_layout(file.names, options), options, symbol="X", skip_bad=True)
    block = next((each for each in parser.blocks(file) if each.rows.num_rows), None)
    return block.rows if block else parser.schema.empty_table()
