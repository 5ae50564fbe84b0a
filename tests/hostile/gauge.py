"""What the web processes of an installation use: processor time and memory, as the kernel counts them."""

import contextlib
import os
from pathlib import Path

MIB = 2**20
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


class Gauge:
    """Readings over all given processes together."""

    def __init__(self, pids: list[int]) -> None:
        self._folders = [Path("/proc", str(pid)) for pid in pids]

    def processor_seconds(self) -> float:
        """User and system time of all threads so far, in steps of a clock tick (10 ms)."""
        ticks = 0
        for folder in self._folders:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / _TICKS_PER_SECOND

    def resident_mib(self) -> float:
        return self._status("VmRSS")

    def anonymous_mib(self) -> float:
        """What is resident and of no file: mapped files are the kernel's to let go."""
        return self._status("RssAnon")

    def proportional_mib(self) -> float:
        """What is resident, a page that several processes share counted once in all."""
        kib = 0
        for folder in self._folders:
            with contextlib.suppress(OSError):  # a process that has ended
                rollup = (folder / "smaps_rollup").read_text()
                kib += int(rollup.partition("\nPss:")[2].split()[0])
        return kib / 1024

    def peak_mib(self) -> float:
        """The most that was resident since `forget_peak`."""
        return self._status("VmHWM")

    def forget_peak(self) -> None:
        for folder in self._folders:
            (folder / "clear_refs").write_text("5")

    def have_loaded_libraries(self) -> bool:
        """Whether they have what they load a while after their start: the last of it is mapped.

        Before that memory grows by itself.
        """
        return all("/QuantLib/" in (folder / "maps").read_text() for folder in self._folders)

    def _status(self, name: str) -> float:
        kib = 0
        for folder in self._folders:
            lines = (folder / "status").read_text().splitlines()
            kib += sum(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))
        return kib / 1024
