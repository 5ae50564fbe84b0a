"""Writes each process's numbers to a file once a second, and sums the numbers of all processes.

A process that replaces another continues from its predecessor's file, so counters never fall. A gauge counts only
while the process that wrote it lives.
prometheus_client's multi-process mode is not used: it maps its files into memory, and writing to mapped memory ends the
process when the disk is full.
"""

import logging
import os
import threading
import time
from collections.abc import Iterable
from math import isnan
from pathlib import Path

import msgspec
from prometheus_client import REGISTRY
from prometheus_client import Metric as Family
from prometheus_client.samples import Sample

from ops.metrics.declarations import (
    PROCESS_MEMORY,
    PROCESS_OPEN_FILES,
    PROCESS_START_TIME,
    PROCESS_STARTS,
)

PERIOD_SECONDS = 1.0
_SUFFIX = ".json"

logger = logging.getLogger(__name__)

# The name of a sample (a histogram has several), and its labels with their values.
_Key = tuple[str, tuple[tuple[str, str], ...]]
_Values = dict[str, list[tuple[_Key, float]]]


class ProcessValues(msgspec.Struct):
    """The content of a file: one process's samples, by metric."""

    pid: int
    values: _Values


_DECODER = msgspec.json.Decoder(ProcessValues)


class Publisher:
    """A writer of this process's numbers to `<process>.json` in `folder`.

    If the disk is full, the file stays unchanged until the next attempt, a second later. A killed process loses the
    numbers of its last second.
    """

    def __init__(self, folder: Path, process: str) -> None:
        self.folder = folder
        self.process = process
        self._path = folder / f"{process}{_SUFFIX}"
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="metrics", daemon=True)
        self._is_failing = False
        self._inherited: _Values = {}

    def start(self) -> None:
        """Continue the numbers of the process that this one replaces, and publish once a second in a thread."""
        self.begin()
        self._thread.start()

    def begin(self) -> None:
        """Continue the numbers of the process that this one replaces. The caller publishes once a second."""
        global _publisher  # noqa: PLW0603 a process has one
        predecessor = _read(self._path)
        if predecessor is not None:
            gauges = {family.name for family in REGISTRY.collect() if family.type == "gauge"}
            self._inherited = {name: each for name, each in predecessor.values.items() if name not in gauges}
        PROCESS_STARTS.labels(self.process).inc()
        PROCESS_START_TIME.labels(self.process).set(time.time())
        PROCESS_MEMORY.labels(self.process).set_function(_resident_bytes)
        PROCESS_OPEN_FILES.labels(self.process).set_function(_open_files)
        _publisher = self
        self.publish()

    def publish(self) -> None:
        """Replace the file now."""
        with self._lock:
            draft = self._path.with_suffix(".draft")
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                draft.write_bytes(msgspec.json.encode(_own_values(self._inherited)))
                draft.replace(self._path)
                self._is_failing = False
            except OSError as error:
                if not self._is_failing:
                    logger.warning("The metrics of this process cannot be published: %s", error)
                self._is_failing = True

    def stop(self) -> None:
        """End the thread and publish for the last time."""
        global _publisher  # noqa: PLW0603 a process has one
        self._stopping.set()
        self._thread.join()
        self.publish()
        _publisher = None

    def _work(self) -> None:
        while not self._stopping.wait(PERIOD_SECONDS):
            self.publish()


_publisher: Publisher | None = None


def remove_files(folder: Path) -> None:
    """Remove the files of processes that ran before. Raises OSError."""
    for path in folder.glob(f"*{_SUFFIX}"):
        path.unlink()


def totals() -> list[Family]:
    """Return the sums over all publishing processes; in a process that does not publish, its own numbers."""
    published = [(values, _is_alive(values.pid)) for values in _published()]
    families = []
    for metric in REGISTRY.collect():
        total: dict[_Key, float] = {}
        for process, is_alive in published:
            if is_alive or metric.type != "gauge":
                _add(total, process.values.get(metric.name, ()))
        family = Family(metric.name, metric.documentation, metric.type)
        family.samples = [Sample(name, dict(labels), value) for (name, labels), value in total.items()]
        families.append(family)
    return families


def _published() -> list[ProcessValues]:
    """Return the content of all files.

    Publishes this process's own values first, so that no exported counter falls if the process is killed.
    """
    if _publisher is None:
        return [_own_values({})]
    _publisher.publish()
    contents = (_read(path) for path in sorted(_publisher.folder.glob(f"*{_SUFFIX}")))
    return [values for values in contents if values is not None]


def _own_values(inherited: _Values) -> ProcessValues:
    values: _Values = {}
    for family in REGISTRY.collect():
        total = dict(inherited.get(family.name, ()))
        known = (each for each in family.samples if not isnan(each.value))
        _add(total, (((each.name, tuple(each.labels.items())), each.value) for each in known))
        values[family.name] = list(total.items())
    return ProcessValues(os.getpid(), values)


def _add(total: dict[_Key, float], values: Iterable[tuple[_Key, float]]) -> None:
    for key, value in values:
        total[key] = total.get(key, 0.0) + value


def _read(path: Path) -> ProcessValues | None:
    """Return a file's content; None if it is missing or incomplete (for instance after a power cut)."""
    try:
        return _DECODER.decode(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        logger.warning("The metrics in %s cannot be read: %s", path, error)
        return None


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _resident_bytes() -> float:
    """Return the resident memory; 0 without /proc."""
    try:
        return int(Path("/proc/self/statm").read_bytes().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def _open_files() -> float:
    """Return the number of open files; 0 without /proc."""
    try:
        return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 pathlib takes twice as long
    except OSError:
        return 0
