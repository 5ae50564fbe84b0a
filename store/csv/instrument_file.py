"""`instruments.jsonl`: one line per change of an instrument, appended; the last line of a symbol counts."""

import fcntl
import os
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from store.csv.files.disk import NO_FILE, Disk, FileSignature, file_signature
from store.exceptions import DataDamaged, OutcomeUnknown
from store.instruments import Instrument, InstrumentHistory, default_instrument

INSTRUMENTS_FILE = "instruments.jsonl"


class _Line(Instrument, frozen=True, omit_defaults=True):
    """What an instrument is from an instant on, in nanoseconds UTC.

    It counts if the `more` lines told with it follow.
    """

    changed_at: int = 0
    more: int = 0

    def __post_init__(self) -> None:
        """Nothing is filled in: a line of an earlier version has a policy only, the rest by its symbol."""

    @property
    def instrument(self) -> Instrument:
        """What it is."""
        said = {name: getattr(self, name) for name in Instrument.__struct_fields__}
        if self.volume_kind:
            return Instrument(**said)
        defaults = zip(Instrument.__struct_fields__[1:], Instrument.__struct_defaults__, strict=True)
        beyond = {name: said[name] for name, default in defaults if said[name] != default}
        return msgspec.structs.replace(default_instrument(self.symbol), **beyond, volume_kind="")


_decoder = msgspec.json.Decoder(_Line)
_encoder = msgspec.json.Encoder()


class InstrumentFile:
    """The instruments of a store.

    Lines whose end is missing, or that of their batch, were never acknowledged: passed over.
    """

    def __init__(self, folder: Path, disk: Disk, clock: Callable[[], int]) -> None:
        self._path = folder / INSTRUMENTS_FILE
        self._disk = disk
        self._clock = clock
        self._mutex = threading.Lock()
        self._signature = NO_FILE
        self._read_nothing()

    @property
    def signature(self) -> FileSignature:
        """Changes with every change of an instrument. Raises `OSError`."""
        return file_signature(self._path)

    def readable(self) -> InstrumentHistory:
        """What the lines that can be read say; it grows with the file. Raises `OSError`."""
        signature = file_signature(self._path)
        if signature != self._signature:
            self._read(signature)
        return self._history

    def verified(self) -> InstrumentHistory:
        """The same, of all lines. Raises `OSError`, `DataDamaged`."""
        history = self.readable()
        if self._damage is not None:
            raise DataDamaged(self._damage)
        return history

    def put(self, instruments: Sequence[Instrument], has_data: Callable[[str], bool]) -> None:
        """Make instruments what they are from now on, durably, all or none.

        Raises `AliasTaken`, `OSError`, `DataDamaged`, and `OutcomeUnknown` if they may be told all the same.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(self._path) as descriptor:
            size = os.fstat(descriptor).st_size
            length = _told_length(os.pread(descriptor, size, 0))
            if length < size:
                self._disk.truncate(descriptor, length)
            self.verified().check(instruments, has_data)
            self._append(descriptor, length, _lines(instruments, self._clock()))

    def _append(self, descriptor: int, length: int, lines: bytes) -> None:
        """Write lines behind the first `length` bytes, durably; what is refused is not there afterwards."""
        try:
            self._disk.append(descriptor, lines)
            self._disk.sync(descriptor)
            if not length:
                self._disk.sync_folder(self._path.parent)
        except OSError:
            self._cut(descriptor, length)
            raise

    def _cut(self, descriptor: int, length: int) -> None:
        try:
            self._disk.truncate(descriptor, length)
        except OSError as error:
            raise OutcomeUnknown("the disk did not confirm the instruments; tell them again") from error

    def _read_nothing(self) -> None:
        self._history = InstrumentHistory()
        self._lines = self._length = self._checksum = 0
        self._damage: str | None = None

    def _read(self, signature: FileSignature) -> None:
        """Add the lines behind those that were read; if those are others now, begin anew."""
        with self._mutex:
            data = self._path.read_bytes() if signature != NO_FILE else b""
            length = _told_length(data)
            if length < self._length or zlib.crc32(data[: self._length]) != self._checksum:
                self._read_nothing()
            for line in data[self._length : length].split(b"\n")[:-1]:
                self._lines += 1
                self._add(line)
            self._length, self._checksum = length, zlib.crc32(data[:length])
            self._signature = signature

    def _add(self, text: bytes) -> None:
        try:
            line = _decoder.decode(text)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            self._damage = self._damage or f"{INSTRUMENTS_FILE}, line {self._lines}: not an instrument"
        else:
            self._history.add(line.changed_at, line.instrument)


def _lines(instruments: Sequence[Instrument], now: int) -> bytes:
    said = ({name: getattr(each, name) for name in Instrument.__struct_fields__} for each in instruments)
    counted = zip(said, reversed(range(len(instruments))), strict=True)
    return b"".join(
        _encoder.encode(_Line(**each, changed_at=now, more=more)) + b"\n" for each, more in counted
    )


def _told_length(data: bytes) -> int:
    """How many bytes from the beginning on are lines that were told: whole ones, of whole batches."""
    length = data.rfind(b"\n") + 1
    while length:
        start = data.rfind(b"\n", 0, length - 1) + 1
        if not _is_followed(data[start:length]):
            break
        length = start
    return length


def _is_followed(text: bytes) -> bool:
    """Whether a line is one of a batch, and not the last; one that cannot be read is not: it is damage."""
    try:
        return _decoder.decode(text).more > 0
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return False


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    """The open file, which no other process writes meanwhile."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)
