"""Numbers of the live feed, of all processes."""

from typing import Any

from ops.metrics.declarations import LIVE_CONNECTIONS, LIVE_ENDS, LIVE_MESSAGES, LIVE_SUBSCRIPTIONS
from ops.metrics.metric_types import Series
from ops.metrics.process_files import totals
from stats.live.channels import ALL_KINDS


def live_statistics() -> dict[str, Any]:
    """Return the fields of `LiveStatisticsSerializer`. The last second of other processes may be missing."""
    counts = totals((LIVE_CONNECTIONS, LIVE_SUBSCRIPTIONS, LIVE_MESSAGES, LIVE_ENDS))
    return {
        "connections": _number(counts[LIVE_CONNECTIONS]),
        "subscriptions": _by_kind(counts[LIVE_SUBSCRIPTIONS]),
        "messages": _by_kind(counts[LIVE_MESSAGES]),
        "ends": {reason: int(number) for (reason,), (number,) in sorted(counts[LIVE_ENDS].items())},
    }


def _by_kind(series: Series) -> dict[str, int]:
    return {kind: _number(series, kind) for kind in ALL_KINDS}


def _number(series: Series, *labels: str) -> int:
    return int(series.get(labels, [0])[0])
