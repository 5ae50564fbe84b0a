"""Rows on their way from a source, in a temporary file: nobody sees them before all have come."""

import mmap
import tempfile
from types import TracebackType
from typing import Self

import pyarrow as pa


class RowSpool:
    """Collects batches of one schema in a nameless file in TMPDIR, which vanishes with the process."""

    def __init__(self, schema: pa.Schema) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 closed by __exit__
        self._writer = pa.ipc.new_stream(self._file, schema)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        error_class: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows."""
        self._writer.write_batch(batch)

    def table(self) -> pa.Table:
        """Return all rows, mapped into memory. The file's space is freed with the table. Call it once, at the end."""
        self._writer.close()
        self._file.flush()
        mapped = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
        with pa.ipc.open_stream(pa.py_buffer(mapped)) as stream:
            return stream.read_all()
