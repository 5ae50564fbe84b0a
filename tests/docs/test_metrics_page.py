"""The page of metrics lists every metric as it is declared."""

from django.conf import settings

from ops.metrics.declarations import METRICS
from ops.metrics.exposition import exported_labels
from ops.metrics.metric_types import Counter, Metric

PAGE = settings.BASE_DIR / "docs" / "metrics.md"


def row(metric: Metric) -> str:
    name = f"{metric.name}_total" if isinstance(metric, Counter) else metric.name
    labels = ", ".join(f"`{label}`" for label in exported_labels(metric))
    return f"| `{name}` | {labels} | {metric.help_text} |"


def test_the_page_lists_every_metric():
    table = [line for line in PAGE.read_text().splitlines() if line.startswith("| `marketdata_")]
    assert table == [row(metric) for metric in METRICS]
