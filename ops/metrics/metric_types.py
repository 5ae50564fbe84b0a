"""Counters, gauges and histograms of one process: plain numbers in memory.

An increment takes a tenth of the time that it takes in prometheus_client's multi-process mode, which writes to a
memory-mapped file.
`process_files` shares the numbers with other processes.
"""

import threading
from bisect import bisect_left
from collections.abc import Callable, Sequence

Labels = tuple[str, ...]
Series = dict[Labels, list[float]]
"""Maps label values to numbers. A counter or gauge has one number; a histogram has a count per bucket, then the sum."""


class Metric:
    """A metric with its name (in base units, without the suffix `_total`), help text and labels. Thread-safe.

    A counter or histogram without labels is exported from the start, other metrics after their first value.
    """

    def __init__(self, name: str, help_text: str, labels: Sequence[str] = (), *, width: int = 1) -> None:
        """Declare a metric. width: how many numbers each series has."""
        self.name = name
        self.help_text = help_text
        self.labels = tuple(labels)
        self._width = width
        self._lock = threading.Lock()
        self._series: Series = {}
        self.clear()

    def series(self) -> Series:
        """Return a copy of this process's numbers."""
        with self._lock:
            return {labels: list(values) for labels, values in self._series.items()}

    def restore(self, series: Series) -> None:
        """Add the numbers of an earlier process."""
        with self._lock:
            add_series(self._series, series)

    def clear(self) -> None:
        """Reset to zero."""
        with self._lock:
            self._series = {} if self.labels else {(): [0.0] * self._width}

    def _values(self, labels: Labels) -> list[float]:
        """Return the numbers of a series; add zeros if it is missing. The caller holds the lock."""
        values = self._series.get(labels)
        if values is None:
            values = self._series[labels] = [0.0] * self._width
        return values


class Counter(Metric):
    """A number that only grows; exported as `<name>_total`."""

    def add(self, *labels: str, amount: float = 1) -> None:
        """Add `amount`. Adding 0 makes the series visible before its first event."""
        with self._lock:
            # The series is nearly always there, and every request adds to several.
            (self._series.get(labels) or self._values(labels))[0] += amount


class Gauge(Metric):
    """A current value. The values of living processes are summed, or exported one by one with the label `process`."""

    def __init__(
        self, name: str, help_text: str, labels: Sequence[str] = (), *, is_per_process: bool = False
    ) -> None:
        """Declare a gauge. is_per_process: export each process's value, with the label `process`, which is not in `labels`."""
        super().__init__(name, help_text, labels)
        self.is_per_process = is_per_process
        self._source: Callable[[], float] | None = None

    def clear(self) -> None:
        """Remove all values."""
        with self._lock:
            self._series = {}

    def set(self, value: float, *labels: str) -> None:
        """Set the value."""
        with self._lock:
            self._values(labels)[0] = float(value)

    def add(self, amount: float, *labels: str) -> None:
        """Add to the value."""
        with self._lock:
            self._values(labels)[0] += amount

    def follow(self, source: Callable[[], float]) -> None:
        """Take the value from `source` at each export. `source` must not raise."""
        self._source = source

    def series(self) -> Series:
        if self._source is not None:
            self.set(self._source())
        return super().series()


class Histogram(Metric):
    """The numbers of observations by bucket, and the sum of all observations."""

    def __init__(
        self, name: str, help_text: str, labels: Sequence[str] = (), *, bounds: Sequence[float]
    ) -> None:
        """Declare a histogram. bounds: the buckets' upper bounds, ascending; a last bucket is unbounded."""
        super().__init__(name, help_text, labels, width=len(bounds) + 2)
        self.bounds = tuple(bounds)

    def observe(self, value: float, *labels: str) -> None:
        """Count one observation."""
        bucket = bisect_left(self.bounds, value)
        with self._lock:
            values = self._values(labels)
            values[bucket] += 1
            values[-1] += value


def add_series(total: Series, other: Series) -> None:
    """Add the numbers of `other` to those of `total`, in place."""
    for labels, values in other.items():
        before = total.get(labels)
        total[labels] = values if before is None else [a + b for a, b in zip(before, values, strict=True)]
