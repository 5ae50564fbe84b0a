"""Which columns of a file are ours, and of which dataset its rows are: by the columns' names, and by their cells."""

from collections.abc import Mapping, Sequence

import pyarrow as pa

from store.datasets import BARS, OPTION_QUOTES, QUOTES, TRADES
from store.declarations import Dataset
from trades.exceptions import ImportRefused
from trades.formats.arrow_values import one_array
from trades.imports.bar_columns import bar_columns
from trades.imports.blocks import SourceFile
from trades.imports.cell_looks import are_clocks, are_dates, are_instants, are_pointed_clocks, fraction_digits
from trades.imports.csv_file import CsvFile, Guess
from trades.imports.hints import ALIASES, bare, look, paired
from trades.imports.layout import ReadOptions

_TIMESTAMP = "timestamp"
_BARS, _QUOTES, _TRADES = ("open", "high", "low", "close"), ("bid", "ask"), ("price", "volume")
# Columns that a dataset can be without, and that are still looked for by other names.
_OPTIONAL = ("bid", "ask", "bid_size", "ask_size", "volume")
_MOST_SHOWN = 20
# Bars without a volume have no column whose name begins so.
_VOLUMES = ("vol", "qty", "quantity", "tickvol", "totalvol", "tradedvol", "contracts", "shares")
BY_NAMES = "the names of the columns"
BY_ROW = "the first row looks so"
BY_NUMBERS = "four of the numbers are alike, as those of bars"


def dataset_of_names(names: Sequence[str]) -> Dataset | None:
    """Return the dataset that the names of columns tell, if any. Raises `ImportRefused` for quotes beside trades."""
    kinds = [each for each in (_BARS, _QUOTES, _TRADES) if all(_candidates(names, name) for name in each)]
    if _BARS in kinds:
        return BARS
    if _QUOTES in kinds and _TRADES in kinds:
        raise ImportRefused("the file has quotes and trades; give --dataset quotes or --dataset trades")
    return QUOTES if _QUOTES in kinds else TRADES if _TRADES in kinds else None


def guessed_dataset(file: SourceFile, columns: Sequence[str]) -> Guess | None:
    """Return the option of the dataset by the names of a file's columns, or by its numbers; None for trades by their names.

    columns: those of ours that were given. Raises `ImportRefused` if nothing tells the dataset.
    """
    found = dataset_of_names([*file.names, *columns])
    if len(file.names) == 1 or len({*file.names}) < len(file.names):  # the layout's refusal says more
        return None
    if found is not None:
        return None if found is TRADES else Guess(f"--dataset {found.name}", BY_NAMES)
    if not columns and _bars_of(file) is not None:
        return Guess(f"--dataset {BARS.name}", BY_NUMBERS)
    if columns:
        return None
    if not _has_names(file):
        raise ImportRefused(f"{_positions_hint(file)}, and --dataset trades, quotes or bars")
    raise ImportRefused(
        f"the columns do not tell whether the rows are trades, quotes or bars: {','.join(file.names)}"
        f"{look('--dataset', 'trades')}, or with another"
    )


def _candidates(names: Sequence[str], column: str) -> list[str]:
    """Return the columns that by their names may be one of ours; the one that is named so, if any."""
    found = [name for name in names if bare(name) in ALIASES[column]]
    return [name for name in found if bare(name) == column.replace("_", "")] or found


def with_columns(file: SourceFile, options: ReadOptions) -> ReadOptions:
    """Return options with the columns that other names, or cells, mean. Raises `ImportRefused` where several may be one."""
    if len({*file.names}) < len(file.names):  # the layout refuses it
        return options
    wanted = [column.name for column in options.dataset.columns if column.required and column.name in ALIASES]
    wanted += [name for name in _OPTIONAL if name in options.dataset.schema.names and name not in wanted]
    found = _columns_by_names(file, options, wanted)
    if options.dataset is BARS and not options.columns and not {*_BARS} <= {*found, *file.names}:
        found |= _bars_of(file) or {}
    found = {name: source for name, source in found.items() if source not in ("", name)}
    _refuse_positions(file, options, found)
    if not found:
        return options
    return options.guessing("--columns", paired(found), BY_NAMES, columns={**options.columns, **found})


def _refuse_positions(file: SourceFile, options: ReadOptions, found: Mapping[str, str]) -> None:
    """Raise `ImportRefused` for a file without names of columns, if nothing tells a column: no position is guessed."""
    known = {*found, *options.columns, *options.given, *options.derived, "resolution"}
    missing = [
        column.name for column in options.dataset.columns if column.required and column.name not in known
    ]
    if options.dataset in (QUOTES, OPTION_QUOTES) and not known & {*_QUOTES}:
        missing += _QUOTES
    if missing and not _has_names(file):
        raise ImportRefused(f"{file.path}: {_positions_hint(file)} of {' and '.join(missing)}")


def _columns_by_names(file: SourceFile, options: ReadOptions, wanted: Sequence[str]) -> dict[str, str]:
    """Return columns of ours that other names mean, the time first. Raises `ImportRefused` where several may be one."""
    taken = {*options.columns.values(), *(name for name in wanted[1:] if name in file.names)}
    found: dict[str, str] = {}
    if _TIMESTAMP not in options.columns:
        found[_TIMESTAMP] = _time_source(file, [name for name in file.names if name not in taken])
    for name in wanted[1:]:
        if name in options.columns or name in file.names:
            continue
        sources = [each for each in _candidates(file.names, name) if each not in taken]
        is_absent = not sources and name == "volume" and not options.vendor
        others = [each for each in file.names if each not in (*taken, *found.values())]
        doubtful = [each for each in others if is_absent and bare(each).startswith(_VOLUMES)]
        if len(sources) > 1 or doubtful:
            may_be = sources or doubtful
            raise ImportRefused(
                f"{file.path}: {name} may be {' or '.join(may_be)}{look('--columns', paired({name: may_be[0]}))}"
            )
        if sources:
            found[name] = sources[0]
    return found


def _time_source(file: SourceFile, names: Sequence[str]) -> str:
    """Return the column of times, or a column of dates joined with the only one of times of day; else an empty text.

    Raises `ImportRefused` where several columns may be the one.
    """
    cells = _first_cells(file, names)
    dates = [name for name in cells if are_dates(cells[name])]
    pointed = [name for name in cells if are_pointed_clocks(cells[name])]
    # Columns that may be both are times of day if others are the dates.
    dates = [name for name in dates if name not in pointed] or dates
    clocks = [name for name in cells if are_clocks(name, cells[name])]
    clocks += [name for name in pointed if name not in (*dates, *clocks)]
    if not _has_names(file):
        clocks += [name for name in _digits_beside(dates, cells) if name not in clocks]
    named = _candidates(names, _TIMESTAMP)
    whole = [name for name in named if name not in (*clocks, *dates)]
    if not named and not _has_names(file):
        whole = [name for name in cells if are_instants(cells[name])][:1]
    if len(whole) == 1 or not (whole or dates):
        return (whole or [""])[0]
    days = [name for name in named if name in dates] or dates
    fractions = [name for name in cells if name not in clocks and fraction_digits(name, cells[name])]
    parts = [*clocks, *fractions] if len(clocks) == len(fractions) == 1 else clocks[:1]
    joined = ["+".join([*days, *parts])] if len(clocks) == 1 else [f"{days[0]}+{clock}" for clock in clocks]
    choices = whole or (joined if len(days) == 1 and clocks else days)
    if len(choices) > 1:
        raise ImportRefused(
            f"{file.path}: timestamp may be {' or '.join(choices)}{look('--columns', paired({_TIMESTAMP: choices[0]}))}"
        )
    return choices[0]


def _digits_beside(dates: Sequence[str], cells: dict[str, pa.Array]) -> list[str]:
    """Return the column after the only one of dates, if its digits may be hours and minutes: 0930."""
    names = [*cells]
    after = names[names.index(dates[0]) + 1 :][:1] if len(dates) == 1 else []
    return [name for name in after if are_clocks("time", cells[name])]


def _first_cells(file: SourceFile, names: Sequence[str]) -> dict[str, pa.Array]:
    """Return columns of the first rows that may be times or numbers."""
    if isinstance(file, CsvFile):
        table = file.first_rows(names)
    else:
        kinds = {field.name: field.type for field in getattr(file, "schema", ())}
        plain = [name for name in names if name not in kinds or not pa.types.is_nested(kinds[name])]
        piece = next(iter(file.pieces(plain)), None)
        table = piece.cells if piece else pa.table({})
    return {name: one_array(table[name]) for name in table.column_names}


def _bars_of(file: SourceFile) -> dict[str, str] | None:
    """Return the columns of bars by the numbers of the first rows; None for other files."""
    cells = _first_cells(file, file.names)
    numbers = {
        name: values
        for name, values in cells.items()
        if not (are_instants(values) or are_dates(values) or are_clocks(name, values))
    }
    found = bar_columns(pa.table(numbers), _candidates(file.names, "volume"))
    return found and {name: source for name, source in found._asdict().items() if source}


def _positions_hint(file: SourceFile) -> str:
    """Return what a file whose columns have no names needs, with the cells of its first row."""
    cells = file.first_row if isinstance(file, CsvFile) else ()
    shown = ", ".join(f"{place} is {cell}" for place, cell in enumerate(cells[:_MOST_SHOWN], start=1))
    return f"no line names the columns ({shown}); give --columns with the positions"


def _has_names(file: SourceFile) -> bool:
    return not isinstance(file, CsvFile) or file.has_names
