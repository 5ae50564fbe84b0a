"""The text formats, read back by prometheus_client's own parsers."""

import pytest
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from ops.metrics.exposition import exposition
from ops.metrics.metric_types import Counter, Gauge, Histogram, Metric, Series

SECONDS = Histogram("a_seconds", "Time.", ("route",), bounds=(0.1, 1))
REQUESTS = Counter("b_requests", 'Of "them".', ("route", "method"))
MEMORY = Gauge("c_bytes", "Memory.", is_per_process=True)
TOTALS: dict[Metric, Series] = {
    SECONDS: {("ohlc",): [2.0, 1.0, 1.0, 7.5]},
    REQUESTS: {('a"b\n', "GET"): [3.0]},
    MEMORY: {("web-1",): [5.0]},
}
EXPECTED = {
    ("a_seconds_bucket", ("0.1", "ohlc")): 2,
    ("a_seconds_bucket", ("1.0", "ohlc")): 3,
    ("a_seconds_bucket", ("+Inf", "ohlc")): 4,
    ("a_seconds_count", ("ohlc",)): 4,
    ("a_seconds_sum", ("ohlc",)): 7.5,
    ("b_requests_total", ("GET", 'a"b\n')): 3,
    ("c_bytes", ("web-1",)): 5,
}
OPENMETRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"


@pytest.mark.parametrize(
    ("accept", "media_type", "parse"),
    [
        ("", "text/plain; version=0.0.4", text_string_to_metric_families),
        ("*/*", "text/plain; version=0.0.4", text_string_to_metric_families),
        (
            OPENMETRICS,
            "application/openmetrics-text; version=1.0.0",
            openmetrics.text_string_to_metric_families,
        ),
    ],
    ids=["nothing", "anything", "openmetrics"],
)
def test_the_document_says_what_was_counted(accept, media_type, parse):
    body, content_type = exposition(TOTALS, accept=accept)
    assert content_type.startswith(media_type)
    families = list(parse(body.decode()))
    found = {
        (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }
    assert found == EXPECTED
    assert {family.type for family in families} == {"histogram", "counter", "gauge"}
