"""Writes the totals of all processes in Prometheus's text formats."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client import Metric as Family
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from ops.metrics.metric_types import Counter, Gauge, Histogram, Metric, Series


def exposition(totals: Mapping[Metric, Series], *, accept: str) -> tuple[bytes, str]:
    """Return the document and its media type: OpenMetrics if the Accept header names it, else text format 0.0.4."""
    encode, content_type = choose_encoder(accept)
    registry = CollectorRegistry()
    registry.register(_Totals(totals))
    return encode(registry), content_type


class _Totals(Collector):
    def __init__(self, totals: Mapping[Metric, Series]) -> None:
        self._totals = totals

    def collect(self) -> Iterable[Family]:
        return (_family(metric, series) for metric, series in self._totals.items())


def _family(metric: Metric, series: Series) -> Family:
    labels = exported_labels(metric)
    ordered = sorted(series.items())
    if isinstance(metric, Histogram):
        histogram = HistogramMetricFamily(metric.name, metric.help_text, labels=labels)
        for values, numbers in ordered:
            histogram.add_metric(values, list(_buckets(metric, numbers)), numbers[-1])
        return histogram
    make = CounterMetricFamily if isinstance(metric, Counter) else GaugeMetricFamily
    family = make(metric.name, metric.help_text, labels=labels)
    for values, numbers in ordered:
        family.add_metric(values, numbers[0])
    return family


def exported_labels(metric: Metric) -> tuple[str, ...]:
    """Return the labels of a metric's samples, without a histogram's `le`."""
    is_per_process = isinstance(metric, Gauge) and metric.is_per_process
    return (*metric.labels, "process") if is_per_process else metric.labels


def _buckets(metric: Histogram, numbers: list[float]) -> Iterator[tuple[str, float]]:
    """Return each upper bound with the number of observations up to it."""
    bounds = map(floatToGoString, (*metric.bounds, float("inf")))
    return zip(bounds, accumulate(numbers[:-1]), strict=True)
