"""Counters, gauges and histograms of one process: plain numbers in memory.

An increment costs a tenth of one of prometheus_client's multi-process mode, which writes each into a mapped
file. What one process has counted reaches the others by `process_files`.
"""

import threading
from bisect import bisect_left
from collections.abc import Callable, Sequence

Labels = tuple[str, ...]
Series = dict[Labels, list[float]]
"""The values by label values; one of a counter or gauge, of a histogram each bucket's count and the sum."""


class Metric:
    """A metric's name without a suffix, in base units, its help text and its labels. Thread safe.

    A counter or histogram without labels is exported from the start, all others once they have a value.
    """

    def __init__(self, name: str, help_text: str, labels: Sequence[str] = (), *, width: int = 1) -> None:
        """`width` is how many numbers a series has."""
        self.name = name
        self.help_text = help_text
        self.labels = tuple(labels)
        self._width = width
        self._lock = threading.Lock()
        self._series: Series = {}
        self.clear()

    def series(self) -> Series:
        """A copy of what this process has counted."""
        with self._lock:
            return {labels: list(values) for labels, values in self._series.items()}

    def restore(self, series: Series) -> None:
        """Add what an earlier process had counted."""
        with self._lock:
            add_series(self._series, series)

    def clear(self) -> None:
        """Begin anew, at zero."""
        with self._lock:
            self._series = {} if self.labels else {(): [0.0] * self._width}

    def _values(self, labels: Labels) -> list[float]:
        """The numbers of a series, made if missing; the lock is held."""
        values = self._series.get(labels)
        if values is None:
            values = self._series[labels] = [0.0] * self._width
        return values


class Counter(Metric):
    """Counts up; exported as `<name>_total`."""

    def add(self, *labels: str, amount: float = 1) -> None:
        """Count `amount` more; 0 makes the series known before anything has happened."""
        with self._lock:
            self._values(labels)[0] += amount


class Gauge(Metric):
    """What is so now. Values of living processes are added up, or told apart by a label `process`."""

    def __init__(
        self, name: str, help_text: str, labels: Sequence[str] = (), *, of_each_process: bool = False
    ) -> None:
        """`of_each_process`: exported with the label `process`, which is not among `labels`."""
        super().__init__(name, help_text, labels)
        self.of_each_process = of_each_process
        self._source: Callable[[], float] | None = None

    def clear(self) -> None:
        """Know nothing."""
        with self._lock:
            self._series = {}

    def set(self, value: float, *labels: str) -> None:
        """Note that it is `value` now."""
        with self._lock:
            self._values(labels)[0] = float(value)

    def add(self, amount: float, *labels: str) -> None:
        """Note that it is `amount` more than before."""
        with self._lock:
            self._values(labels)[0] += amount

    def follow(self, source: Callable[[], float]) -> None:
        """Ask `source` whenever the value is exported; it must not fail."""
        self._source = source

    def series(self) -> Series:
        if self._source is not None:
            self.set(self._source())
        return super().series()


class Histogram(Metric):
    """How many observations are at most as large as each of `bounds`, and their sum."""

    def __init__(
        self, name: str, help_text: str, labels: Sequence[str] = (), *, bounds: Sequence[float]
    ) -> None:
        """`bounds` ascend; a bucket without bound follows the last."""
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
        known = total.get(labels)
        total[labels] = values if known is None else [a + b for a, b in zip(known, values, strict=True)]
