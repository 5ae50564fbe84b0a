"""Reads files in Databento Binary Encoding, `.dbn` or `.dbn.zst`, as the CSV that Databento's library writes of them."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import databento_dbn

from trades.imports.compressed import uncompressed
from trades.imports.csv_file import CsvFile

# Its stubs call the members of its enumerations texts.
_dbn: Any = databento_dbn
_MAGIC = b"DBN"
_BYTES = 2**20


class DbnFile(CsvFile):
    """A DBN file with records of one schema. `symbol` is what the file's metadata say of an instrument and date.

    Layout: https://databento.com/docs/conventions/databento-binary-encoding.
    """

    @contextmanager
    def _opened(self) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
        with self.path.open("rb") as raw:
            yield io.BufferedReader(_DbnText(uncompressed(raw))), raw


class _DbnText(io.RawIOBase):
    """The CSV of a DBN file. Raises `EOFError` for a damaged one."""

    def __init__(self, content: IO[bytes]) -> None:
        self._content, self._start = content, content.read(len(_MAGIC))
        if self._start != _MAGIC:
            raise EOFError("not a DBN file")
        self._text = io.BytesIO()
        self._transcoder = _dbn.Transcoder(
            self._text, _dbn.Encoding.CSV, _dbn.Compression.NONE, pretty_ts=False, map_symbols=True
        )

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not (count := self._text.readinto(buffer)):
            content = self._start + self._content.read(_BYTES)
            if not content:
                if self._transcoder.buffer():
                    raise EOFError("the last record is cut off")
                return 0
            self._start = b""
            self._text.seek(0)
            self._text.truncate()
            try:
                self._transcoder.write(content)
                self._transcoder.flush()
            except databento_dbn.DBNError as error:
                raise EOFError(str(error)) from error
            self._text.seek(0)
        return count
