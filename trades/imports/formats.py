"""The formats of imports: the files that each takes, and how the options of a read are found."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from store.datasets import TRADES
from store.declarations import Dataset
from trades.exceptions import ImportRefused
from trades.imports.blocks import SYMBOL, SourceFile
from trades.imports.csv_file import PLAIN, CsvFile, Dialect
from trades.imports.dbn_file import DbnFile
from trades.imports.layout import ReadOptions, Scale
from trades.imports.record_files import AlpacaJsonFile, ParquetFile
from trades.imports.vendors import SYMBOL_RULES, VENDOR_LAYOUTS
from trades.imports.vendors.layout import VendorLayout

_CSV = (".csv", ".csv.gz")
# Read if they are named, not if they are in a folder, where such files often are notes.
TEXTS = (".txt", ".tsv", ".txt.gz", ".tsv.gz")
FORMATS: dict[str, tuple[str, ...]] = {
    "csv": _CSV,
    "polygon": _CSV,
    "databento": (".dbn", ".dbn.zst", *_CSV, ".csv.zst"),
    "alpaca": (*_CSV, ".json", ".json.gz"),
    "parquet": (".parquet",),
}
_READERS: dict[str, Callable[[Path], SourceFile]] = {
    "dbn": DbnFile,
    "json": AlpacaJsonFile,
    "parquet": ParquetFile,
}
_FIXED_POINT = "0.000000001"


def opened_file(path: Path, dialect: Dialect = PLAIN) -> SourceFile:
    """Return the reader of a file, by its suffix. Raises `ImportRefused`, `OSError`."""
    if path.name.endswith((*_CSV, ".csv.zst", *TEXTS)):
        return CsvFile(path, dialect)
    container = path.name.removesuffix(".gz").removesuffix(".zst").rpartition(".")[2]
    if container not in _READERS:
        raise ImportRefused(f"{path}: a file is one of csv, {', '.join(_READERS)}")
    if dialect != PLAIN:
        raise ImportRefused(f"{path}: --header, --skip-lines and --decimal are of files of text")
    return _READERS[container](path)


def bare_name(path: Path) -> str:
    """Return a file's name without the suffixes of its container and compression."""
    return path.name.removesuffix(".gz").removesuffix(".zst").rpartition(".")[0]


def read_options(file: SourceFile, file_format: str, *, dataset: Dataset | None, **terms: Any) -> ReadOptions:
    """Return the options for reading a file. dataset: None takes the vendor's, or trades. terms: of `ReadOptions`.

    Raises `ImportRefused` if the file has none of the vendor's layouts, or if terms do not fit.
    """
    layouts = VENDOR_LAYOUTS.get(file_format)
    if layouts is None:
        return ReadOptions(dataset or TRADES, dialect=_dialect(file), **terms)
    if terms.get("columns") or terms.get("scale"):
        raise ImportRefused(f"the layout of {file_format} is fixed: leave --columns and --scale out")
    layout = _layout_of(file, file_format, layouts, dataset)
    columns = {name: source for name, source in layout.optional.items() if source in file.names}
    # A column of ours that the layout does not name is not taken by its name.
    unnamed = {each.name: "" for each in layout.dataset.columns} | {SYMBOL: ""}
    of_layout = {
        "columns": {**unnamed, **columns, **layout.columns},
        "given": layout.given_for(file.path.absolute()) | terms.get("given", {}),
        "scale": _scale(file, layout),
        "conditions": terms.get("conditions") or layout.conditions,
        "symbol_rule": SYMBOL_RULES.get(file_format),
        "dialect": _dialect(file),
        "vendor": layout.name,
        "derived": layout.derived,
        "kept": layout.kept,
        "nulls": layout.nulls,
        "prefix": layout.prefix,
    }
    return ReadOptions(layout.dataset, **{**terms, **of_layout})


def _dialect(file: SourceFile) -> Dialect:
    return file.dialect if isinstance(file, CsvFile) else PLAIN


def _layout_of(
    file: SourceFile, file_format: str, layouts: tuple[VendorLayout, ...], dataset: Dataset | None
) -> VendorLayout:
    for layout in layouts:
        has_layout = layout.needed <= {*file.names} and not layout.absent.intersection(file.names)
        if has_layout and dataset in (None, layout.dataset):
            return layout
    wanted = f" of {dataset.name}" if dataset else ""
    raise ImportRefused(
        f"{file.path}: the columns {','.join(file.names)} are no layout{wanted} of {file_format}; the layouts are"
        f" {'; '.join(each.name for each in layouts)}"
    )


def _scale(file: SourceFile, layout: VendorLayout) -> Mapping[str, Scale]:
    """Return the factors of fixed-point prices, if the file's first row writes them as integers."""
    if not isinstance(file, CsvFile):
        return {}
    sources = {**layout.optional, **layout.columns}
    written = [file.first_cell(sources[name]) for name in layout.fixed_point]
    is_fixed = any(text.lstrip("-").isdecimal() for text in written)
    return dict.fromkeys(layout.fixed_point, Scale.of(_FIXED_POINT)) if is_fixed else {}
