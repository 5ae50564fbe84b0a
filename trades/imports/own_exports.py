"""What the path and the manifest of a file of our own exports tell: its symbol, and the resolution of its bars."""

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from urllib.parse import unquote

from store.datasets import BARS, OPTION_QUOTES, QUOTES
from store.declarations import Dataset
from store.symbols import InvalidSymbol, parse_option_symbol
from trades.exceptions import ImportRefused
from trades.imports.symbols import file_symbol, symbol_of_folder, symbol_of_name
from trades.imports.vendors.layout import VendorLayout

MANIFEST = "manifest.json"
# A file is at most three folders below the manifest: trades/symbol=AAPL/date=2025-01-02/part-0.parquet.
_FOLDERS_BELOW = 4
_MANIFEST_BYTES = 64 * 2**20
# Exports have bars of this resolution, unless another one is asked for.
_DEFAULT_RESOLUTION = "1m"
_TREES = "trades|quotes|ohlcv|stored-bars|open-interest|corporate-actions|changes|trading-status"
# A file that was downloaded by itself has its path as its name: trades_BTC%3AUSD.csv.
_DOWNLOADED = re.compile(rf"(?:{_TREES})_(?:symbol=)?(.+?)(?:_date=[0-9-]{{10}})?(?:_part-0)?")


def export_dataset(layout: VendorLayout, symbol: str | None) -> Dataset:
    """Return the dataset of a file: quotes of an option have the columns of other quotes."""
    is_option = symbol is not None and parse_option_symbol(symbol) is not None
    return OPTION_QUOTES if layout.dataset in (QUOTES, OPTION_QUOTES) and is_option else layout.dataset


def export_symbol(path: Path, name: str) -> str | None:
    """Return the symbol of a file of an export; None if its path does not tell it. name: without suffixes."""
    with suppress(InvalidSymbol):
        if symbol := symbol_of_folder(path.absolute()):
            return symbol
        if _query(path.absolute()) is not None:
            return file_symbol(unquote(name), None)
        downloaded = _DOWNLOADED.fullmatch(name)
        return symbol_of_name(unquote(downloaded[1] if downloaded else name))
    return None


def export_given(path: Path, layout: VendorLayout) -> dict[str, str]:
    """Return the resolution of bars, which only the manifest has. Raises `ImportRefused` for adjusted bars."""
    if layout.dataset is not BARS or "resolution" in layout.exact:
        return {}
    query = _query(path.absolute())
    if query is None:
        return {}
    if query.get("adjustment", "raw") not in ("raw", "none"):
        raise ImportRefused(
            f"{path}: the prices of this export are adjusted (adjustment={query['adjustment']}), and would be adjusted"
            " again when they are read; export them without adjustment"
        )
    return {"resolution": query.get("resolution", _DEFAULT_RESOLUTION)}


def _query(path: Path) -> Mapping[str, str] | None:
    """Return the query of the manifest that lists a file; None without one."""
    for folder in path.parents[:_FOLDERS_BELOW]:
        manifest = folder / MANIFEST
        with suppress(OSError, ValueError, KeyError, TypeError):
            if manifest.stat().st_size > _MANIFEST_BYTES:
                continue
            query, paths = _listed(manifest, manifest.stat().st_mtime_ns)
            if path.relative_to(folder).as_posix() in paths:
                return query
    return None


@lru_cache(maxsize=4)
def _listed(manifest: Path, modified_ns: int) -> tuple[Mapping[str, str], frozenset[str]]:
    """Return the query of a manifest, and the files that it lists. An export has thousands, and each asks for it.

    modified_ns: of the file, which tells one version from another.
    """
    document = json.loads(manifest.read_bytes())
    return document["query"], frozenset(each["path"] for each in document["files"])
