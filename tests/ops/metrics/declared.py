"""Every metric that is declared, with the labels of its samples."""

from functools import partial

from prometheus_client import Metric as Family
from prometheus_client.metrics import MetricWrapperBase

from ops.metrics import declarations


def declared() -> list[tuple[Family, tuple[str, ...]]]:
    found: list[tuple[Family, tuple[str, ...]]] = []
    for value in vars(declarations).values():
        if isinstance(value, partial):
            found.append(((family := value()), family._labelnames))
        elif isinstance(value, MetricWrapperBase):
            found += [(family, tuple(value._labelnames)) for family in value.describe()]
    return found
