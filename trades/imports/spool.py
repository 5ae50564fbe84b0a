"""Sorts rows on disk: temporary files by symbol and event date, read back in order of time."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from store.arrays import Integers
from store.timestamps import DAY_NS, format_timestamp
from trades.exceptions import ImportRefused

ROWS_AT_ONCE = 400_000
EQUAL_TIMES_LIMIT = 2_000_000
_SLICES = 64
_LENGTH_BYTES = 8
_MANIFEST = "manifest.json"


@dataclass(slots=True)
class SpoolPartition:
    """The rows of one symbol in one time slice (a day or less), in order of arrival."""

    symbol: str
    first_slice: int
    file: str
    rows: int = 0
    bytes: int = 0
    first_ns: int = 2**63 - 1
    last_ns: int = -(2**63)

    def add(self, times: Integers, size: int) -> None:
        """Add written rows to the partition's counts."""
        self.rows += len(times)
        self.bytes += size
        self.first_ns = min(self.first_ns, int(times.min()))
        self.last_ns = max(self.last_ns, int(times.max()))


class SortSpool:
    """A folder of partitions. Each is a file of Arrow messages; time slices are `slice_ns` long."""

    def __init__(self, folder: Path, schema: pa.Schema, slice_ns: int = DAY_NS) -> None:
        self.folder = folder
        self._schema = schema
        self._slice_ns = slice_ns
        self._partitions: dict[tuple[str, int], SpoolPartition] = {}

    @classmethod
    def create_empty(cls, folder: Path, schema: pa.Schema, slice_ns: int = DAY_NS) -> "SortSpool":
        """Make an empty spool. Deletes what the folder holds."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return cls(folder, schema, slice_ns)

    @classmethod
    def reopen(cls, folder: Path, schema: pa.Schema) -> "SortSpool | None":
        """Open a spool that an earlier process filled; None if it is incomplete."""
        spool = cls(folder, schema)
        try:
            partitions = [SpoolPartition(**item) for item in json.loads((folder / _MANIFEST).read_bytes())]
            if any((folder / each.file).stat().st_size != each.bytes for each in partitions):
                return None
        except (OSError, ValueError, TypeError):
            return None
        spool._partitions = {(each.symbol, each.first_slice): each for each in partitions}
        return spool

    def add(self, rows: pa.RecordBatch, symbols: pa.DictionaryArray) -> None:
        """Write rows to their partitions. The first column is the event time."""
        if not rows.num_rows:
            return
        slices = rows.column(0).to_numpy() // self._slice_ns
        codes = symbols.indices.to_numpy()
        order = np.lexsort((slices, codes))
        slices, codes = slices[order], codes[order]
        starts = np.flatnonzero((np.diff(slices, prepend=slices[0]) != 0) | (np.diff(codes, prepend=-1) != 0))
        is_sorted = (order[1:] > order[:-1]).all()
        rows = rows if is_sorted else rows.take(pa.array(order))
        for start, end in zip(starts.tolist(), [*starts[1:].tolist(), rows.num_rows], strict=True):
            symbol = symbols.dictionary[int(codes[start])].as_py()
            self._write(symbol, int(slices[start]), rows.slice(start, end - start))

    def finish(self) -> None:
        """Write the manifest, which marks the spool complete."""
        content = json.dumps([asdict(partition) for partition in self.partitions()])
        (self.folder / _MANIFEST).write_text(content)

    def partitions(self) -> list[SpoolPartition]:
        """Return all partitions, by symbol, then by time."""
        return [self._partitions[key] for key in sorted(self._partitions)]

    def rows_in_order(self, partition: SpoolPartition) -> Iterator[pa.Table]:
        """Yield a partition's rows in order of time, then of arrival; equal times share a table.

        Raises `ImportRefused` for too many rows of one time, which do not fit in memory.
        """
        if partition.rows <= ROWS_AT_ONCE or partition.first_ns == partition.last_ns:
            if partition.rows > EQUAL_TIMES_LIMIT:
                raise ImportRefused(
                    f"{partition.symbol}: more than {EQUAL_TIMES_LIMIT:,} rows have the time"
                    f" {format_timestamp(partition.first_ns)}"
                )
            table = pa.Table.from_batches(self._read(partition), self._schema)
            times = table.column(0).to_numpy()
            is_sorted = (times[1:] >= times[:-1]).all()
            yield table if is_sorted else table.take(pa.array(np.argsort(times, kind="stable")))
            return
        width = -(-(partition.last_ns - partition.first_ns + 1) // _SLICES)
        finer = SortSpool.create_empty(self.folder / f"{partition.file}.finer", self._schema, width)
        for batch in self._read(partition):
            codes = pa.array(np.zeros(batch.num_rows, dtype=np.int32))
            finer.add(batch, pa.DictionaryArray.from_arrays(codes, pa.array([partition.symbol])))
        for each in finer.partitions():
            yield from finer.rows_in_order(each)
        finer.remove()

    def remove(self) -> None:
        """Delete the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _write(self, symbol: str, number: int, rows: pa.RecordBatch) -> None:
        partition = self._partitions.get((symbol, number))
        if partition is None:
            partition = SpoolPartition(symbol, number, f"{len(self._partitions)}.rows")
            self._partitions[symbol, number] = partition
        message = rows.serialize()
        with (self.folder / partition.file).open("ab") as file:
            file.write(message.size.to_bytes(_LENGTH_BYTES, "little"))
            file.write(message)
        partition.add(rows.column(0).to_numpy(), _LENGTH_BYTES + message.size)

    def _read(self, partition: SpoolPartition) -> Iterator[pa.RecordBatch]:
        with (self.folder / partition.file).open("rb") as file:
            while length := file.read(_LENGTH_BYTES):
                message = file.read(int.from_bytes(length, "little"))
                yield pa.ipc.read_record_batch(pa.py_buffer(message), self._schema)
