"""The clock that stamps commits. It is watched: a step of it, once stamped, would be in the log for ever."""

import os
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


class _Accepted(msgspec.Struct):
    """What an operator has accepted.

    offset_ns: the wall clock's time at the start of the machine, which `boot_id` names. until_ns: commits up to this time
    may be ahead of the clock.
    """

    boot_id: str = ""
    offset_ns: int = 0
    until_ns: int = 0


class SystemClock:
    """The wall clock, watched against a clock that nobody sets.

    It steps if the difference of both changes by more than a minute between two commits of this process. A step that
    an operator has accepted is in `clock.json` of the data folder, for all processes.
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
        self._offset_ns = self._read_offset()

    def __call__(self) -> int:
        """Return the nanoseconds since 1970, UTC."""
        return self._now()

    def check(self, newest_ns: int) -> None:
        """Raise `ClockStepped` if no commit may be stamped now. newest_ns: when the log's newest commit was made."""
        offset_ns = self._read_offset()
        if abs(offset_ns - self._offset_ns) > MAX_STEP_NS and not self._is_accepted(offset_ns):
            raise ClockStepped(f"the clock has stepped by more than a minute: {_ACCEPT}")
        self._offset_ns = offset_ns  # so that small corrections do not add up
        if newest_ns - self._now() > MAX_STEP_NS and newest_ns - self._accepted().until_ns > MAX_STEP_NS:
            raise ClockStepped(
                f"the newest commit, of {format_timestamp(newest_ns)}, is ahead of the clock: {_ACCEPT}"
            )

    def accept(self, until_ns: int) -> None:
        """Accept the clock as it is now, and commits up to `until_ns` although they are ahead of it.

        Raises `OSError`.
        """
        new = self._file.with_suffix(f".{os.getpid()}.new")
        new.write_bytes(msgspec.json.encode(_Accepted(_boot_id(), self._read_offset(), until_ns)) + b"\n")
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

    def _is_accepted(self, offset_ns: int) -> bool:
        accepted = self._accepted()
        return accepted.boot_id == _boot_id() and abs(offset_ns - accepted.offset_ns) <= MAX_STEP_NS

    def _accepted(self) -> _Accepted:
        with suppress(OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return msgspec.json.decode(self._file.read_bytes(), type=_Accepted)
        return _Accepted()


def _boot_id() -> str:
    with suppress(OSError):
        return _BOOT_ID.read_text().strip()
    return ""
