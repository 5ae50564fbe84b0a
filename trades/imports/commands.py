"""The options of an import as a shell takes them: those that a certain file lacks, and all that it needs."""

from decimal import Decimal

import pyarrow as pa

from store.datasets import BARS
from trades.imports.blocks import SYMBOL
from trades.imports.column_guesses import BY_ROW
from trades.imports.csv_file import Guess
from trades.imports.doubts import has_hours, is_of_days
from trades.imports.guesses import ENDS, NO_OFFSET
from trades.imports.hints import listed, option, paired
from trades.imports.layout import ReadOptions, Scale
from trades.imports.reading import FileReading
from trades.imports.samples import Sample
from trades.imports.times import has_local_clock, has_local_times

_RESOLUTION = "resolution"


def unsaid(reading: FileReading, first: Sample) -> list[Guess]:
    """Return the options without which a file is read by a guess; none for a vendor's layout that its columns tell."""
    options, layout = reading.options, reading.layout
    if not (first.rows.num_rows or first.bad):
        return []
    ends = [guess for guess in options.guessed if guess.option.startswith(ENDS)]
    if options.vendor:
        is_told = "format" in options.told or not _has_positions(reading)
        return ends if is_told else [Guess(_format_of(reading), BY_ROW), *ends]
    found = ends
    read = {*layout.sources, *([SYMBOL] if layout.symbol else [])}
    if read - options.told_columns:
        found.append(Guess(_columns_of(reading), "no option names the columns"))
    if "zone" not in options.told and has_local_rows(reading, first):
        words = option("--timezone", options.zone)
        known = [guess for guess in options.guessed if guess.option == words]
        found.append(known[0] if known else Guess(words, NO_OFFSET))
    if options.dataset is BARS and _RESOLUTION not in layout.sources and _RESOLUTION not in options.told:
        found.append(Guess(option("--resolution", options.given[_RESOLUTION]), "most rows are so far apart"))
    return found


def has_local_rows(reading: FileReading, first: Sample) -> bool:
    """Return whether the first times depend on a time zone. Those of bars of days do not, unless they have a time of day."""
    options = reading.options
    if options.time_format or options.date is not None:
        return not is_of_days(first.rows) or has_hours(options.time_format)
    times = reading.times_of(first.cells).drop_null()
    if is_of_days(first.rows) and not pa.types.is_timestamp(times.type):
        return pa.types.is_string(times.type) and has_local_clock(times)
    return has_local_times(times)


def command_of(reading: FileReading) -> str:
    """Return the options that make the reading of a file certain."""
    options, layout = reading.options, reading.layout
    if options.vendor:
        words = [_format_of(reading)]
    else:
        words = [option("--dataset", options.dataset.name), _columns_of(reading)]
    # Of a vendor's layout only what differs from it is needed; the zone is said in any case.
    words += [option("--timezone", options.zone)] if "zone" in options.told or not options.vendor else []
    if _RESOLUTION in options.given and _RESOLUTION not in layout.sources:
        words.append(option("--resolution", options.given[_RESOLUTION]))
    texts = {
        "--symbol": "" if layout.symbol and options.symbol is None else options.symbol or "",
        "--symbols": ",".join(sorted(options.symbols)),
        "--time-format": "" if options.vendor else options.time_format,
        "--date": "" if options.date is None else str(options.date),
        "--ambiguous": "" if options.ambiguous == "infer" else options.ambiguous,
        "--absolute": ",".join(sorted(options.absolute)),
        "--bar-times": "end" if options.times_end and (not options.vendor or _has_ends(options)) else "",
        "--scale": ""
        if options.vendor
        else ",".join(f"{name}={_text(each)}" for name, each in options.scale.items()),
        "--conditions": options.conditions.name if options.conditions and not options.vendor else "",
        **_texts_of_dialect(reading),
    }
    words += [option(name, text) for name, text in texts.items() if text]
    words += [option("--rows", f"{name}={listed(values)}") for name, values in options.rows.items()]
    return " ".join(words)


def _has_ends(options: ReadOptions) -> bool:
    """Return whether the times of bars are those of their ends although the vendor's layout does not say so."""
    return "times_end" in options.told or any(each.option.startswith(ENDS) for each in options.guessed)


def _texts_of_dialect(reading: FileReading) -> dict[str, str]:
    dialect = reading.options.dialect
    return {
        "--encoding": dialect.encoding if dialect.encoding != "utf-8" else "",
        "--delimiter": dialect.delimiter if dialect.delimiter != "," else "",
        "--quote": dialect.quote if dialect.quote != '"' else "",
        "--skip-lines": str(dialect.skip_lines or ""),
        "--decimal": dialect.decimal,
    }


def _format_of(reading: FileReading) -> str:
    return option("--format", reading.options.vendor.split()[0])


def _columns_of(reading: FileReading) -> str:
    """Return the option that names all columns that are read, and those that are left out."""
    layout, options = reading.layout, reading.options
    left_out = {name: "" for name, source in options.columns.items() if not source}
    symbol = {SYMBOL: layout.symbol} if layout.symbol else {}
    pairs = {**layout.sources, **left_out, **symbol}
    return option("--columns", paired(pairs))


def _has_positions(reading: FileReading) -> bool:
    """Return whether no line of the file names the columns."""
    names = reading.file.names
    return names == tuple(map(str, range(1, len(names) + 1)))


def _text(scale: Scale) -> str:
    return f"{Decimal(scale.numerator) / Decimal(scale.denominator):f}"
