"""`instruments.jsonl`: one appended line per declaration of an instrument. A symbol's last line applies."""

import os
import threading
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from store.csv.files.disk import NO_FILE, Disk, FileSignature, file_signature
from store.csv.files.file_names import IS_MIRROR, MIRROR_FILE
from store.csv.log.log_lock import LogLock
from store.exceptions import DataDamaged, OutcomeUnknown, StoreUnavailable
from store.instruments import Instrument, InstrumentHistory, default_instrument

INSTRUMENTS_FILE = "instruments.jsonl"


class _DeclaredInstrument(Instrument, frozen=True, omit_defaults=True):
    """A declared instrument. changed_at: when the declaration takes effect, in nanoseconds UTC.

    more: how many more lines of the same request follow. If they are missing, the line is ignored.
    """

    changed_at: int = 0
    more: int = 0

    def __post_init__(self) -> None:
        """Do not fill in defaults. Lines of earlier versions have only a policy; `instrument` adds the rest."""

    @property
    def instrument(self) -> Instrument:
        """The instrument."""
        values = {name: getattr(self, name) for name in Instrument.__struct_fields__}
        if self.volume_kind:
            return Instrument(**values)
        defaults = zip(Instrument.__struct_fields__[1:], Instrument.__struct_defaults__, strict=True)
        beyond = {name: values[name] for name, default in defaults if values[name] != default}
        return msgspec.structs.replace(default_instrument(self.symbol), **beyond, volume_kind="")


_decoder = msgspec.json.Decoder(_DeclaredInstrument)
_encoder = msgspec.json.Encoder()


class InstrumentFile:
    """The declared instruments of a store.

    A line without a line end, or of an incomplete request, was never acknowledged. It is ignored.
    """

    def __init__(self, folder: Path, disk: Disk, clock: Callable[[], int]) -> None:
        self.path = folder / INSTRUMENTS_FILE
        self._disk = disk
        self._clock = clock
        self._mutex = threading.Lock()
        self._signature = NO_FILE
        self._read_nothing()

    @property
    def signature(self) -> FileSignature:
        """A value that changes with every declaration. Raises `OSError`."""
        return file_signature(self.path)

    def readable(self) -> InstrumentHistory:
        """Return the history of all readable lines. Later reads add new lines to it. Raises `OSError`."""
        signature = file_signature(self.path)
        if signature != self._signature:
            self._read(signature)
        return self._history

    def verified(self) -> InstrumentHistory:
        """Return the same as `readable`. Raises `OSError`, and `DataDamaged` if a line is unreadable."""
        history = self.readable()
        if self._damage is not None:
            raise DataDamaged(self._damage)
        return history

    def put(self, instruments: Sequence[Instrument], has_data: Callable[[str], bool]) -> None:
        """Store declarations that take effect now. They are durable, and either all or none are stored.

        Raises `AliasTaken`, `OSError`, `DataDamaged`, `StoreBusy`, and `StoreUnavailable` in a mirror. After
        `OutcomeUnknown` they may or may not be stored.
        """
        if (self.path.parent / MIRROR_FILE).exists():
            raise StoreUnavailable(IS_MIRROR)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.touch()
        with LogLock(self.path, self._disk).exclusive() as descriptor:
            size = os.fstat(descriptor).st_size
            length = _acknowledged_length(os.pread(descriptor, size, 0))
            if length < size:
                self._disk.truncate(descriptor, length)
            self.verified().check(instruments, has_data)
            self._append(descriptor, length, _lines(instruments, self._clock()))

    def replace(self, lines: bytes) -> None:
        """Write the file anew, durably, if it has other lines. Raises `OSError`."""
        if self.path.exists() and self.path.read_bytes() == lines:
            return
        new = self.path.with_suffix(".new")
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        try:
            self._disk.append(descriptor, lines)
            self._disk.sync(descriptor)
        finally:
            os.close(descriptor)
        new.replace(self.path)
        self._disk.sync_folder(self.path.parent)

    def _append(self, descriptor: int, length: int, lines: bytes) -> None:
        """Append lines durably to the file, which has `length` bytes. On an error, cut them off again."""
        try:
            self._disk.append(descriptor, lines)
            self._disk.sync(descriptor)
            if not length:
                self._disk.sync_folder(self.path.parent)
        except OSError:
            self._cut(descriptor, length)
            raise

    def _cut(self, descriptor: int, length: int) -> None:
        try:
            self._disk.truncate(descriptor, length)
        except OSError as error:
            raise OutcomeUnknown("the disk did not confirm the instruments; send them again") from error

    def _read_nothing(self) -> None:
        self._history = InstrumentHistory()
        self._lines = self._length = self._checksum = 0
        self._damage: str | None = None

    def _read(self, signature: FileSignature) -> None:
        """Read the new lines. If lines that were read before have changed, read all lines again."""
        with self._mutex:
            data = self.path.read_bytes() if signature != NO_FILE else b""
            length = _acknowledged_length(data)
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
            self._damage = (
                self._damage
                or f"{INSTRUMENTS_FILE}, line {self._lines}: not an instrument; mend the line or restore the file"
            )
        else:
            self._history.add(line.changed_at, line.instrument)


def _lines(instruments: Sequence[Instrument], now: int) -> bytes:
    counted = zip(instruments, reversed(range(len(instruments))), strict=True)
    return b"".join(declaration_line(now, each, more) for each, more in counted)


def declaration_line(changed_at: int, instrument: Instrument, more: int = 0) -> bytes:
    """Return the line of a declaration, with its line end."""
    values = {name: getattr(instrument, name) for name in Instrument.__struct_fields__}
    return _encoder.encode(_DeclaredInstrument(**values, changed_at=changed_at, more=more)) + b"\n"


def parse_declaration(line: bytes) -> tuple[int, Instrument]:
    """Return when a declaration takes effect, and the instrument. Raises `ValueError` if the line is none."""
    try:
        declared = _decoder.decode(line)
        instrument = declared.instrument
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ValueError(str(error)) from None
    return declared.changed_at, instrument


def _acknowledged_length(data: bytes) -> int:
    """Return the length of the data up to the last complete line of a complete request."""
    length = data.rfind(b"\n") + 1
    while length:
        start = data.rfind(b"\n", 0, length - 1) + 1
        if not _is_followed(data[start:length]):
            break
        length = start
    return length


def _is_followed(text: bytes) -> bool:
    """Return whether more lines of the same request must follow this line.

    False for an unreadable line: it is damaged, not incomplete.
    """
    try:
        return _decoder.decode(text).more > 0
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return False
