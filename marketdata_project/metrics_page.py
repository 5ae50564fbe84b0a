"""`/metrics`: what all processes of this installation have counted, for Prometheus."""

import shutil
import time
from contextlib import suppress

from django.conf import settings
from django.db import DatabaseError
from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from audit.services import audit_lag
from http_requests import addresses
from marketdata_project.serve.heartbeat import Heartbeat
from metrics.declarations import (
    AUDIT_LAG_SECONDS,
    AUDIT_SPOOLED_BYTES,
    DISK_FREE,
    WEB_PROCESSES_WANTED,
    WORKER_HEARTBEAT_AGE,
)
from metrics.exposition import exposition
from metrics.metric_types import Metric
from metrics.process_files import totals


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Text 0.0.4 or OpenMetrics, by Accept. 404 for an address that is not of METRICS_NETWORKS."""
    if not _is_allowed(request.META.get("REMOTE_ADDR", "")):
        raise Http404
    found = totals()
    found.update({metric: {(): [value]} for metric, value in _of_installation().items()})
    body, content_type = exposition(found, accept=request.headers.get("Accept", ""))
    return HttpResponse(body, content_type=content_type)


def _is_allowed(address: str) -> bool:
    try:
        found = addresses.parse(address)
    except ValueError:
        return False
    return any(found in network for network in settings.METRICS_NETWORKS)


def _of_installation() -> dict[Metric, float]:
    """What no process counts. What cannot be found out now is left out."""
    found: dict[Metric, float] = {WEB_PROCESSES_WANTED: settings.WORKERS}
    with suppress(OSError):
        found[DISK_FREE] = shutil.disk_usage(settings.DATA_DIR).free
    with suppress(OSError):
        age = Heartbeat(settings.RUN_DIR).age(now=time.time())
        if age is not None:
            found[WORKER_HEARTBEAT_AGE] = age
    with suppress(DatabaseError, OSError):
        lag = audit_lag(now=timezone.now())
        found[AUDIT_SPOOLED_BYTES], found[AUDIT_LAG_SECONDS] = lag.spooled_bytes, lag.seconds
    return found
