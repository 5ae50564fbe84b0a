"""The clock that stamps commits. It is watched: a step of it, once stamped, would be in the log for ever."""

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from store.exceptions import ClockStepped
from store.timestamps import format_timestamp

CLOCK_FILE = "clock.json"
MAX_STEP_NS = 60_000_000_000
_SECOND_NS = 1_000_000_000
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_ACCEPT = "check the clock, then run `manage.py store clock --accept`"


def boot_time_ns() -> int:
    """Return the nanoseconds since the machine was started, with the time that it was suspended."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


_BOOT_TIME = boot_time_ns if hasattr(time, "CLOCK_BOOTTIME") else None


class _KnownClock(msgspec.Struct):
    """What all processes know of the clock.

    boot_id: names this start of the machine. offset_ns: the wall clock's time at that start, as it was found when a commit
    was last stamped or the clock was accepted. until_ns: an operator accepts commits up to this time, even ahead of the clock.
    """

    boot_id: str = ""
    offset_ns: int = 0
    until_ns: int = 0


class SystemClock:
    """The wall clock, watched against a clock that nobody sets.

    A step: the difference of both has changed by more than a minute since the last commit, without a restart of the machine.
    `clock.json` in the data folder keeps the difference: a process that starts after a step notices it, too.
    """

    def __init__(
        self,
        folder: Path,
        *,
        now: Callable[[], int] = time.time_ns,
        boot_time: Callable[[], int] | None = _BOOT_TIME,
    ) -> None:
        """Create it.

        boot_time: None where the system has no such clock; then only commits that are ahead of the clock are noticed.
        """
        self._file = folder / CLOCK_FILE
        self._now = now
        self._boot_time = boot_time
        self._offset_ns: int | None = None

    def __call__(self) -> int:
        """Return the nanoseconds since 1970, UTC."""
        return self._now()

    def check(self, newest_ns: int) -> None:
        """Raise `ClockStepped` if no commit may be stamped now. newest_ns: when the log's newest commit was made."""
        offset_ns = self._read_offset()
        is_new = self._offset_ns is None or abs(offset_ns - self._offset_ns) > _SECOND_NS
        if is_new:
            self._check_step(offset_ns)
        if self.is_ahead(newest_ns):
            raise ClockStepped(
                f"the newest commit, of {format_timestamp(newest_ns)}, is ahead of the clock: {_ACCEPT}"
            )
        if is_new:
            self._offset_ns = offset_ns
            with suppress(OSError):
                self._replace(_KnownClock(_boot_id(), offset_ns, self._known().until_ns))

    def is_ahead(self, newest_ns: int) -> bool:
        """Return whether a log with a newest commit of this time is ahead of the clock, and nobody has accepted that."""
        return newest_ns - self._now() > MAX_STEP_NS and newest_ns - self._known().until_ns > MAX_STEP_NS

    def accept(self, until_ns: int) -> None:
        """Accept the clock as it is now, and commits up to `until_ns` although they are ahead of it.

        Raises `OSError`.
        """
        self._replace(_KnownClock(_boot_id(), self._read_offset(), max(until_ns, self._known().until_ns)))

    def _check_step(self, offset_ns: int) -> None:
        known = self._known()
        known_ns = known.offset_ns if known.boot_id == _boot_id() != "" else self._offset_ns
        if self._boot_time is not None and known_ns is not None and abs(offset_ns - known_ns) > MAX_STEP_NS:
            raise ClockStepped(f"the clock has stepped by more than a minute: {_ACCEPT}")

    def _replace(self, known: _KnownClock) -> None:
        new = self._file.with_suffix(f".{os.getpid()}.{threading.get_native_id()}.new")
        new.write_bytes(msgspec.json.encode(known) + b"\n")
        new.replace(self._file)

    def _read_offset(self) -> int:
        """Return the wall clock's time at the machine's start; 0 if that is not known."""
        if self._boot_time is None:
            return 0
        while True:
            before = self._boot_time()
            now = self._now()
            if self._boot_time() - before < _SECOND_NS:  # the process was not stopped between the two
                return now - before

    def _known(self) -> _KnownClock:
        with suppress(OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return msgspec.json.decode(self._file.read_bytes(), type=_KnownClock)
        return _KnownClock()


def _boot_id() -> str:
    with suppress(OSError):
        return _BOOT_ID.read_text().strip()
    return ""
