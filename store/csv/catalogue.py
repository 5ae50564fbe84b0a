"""The instruments and symbols of a CSV store."""

import os
import threading
import time
from collections.abc import Callable, Hashable, Sequence
from contextlib import suppress
from pathlib import Path

from store.csv.files.disk import NEVER_SEEN, NO_FILE, Disk, file_signature, unavailable_on_error
from store.csv.files.file_names import folder_name, symbol_of
from store.csv.instrument_file import InstrumentFile, declaration_line
from store.csv.log.commit_log import has_commits
from store.datasets import DATASETS, WITHOUT_INSTRUMENTS
from store.declarations import Dataset
from store.instruments import Instrument

# For this long after its last change, a folder is listed at every call. File systems record times in steps: two
# changes within one step may leave the folder with the same modification time.
_SETTLED_NS = 1_000_000_000


class SymbolFolders:
    """The symbols that have commits, in one dataset's folder. The folder is listed again only after a change.

    Thread-safe. Raises `OSError`.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._mutex = threading.Lock()
        self._signature = NEVER_SEEN
        self._is_settled = False
        self._names: set[str] = set()
        self._empty: set[str] = set()
        self._symbols: tuple[str, ...] = ()

    def symbols(self) -> tuple[str, ...]:
        """Return the symbols, sorted."""
        with self._mutex:
            self._refresh()
            return self._symbols

    def stamp(self) -> Hashable:
        """Return a value that changes when a symbol is added or removed. It is the same in every process."""
        with self._mutex:
            self._refresh()
            return (*self._signature, len(self._symbols))

    def _refresh(self) -> None:
        signature = file_signature(self._folder)
        if signature != self._signature or not self._is_settled:
            self._is_settled = time.time_ns() - signature[2] > _SETTLED_NS
            names = os.listdir(self._folder) if signature != NO_FILE else []  # noqa: PTH208 names only
            self._check_new(set(names))
            self._signature = signature
        elif self._empty:
            self._check_new(self._names)

    def _check_new(self, names: set[str]) -> None:
        """Check the folders that are new, or that had no commit at the last check."""
        unchecked = names - self._names | self._empty & names
        empty = {name for name in unchecked if not has_commits(self._folder / name)}
        if unchecked - empty or self._names - names:
            self._symbols = tuple(sorted(map(symbol_of, names - empty)))
        self._names, self._empty = names, empty


class CsvCatalogue:
    """The methods of `CsvStore` that concern instruments and symbols."""

    def __init__(self, path: Path, disk: Disk, clock: Callable[[], int]) -> None:
        self._path = path
        self._instruments = InstrumentFile(path, disk, clock)
        self._folders = {name: SymbolFolders(path / name) for name in DATASETS}

    def instrument(self, symbol: str, *, as_of_ns: int | None = None) -> Instrument:
        with unavailable_on_error:
            return self._instruments.verified().instrument(symbol, as_of_ns)

    def canonical(self, symbol: str, on_ns: int | None = None) -> str:
        """See `MarketStore.canonical`.

        Unreadable lines are ignored here, so that one of them does not stop ingest of other symbols.
        """
        with unavailable_on_error:
            return self._instruments.readable().canonical(symbol, on_ns)

    def declared_instruments(
        self, *, symbol: str | None = None, as_of_ns: int | None = None
    ) -> list[Instrument]:
        with unavailable_on_error:
            return self._instruments.verified().declared(symbol, as_of_ns)

    def declarations(self, symbol: str, *, as_of_ns: int | None = None) -> list[tuple[int, Instrument]]:
        with unavailable_on_error:
            return self._instruments.verified().declarations(symbol, as_of_ns)

    def declaration_lines(self, symbol: str) -> list[bytes]:
        """Return the lines of a symbol's declarations, in order."""
        return [declaration_line(*each) for each in self.declarations(symbol)]

    def last_declared_ns(self, as_of_ns: int) -> int:
        with unavailable_on_error:
            return self._instruments.verified().last_declared_ns(as_of_ns)

    def set_instrument(self, instrument: Instrument) -> None:
        self.set_instruments([instrument])

    def set_instruments(self, instruments: Sequence[Instrument]) -> None:
        with unavailable_on_error:
            self._instruments.put(instruments, self._has_data)

    def check_instruments(self, instruments: Sequence[Instrument]) -> None:
        with unavailable_on_error:
            self._instruments.verified().check(instruments, self._has_data)

    def catalogue_stamp(self) -> Hashable:
        with unavailable_on_error:
            return self._instruments.signature, *(folders.stamp() for folders in self._folders.values())

    def symbols(self, dataset: Dataset) -> list[str]:
        with unavailable_on_error:
            return list(self._folders[dataset.name].symbols())

    def folders(self, dataset: Dataset) -> list[str]:
        with (
            unavailable_on_error,
            suppress(FileNotFoundError),
            os.scandir(self._path / dataset.name) as entries,
        ):
            return sorted(symbol_of(entry.name) for entry in entries if entry.is_dir())
        return []

    def _has_data(self, symbol: str) -> bool:
        folder = folder_name(symbol)
        datasets = (name for name, dataset in DATASETS.items() if dataset not in WITHOUT_INSTRUMENTS)
        return any(has_commits(self._path / name / folder) for name in datasets)
