"""`instruments.jsonl`: one line per change of an instrument, appended; the last line of a symbol counts."""

import fcntl
import os
import threading
from pathlib import Path

import msgspec

from trades.storage.csv.disk import Disk
from trades.storage.csv.file_signature import NO_FILE, FileSignature, file_signature
from trades.storage.exceptions import DataDamaged
from trades.storage.instruments import Instrument

INSTRUMENTS_FILE = "instruments.jsonl"

_decoder = msgspec.json.Decoder(Instrument)
_encoder = msgspec.json.Encoder()


class InstrumentFile:
    """The instruments of a store. A line whose end is missing was never acknowledged and is passed over."""

    def __init__(self, folder: Path, disk: Disk) -> None:
        self._path = folder / INSTRUMENTS_FILE
        self._disk = disk
        self._mutex = threading.Lock()
        self._signature = NO_FILE
        self._known: dict[str, Instrument] = {}

    def get(self, symbol: str) -> Instrument:
        """The instrument as it was last told to be. Raises `OSError`, `DataDamaged`."""
        signature = file_signature(self._path)
        if signature != self._signature:
            self._read(signature)
        return self._known.get(symbol) or Instrument(symbol)

    def put(self, instrument: Instrument) -> None:
        """Make an instrument what it is from now on, durably. Raises `OSError`."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            size = os.fstat(descriptor).st_size
            whole = os.pread(descriptor, size, 0).rfind(b"\n") + 1
            if whole < size:
                self._disk.truncate(descriptor, whole)
            self._disk.append(descriptor, _encoder.encode(instrument) + b"\n")
            self._disk.sync(descriptor)
            if not whole:
                self._disk.sync_folder(self._path.parent)
        finally:
            os.close(descriptor)

    def _read(self, signature: FileSignature) -> None:
        with self._mutex:
            lines = self._path.read_bytes().split(b"\n")[:-1] if signature != NO_FILE else []
            instruments = [_decoded(number, line) for number, line in enumerate(lines, start=1)]
            self._known = {instrument.symbol: instrument for instrument in instruments}
            self._signature = signature


def _decoded(number: int, line: bytes) -> Instrument:
    try:
        return _decoder.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise DataDamaged(f"{INSTRUMENTS_FILE}, line {number}: not an instrument") from error
