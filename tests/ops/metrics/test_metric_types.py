"""Counters, gauges and histograms of one process."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from ops.metrics.declarations import METRICS
from ops.metrics.metric_types import Counter, Gauge, Histogram, Metric


def test_threads_that_count_at_once_lose_nothing():
    counter, histogram = Counter("a", "", ("b",)), Histogram("c", "", ("b",), bounds=(1,))

    def count(_: int) -> None:
        for _each in range(2_000):
            counter.add("x")
            histogram.observe(0.5, "x")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(count, range(8)))
    assert counter.series() == {("x",): [16_000]}
    assert histogram.series() == {("x",): [16_000, 0, 8_000]}


@pytest.mark.parametrize(
    ("value", "bucket"), [(0, 0), (1, 0), (1.01, 1), (5, 1), (5.01, 2)], ids=["0", "1", ">1", "5", ">5"]
)
def test_an_observation_is_in_the_first_bucket_that_is_not_smaller(value, bucket):
    histogram = Histogram("a", "", bounds=(1, 5))
    histogram.observe(value)
    counts = [0, 0, 0]
    counts[bucket] = 1
    assert histogram.series() == {(): [*counts, value]}


def test_a_counter_without_labels_is_known_from_the_start_and_a_gauge_is_not():
    assert Counter("a", "").series() == {(): [0]}
    assert Histogram("a", "", bounds=(1,)).series() == {(): [0, 0, 0]}
    assert Counter("a", "", ("b",)).series() == {}
    assert Gauge("a", "").series() == {}


def test_nothing_can_be_made_known_before_it_happens():
    counter = Counter("a", "", ("b",))
    counter.add("x", amount=0)
    assert counter.series() == {("x",): [0]}


def test_a_gauge_goes_up_and_down_or_follows():
    gauge, values = Gauge("a", ""), iter([True, False])
    gauge.add(2)
    gauge.add(-1)
    assert gauge.series() == {(): [1]}
    gauge.follow(lambda: next(values))
    assert [gauge.series(), gauge.series()] == [{(): [1]}, {(): [0]}]


def test_a_copy_does_not_change_with_the_metric():
    counter = Counter("a", "")
    before = counter.series()
    counter.add()
    assert before == {(): [0]}


def test_every_metric_has_a_name_of_its_own_and_a_sentence():
    assert len({metric.name for metric in METRICS}) == len(METRICS) > 20
    assert {type(metric) for metric in METRICS} == {Counter, Gauge, Histogram}
    assert [metric.name for metric in METRICS if not is_told(metric)] == []


def is_told(metric: Metric) -> bool:
    return metric.name.startswith("marketdata_") and metric.help_text.endswith(".")
