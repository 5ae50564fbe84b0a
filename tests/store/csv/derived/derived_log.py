"""A derived log for tests: its store, files and manifest."""

import hashlib
from pathlib import Path

from store.csv import CsvStore
from store.csv.derived.manifest import Segment, read_manifest, rows_file
from store.csv.derived.segment_files import SegmentRows
from store.csv.log.index_file import INDEX_FILE
from store.datasets import TRADES
from store.maintained import DerivedStatistics
from store.protocol import ALL_TIME
from tests.memory_store import MemoryStore
from tests.store.builders import SYMBOL, Row, batch


class DerivedLog:
    """A store in a folder with small segments, and one in memory with the same rows."""

    def __init__(self, folder: Path, *, segment_rows: int = 50) -> None:
        self.folder = folder
        self.segment_rows = segment_rows
        self.store = self.opened()
        self.memory = MemoryStore()

    @property
    def files(self) -> Path:
        return self.folder / "trades" / SYMBOL / ".derived"

    def opened(self) -> CsvStore:
        """Return a new store of the same folder."""
        return CsvStore(self.folder, segment_rows=self.segment_rows)

    def append(self, *rows: Row) -> None:
        for store in (self.store, self.memory):
            store.append(batch(*rows))

    def derive(self, *, rebuild: bool = False, compact: bool = False) -> DerivedStatistics:
        derived = self.store.derive(TRADES, SYMBOL, rebuild=rebuild, compact=compact)
        assert derived is not None
        return derived

    def add_and_derive(self, *rows: Row) -> DerivedStatistics:
        self.append(*rows)
        return self.derive()

    @property
    def segments(self) -> tuple[Segment, ...]:
        manifest = read_manifest(self.files)
        assert manifest is not None
        return manifest.segments

    @property
    def names(self) -> list[str]:
        return [segment.name for segment in self.segments]

    def times(self) -> list[list[int]]:
        """Return the event times in each segment."""
        return [
            SegmentRows(self.files / rows_file(each.name), each.stored).times.tolist()
            for each in self.segments
        ]

    def is_like_memory(self, *, commit: int | None = None) -> bool:
        expected = self.memory.log(TRADES, SYMBOL).at(commit).rows(ALL_TIME)
        found = [store.log(TRADES, SYMBOL).at(commit).rows(ALL_TIME) for store in (self.store, self.opened())]
        return all(rows.equals(expected) for rows in found)

    def contents(self) -> dict[str, str]:
        """Return a digest of each file that a fold writes."""
        paths = [path for path in self.files.iterdir() if path.name != INDEX_FILE]
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
