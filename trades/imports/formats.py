"""The formats of imports: the files that each takes, and how the options of a read are found."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from store.datasets import DATASETS, TRADES
from store.declarations import Dataset
from trades.exceptions import ImportRefused
from trades.formats.arrow_values import one_array
from trades.imports.blocks import SYMBOL, SourceFile, no_check
from trades.imports.column_guesses import BY_NAMES, BY_ROW, dataset_of_names, guessed_dataset, with_columns
from trades.imports.columns import computed_column, mask_of, with_joined
from trades.imports.csv_file import UNKNOWN_DIALECT, CsvFile, Dialect, Guess
from trades.imports.dbn_file import DbnFile
from trades.imports.freqtrade_file import FreqtradeFile, freqtrade_name, json_file
from trades.imports.guesses import with_ends, with_resolution, with_values
from trades.imports.layout import ReadOptions, Scale
from trades.imports.own_exports import export_dataset, export_given, export_symbol
from trades.imports.parquet_file import ParquetFile
from trades.imports.record_files import AlpacaJsonFile, IpcFile, LinesFile, RecordFile
from trades.imports.tickers_file import TickersFile, tickers_file
from trades.imports.times import has_local_clock
from trades.imports.vendors import SYMBOL_RULES, VENDOR_LAYOUTS
from trades.imports.vendors.layout import VendorLayout
from trades.imports.vendors.marketdata import MARKETDATA
from trades.imports.zones import times_of_zones

_CSV = (".csv", ".csv.gz")
# Read if they are named, not if they are in a folder, where such files often are notes.
TEXTS = (".txt", ".tsv", ".txt.gz", ".tsv.gz")
AUTO = "auto"
_DBN = (".dbn", ".dbn.zst")
FORMATS: dict[str, tuple[str, ...]] = {
    AUTO: (*_CSV, ".parquet", ".ndjson", ".arrow", *_DBN),
    "csv": _CSV,
    "parquet": (".parquet",),
    "ndjson": (".ndjson",),
    "arrow": (".arrow",),
    **dict.fromkeys(VENDOR_LAYOUTS, _CSV),
    MARKETDATA: (*_CSV, ".parquet", ".ndjson", ".arrow"),
    "databento": (*_DBN, *_CSV, ".csv.zst"),
    "alpaca": (*_CSV, ".json", ".json.gz"),
    "freqtrade": (".json", ".json.gz"),
    "yahoo": (*_CSV, ".parquet"),
}
_READERS: dict[str, Callable[[Path], CsvFile | RecordFile]] = {
    "arrow": IpcFile,
    "dbn": DbnFile,
    "json": json_file,
    "ndjson": LinesFile,
    "parquet": ParquetFile,
}
# The files of these have their vendor's layout.
_OF_VENDORS = {DbnFile: "databento", AlpacaJsonFile: "alpaca", TickersFile: "yahoo"}
_TICKS_OF_MT5 = {"<BID>", "<ASK>", "<LAST>"}
_REFUSED_TICKS = (
    "the ticks of MetaTrader 5 leave the cells of a side empty that did not change: fill them with the values before, and"
    " give --dataset quotes --columns 'timestamp=<DATE>+<TIME>,bid=<BID>,ask=<ASK>'"
)
_FIXED_POINT = "0.000000001"
_FEWEST_FIELDS = 3
# The names of these vendors' columns are those of many files.
_TOLD_BY_NAMES = [name for name in VENDOR_LAYOUTS if name not in ("alpaca", "freqtrade")]


def opened_file(
    path: Path, dialect: Dialect = UNKNOWN_DIALECT, check: Callable[[], object] = no_check
) -> SourceFile:
    """Return the reader of a file, by its suffix. check: see `SourceFile`. Raises `ImportRefused`, `OSError`."""
    file = _opened(path, dialect)
    file.check = check
    return tickers_file(file)


def _opened(path: Path, dialect: Dialect) -> CsvFile | RecordFile:
    if path.name.endswith((*_CSV, ".csv.zst", *TEXTS)):
        return CsvFile(path, dialect)
    container = container_of(path)
    if container not in _READERS:
        raise ImportRefused(f"{path}: a file is one of csv, {', '.join(_READERS)}")
    if dialect != UNKNOWN_DIALECT:
        raise ImportRefused(f"{path}: options such as --skip-lines and --decimal are of files of text")
    return _READERS[container](path)


def container_of(path: Path) -> str:
    """Return the suffix of a file's name before that of its compression, such as "parquet"."""
    return path.name.removesuffix(".gz").removesuffix(".zst").rpartition(".")[2]


def bare_name(path: Path) -> str:
    """Return a file's name without the suffixes of its container and compression."""
    return path.name.removesuffix(".gz").removesuffix(".zst").rpartition(".")[0]


def read_options(file: SourceFile, file_format: str, *, dataset: Dataset | None, **terms: Any) -> ReadOptions:
    """Return the options for reading a file, completed by what the file tells: see `ReadOptions.guessed`.

    dataset: None takes the vendor's, or the one that the columns tell. terms: of `ReadOptions`; None where not given.

    Raises `ImportRefused` if the file has none of the vendor's layouts, if terms do not fit, or if the file may mean
    several things.
    """
    given = {name: value for name, value in terms.items() if value is not None}
    given["told"] = frozenset(
        [*given, *given.get("given", {}), *(["format"] if file_format in VENDOR_LAYOUTS else [])]
    )
    given["told_columns"] = frozenset(given.get("columns", {}))
    columns = {name: _source(file, source) for name, source in given.pop("columns", {}).items()}
    guessed = list(file.guessed) if isinstance(file, CsvFile) else []
    try:
        _check_ticks(file, columns)
        _check_objects(file)
        vendor = file_format if file_format in VENDOR_LAYOUTS else _vendor_of_reader(file)
        if vendor is None and file_format == AUTO and not columns and "scale" not in given:
            vendor = _vendor(file, dataset)
            guessed += (
                [Guess(f"--format {vendor}", BY_NAMES if _row(file) is None else BY_ROW)] if vendor else []
            )
        if vendor is None:
            guess = None if dataset else guessed_dataset(file, [*columns])
            guessed += [guess] if guess else []
            chosen = DATASETS[guess.option.split()[1]] if guess else dataset or TRADES
            options = ReadOptions(chosen, dialect=_dialect(file), columns=columns, **given)
            options = with_columns(file, options)
        else:
            options = _of_vendor(
                file, vendor, dataset, {**given, **({"columns": columns} if columns else {})}
            )
        options = replace(options, guessed=(*guessed, *options.guessed))
        options = with_resolution(file, with_values(file, options, zone=terms.get("zone")))
        return with_ends(file, options)
    except ImportRefused as error:
        fitting = _fitting(file, dataset) if columns and file_format in (AUTO, "csv") else []
        raise _placed(error, file, fitting) from error


def _vendor_of_reader(file: SourceFile) -> str | None:
    """Return the vendor whose layout all files of a kind have. Lists of six numbers may be of others than freqtrade."""
    if isinstance(file, FreqtradeFile):
        return "freqtrade" if freqtrade_name(bare_name(file.path)) else None
    return _OF_VENDORS.get(type(file))


def _check_ticks(file: SourceFile, columns: Mapping[str, str]) -> None:
    """Raise `ImportRefused` for ticks of MetaTrader 5, unless the columns are told."""
    if not columns and {*file.names} >= _TICKS_OF_MT5:
        raise ImportRefused(_REFUSED_TICKS)


def _check_objects(file: SourceFile) -> None:
    """Raise `ImportRefused` for objects around rows: a trade has at least a time, a price and a volume outside of them."""
    if (
        not isinstance(file, LinesFile)
        or not file.objects
        or len({*file.names} - {*file.objects}) >= _FEWEST_FIELDS
    ):
        return
    name, first = next(iter(file.objects.items()))
    raise ImportRefused(
        f"{name} holds objects, which are not read: write them one in each line, such as {msgspec.json.encode(first).decode():.300}"
    )


def _placed(error: ImportRefused, file: SourceFile, fitting: Sequence[str]) -> ImportRefused:
    """Return a refusal that names the file, and the first vendor whose layout fits."""
    hint = f"; or look at it with --format {fitting[0]} --preview instead of --columns" if fitting else ""
    place = "" if str(file.path) in str(error) else f"{file.path}: "
    return ImportRefused(f"{place}{error}{hint}")


def _source(file: SourceFile, source: str) -> str:
    """Return the file's columns that a source means: by name, or by position."""
    if source in file.names:
        return source
    parts = [
        file.names[int(part) - 1] if part.isdecimal() and 0 < int(part) <= len(file.names) else part
        for part in source.split("+")
    ]
    return "+".join(parts)


def _vendor(file: SourceFile, dataset: Dataset | None) -> str | None:
    """Return the vendor whose layout a file has by its names, unless these are ours. Raises `ImportRefused`.

    Without names the first row tells it, which is a guess. Several vendors are named in the refusal.
    """
    if any(each.fits(file.names, _row(file)) for each in VENDOR_LAYOUTS[MARKETDATA]):
        return MARKETDATA
    of_dataset = dataset or dataset_of_names(file.names) or TRADES
    own = {c.name for c in of_dataset.columns if c.required or c.name == "volume"} - {"resolution"}
    if own <= {*file.names}:
        return None
    found = _fitting(file, dataset)
    if len(found) > 1:
        choices = " or ".join(f"--format {name} --preview" for name in found)
        raise ImportRefused(f"the layout may be that of {' or '.join(found)}; look at it with {choices}")
    return found[0] if found else None


def _fitting(file: SourceFile, dataset: Dataset | None) -> list[str]:
    """Return the vendors that have a layout of the file's names, or of its first row if it has no names."""
    return [
        name
        for name in _TOLD_BY_NAMES
        if any(
            each.fits(file.names, _row(file)) and dataset in (None, each.dataset)
            for each in VENDOR_LAYOUTS[name]
        )
    ]


def _row(file: SourceFile) -> tuple[str, ...] | None:
    """Return the first row of a file in which no line names the columns."""
    return file.first_row if isinstance(file, CsvFile) and not file.has_names else None


def _of_vendor(file: SourceFile, vendor: str, dataset: Dataset | None, terms: dict[str, Any]) -> ReadOptions:
    if terms.get("columns") or terms.get("scale"):
        raise ImportRefused(f"the layout of {vendor} is fixed; give --format csv with --columns and --scale")
    layout = _layout_of(file, vendor, VENDOR_LAYOUTS[vendor], dataset)
    if vendor == MARKETDATA:
        layout, terms = _of_export(file, layout, terms)
    if (named := freqtrade_name(bare_name(file.path))) and vendor == "freqtrade":
        terms = {"symbol": named.symbol, **terms}
        terms["given"] = {"resolution": named.resolution, **terms.get("given", {})}
    _check_refused(file, layout)
    columns = {name: source for name, source in layout.optional.items() if source in file.names}
    # A column of ours that the layout does not name is not taken by its name.
    unnamed = {each.name: "" for each in layout.dataset.columns} | {SYMBOL: ""}
    if "zone" not in terms and layout.zone is None and _has_clock(file, layout):
        raise ImportRefused(
            f"the times of {layout.name} have no time zone; give --timezone UTC, or the zone of the server or"
            " exchange, such as Europe/Athens or America/New_York"
        )
    of_layout = {
        "columns": {**unnamed, **columns, **layout.columns},
        "given": layout.given_for(file.path.absolute()) | terms.get("given", {}),
        "scale": _scale(file, layout),
        "conditions": terms.get("conditions") or layout.conditions,
        "symbol_rule": SYMBOL_RULES.get(vendor),
        "dialect": _dialect(file),
        "vendor": layout.name,
        "derived": layout.derived,
        "kept": layout.kept,
        "prepared": layout.prepared,
        "nulls": layout.nulls,
        "prefix": layout.prefix,
        "zone": terms.get("zone") or layout.zone or "UTC",
        "time_format": terms.get("time_format") or layout.time_format,
        "times_end": terms.get("times_end", layout.times_end or False),
        # Times that the vendor calls beginnings are not guessed to be ends, whatever days they are.
        "told": terms["told"] | ({"times_end"} if layout.times_end is False else set()),
    }
    return ReadOptions(layout.dataset, **{**terms, **of_layout})


def _of_export(
    file: SourceFile, layout: VendorLayout, terms: dict[str, Any]
) -> tuple[VendorLayout, dict[str, Any]]:
    """Return the layout and the options of a file of our own exports, with what its path and manifest tell."""
    symbol = terms.get("symbol") or export_symbol(file.path, bare_name(file.path))
    given = export_given(file.path, layout) | terms.get("given", {})
    layout = replace(layout, dataset=export_dataset(layout, symbol))
    return layout, {**terms, "given": given, **({"symbol": symbol} if symbol else {})}


def _check_refused(file: SourceFile, layout: VendorLayout) -> None:
    """Raise `ImportRefused` if the file has a row that no file of the layout may have. Reads the whole file."""
    refused = layout.refused
    if refused is None:
        return
    names = [name for name in refused.sources if name in file.names]
    for piece in file.pieces(names) if names else ():
        found = mask_of(computed_column(piece.cells, refused, file.path))
        if found.any():
            raise ImportRefused(f"{file.path}, line {piece.lines[found.argmax()]}: {layout.refusal}")


def _has_clock(file: SourceFile, layout: VendorLayout) -> bool:
    parts = tuple(layout.columns["timestamp"].split("+"))
    if isinstance(file, TickersFile):
        rows = next(file.pieces(parts)).cells
    elif isinstance(file, CsvFile):
        rows = file.first_rows(parts)
    else:
        return False
    times = one_array(with_joined(rows, {"time": parts})["time"])
    for _, _, is_of_zone in times_of_zones(times):  # a time that names its zone needs no other
        times = pc.if_else(pa.array(is_of_zone), None, times)
    return has_local_clock(times)


def _dialect(file: SourceFile) -> Dialect:
    return file.dialect if isinstance(file, CsvFile) else UNKNOWN_DIALECT


def _layout_of(
    file: SourceFile, vendor: str, layouts: tuple[VendorLayout, ...], dataset: Dataset | None
) -> VendorLayout:
    for layout in layouts:
        if layout.fits(file.names, _row(file)) and dataset in (None, layout.dataset):
            return layout
    wanted = f" of {dataset.name}" if dataset else ""
    raise ImportRefused(
        f"the columns {','.join(_row(file) or file.names)} are no layout{wanted} of {vendor}; the layouts are"
        f" {'; '.join(each.name for each in layouts)}"
    )


def _scale(file: SourceFile, layout: VendorLayout) -> Mapping[str, Scale]:
    """Return the factors of fixed-point prices, if the file's first rows write all of them as integers."""
    if not isinstance(file, CsvFile) or not layout.fixed_point:
        return {}
    sources = {**layout.optional, **layout.columns}
    rows = file.first_rows([sources[name] for name in layout.fixed_point])
    written = [cell for column in rows.columns for cell in column.drop_null().to_pylist()]
    is_fixed = bool(written) and all(cell.strip().lstrip("-").isdecimal() for cell in written)
    return dict.fromkeys(layout.fixed_point, Scale.of(_FIXED_POINT)) if is_fixed else {}
