"""`instruments.jsonl`: one line per change of an instrument, appended; the last line of a symbol counts."""

import fcntl
import os
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec

from trades.bar_policies import EVERY_PRINT
from trades.storage.csv.disk import Disk
from trades.storage.csv.file_signature import NO_FILE, FileSignature, file_signature
from trades.storage.exceptions import DataDamaged
from trades.storage.instruments import Instrument

INSTRUMENTS_FILE = "instruments.jsonl"


class _Change(msgspec.Struct, frozen=True, omit_defaults=True):
    """A line: what an instrument is from an instant on, in nanoseconds UTC."""

    symbol: str
    bar_policy: str = EVERY_PRINT.name
    changed_at: int = 0

    @property
    def instrument(self) -> Instrument:
        """What it is."""
        return Instrument(self.symbol, self.bar_policy)


_decoder = msgspec.json.Decoder(_Change)
_encoder = msgspec.json.Encoder()


class InstrumentFile:
    """The instruments of a store. A line whose end is missing was never acknowledged and is passed over."""

    def __init__(self, folder: Path, disk: Disk, clock: Callable[[], int]) -> None:
        self._path = folder / INSTRUMENTS_FILE
        self._disk = disk
        self._clock = clock
        self._mutex = threading.Lock()
        self._signature = NO_FILE
        self._changes: dict[str, list[_Change]] = {}

    def get(self, symbol: str, as_of_ns: int | None = None) -> Instrument:
        """The instrument as it was last told to be, until an instant or now. Raises `OSError`, `DataDamaged`."""
        signature = file_signature(self._path)
        if signature != self._signature:
            self._read(signature)
        for change in reversed(self._changes.get(symbol, ())):
            if as_of_ns is None or change.changed_at <= as_of_ns:
                return change.instrument
        return Instrument(symbol)

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
            change = _Change(instrument.symbol, instrument.bar_policy, self._clock())
            self._disk.append(descriptor, _encoder.encode(change) + b"\n")
            self._disk.sync(descriptor)
            if not whole:
                self._disk.sync_folder(self._path.parent)
        finally:
            os.close(descriptor)

    def _read(self, signature: FileSignature) -> None:
        with self._mutex:
            lines = self._path.read_bytes().split(b"\n")[:-1] if signature != NO_FILE else []
            changes: dict[str, list[_Change]] = {}
            for number, line in enumerate(lines, start=1):
                change = _decoded(number, line)
                changes.setdefault(change.symbol, []).append(change)
            self._changes = changes
            self._signature = signature


def _decoded(number: int, line: bytes) -> _Change:
    try:
        return _decoder.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise DataDamaged(f"{INSTRUMENTS_FILE}, line {number}: not an instrument") from error
