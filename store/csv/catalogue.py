"""What a store of files knows of instruments, and which symbols it holds."""

import os
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path

from store.csv.files.disk import Disk, unavailable
from store.csv.instrument_file import InstrumentFile
from store.csv.log.commit_log import has_commits
from store.csv.parts.partitions import folder_name, symbol_of
from store.csv.symbol_folders import SymbolFolders
from store.datasets import DATASETS
from store.declarations import Dataset
from store.instruments import Instrument


class CsvCatalogue:
    """The part of a `MarketStore` in a folder that is about instruments and symbols, not about rows."""

    def __init__(self, path: Path, disk: Disk, clock: Callable[[], int]) -> None:
        self._path = path
        self._instruments = InstrumentFile(path, disk, clock)
        self._folders = {name: SymbolFolders(path / name) for name in DATASETS}

    def instrument(self, symbol: str, *, as_of_ns: int | None = None) -> Instrument:
        """See `MarketStore.instrument`."""
        try:
            return self._instruments.whole().instrument(symbol, as_of_ns)
        except OSError as error:
            raise unavailable(error) from error

    def canonical(self, symbol: str) -> str:
        """See `MarketStore.canonical`.

        A line that cannot be read does not keep those of other symbols from ingest.
        """
        try:
            return self._instruments.readable().canonical(symbol)
        except OSError as error:
            raise unavailable(error) from error

    def told_instruments(self, *, symbol: str | None = None, as_of_ns: int | None = None) -> list[Instrument]:
        """See `MarketStore.told_instruments`."""
        try:
            return self._instruments.whole().told(symbol, as_of_ns)
        except OSError as error:
            raise unavailable(error) from error

    def told_until(self, as_of_ns: int) -> int:
        """See `MarketStore.told_until`."""
        try:
            return self._instruments.whole().told_until(as_of_ns)
        except OSError as error:
            raise unavailable(error) from error

    def set_instrument(self, instrument: Instrument) -> None:
        """See `MarketStore.set_instrument`."""
        self.set_instruments([instrument])

    def set_instruments(self, instruments: Sequence[Instrument]) -> None:
        """See `MarketStore.set_instruments`."""
        try:
            self._instruments.put(instruments, self._has_data)
        except OSError as error:
            raise unavailable(error) from error

    def check_instruments(self, instruments: Sequence[Instrument]) -> None:
        """See `MarketStore.check_instruments`."""
        try:
            self._instruments.whole().check(instruments, self._has_data)
        except OSError as error:
            raise unavailable(error) from error

    def catalogue_stamp(self) -> Hashable:
        """See `MarketStore.catalogue_stamp`."""
        try:
            return self._instruments.signature, *(folders.stamp() for folders in self._folders.values())
        except OSError as error:
            raise unavailable(error) from error

    def symbols(self, dataset: Dataset) -> list[str]:
        """See `MarketStore.symbols`."""
        try:
            return list(self._folders[dataset.name].symbols())
        except OSError as error:
            raise unavailable(error) from error

    def folders(self, dataset: Dataset) -> list[str]:
        """See `MaintainedStore.folders`."""
        try:
            with os.scandir(self._path / dataset.name) as entries:
                return sorted(symbol_of(entry.name) for entry in entries if entry.is_dir())
        except FileNotFoundError:
            return []
        except OSError as error:
            raise unavailable(error) from error

    def _has_data(self, symbol: str) -> bool:
        folder = folder_name(symbol)
        return any(has_commits(self._path / name / folder) for name in DATASETS)
