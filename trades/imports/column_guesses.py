"""Which columns of a file are ours, and of which dataset its rows are: by the columns' names, and by their cells."""

from collections.abc import Sequence

import pyarrow as pa

from store.datasets import BARS, QUOTES, TRADES
from store.declarations import Dataset
from trades.exceptions import ImportRefused
from trades.formats.arrow_values import one_array
from trades.imports.bar_columns import bar_columns
from trades.imports.blocks import SourceFile
from trades.imports.cell_looks import are_clocks, are_dates, are_instants
from trades.imports.csv_file import CsvFile, Guess
from trades.imports.hints import ALIASES, bare, look, paired
from trades.imports.layout import ReadOptions

_TIMESTAMP = "timestamp"
_BARS, _QUOTES, _TRADES = ("open", "high", "low", "close"), ("bid", "ask"), ("price", "volume")
# Columns that a dataset can be without, and that are still looked for by other names.
_OPTIONAL = ("bid", "ask", "bid_size", "ask_size", "volume")
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
    if not found:
        return options
    return options.guessing("--columns", paired(found), BY_NAMES, columns={**options.columns, **found})


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
    clocks = [name for name in cells if are_clocks(name, cells[name])]
    dates = [name for name in cells if are_dates(cells[name])]
    named = _candidates(names, _TIMESTAMP)
    whole = [name for name in named if name not in (*clocks, *dates)]
    if not named and not _has_names(file):
        whole = [name for name in cells if are_instants(cells[name])][:1]
    if len(whole) == 1 or not (whole or dates):
        return (whole or [""])[0]
    days = [name for name in named if name in dates] or dates
    choices = whole or ([f"{days[0]}+{clock}" for clock in clocks] if len(days) == 1 and clocks else days)
    if len(choices) > 1:
        raise ImportRefused(
            f"{file.path}: timestamp may be {' or '.join(choices)}{look('--columns', paired({_TIMESTAMP: choices[0]}))}"
        )
    return choices[0]


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


def _has_names(file: SourceFile) -> bool:
    return not isinstance(file, CsvFile) or file.has_names
