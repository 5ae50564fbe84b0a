"""`/healthz`, `/readyz` and `/metrics`: endpoints for load balancers, the supervisor and Prometheus."""

import shutil
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from django.conf import settings
from django.db import Error, connection
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.http import require_safe
from django_redis import get_redis_connection
from prometheus_client import Metric as Family
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from redis.exceptions import RedisError

from audit.services import audit_lag
from ops.metrics.declarations import (
    AUDIT_LAG_SECONDS,
    AUDIT_SPOOLED_BYTES,
    DISK_FREE,
    FEED_FILLED_ROWS,
    FEED_HOLES,
    FEED_LAG_SECONDS,
    FEED_RECONNECTS,
    FEED_UP,
    WEB_PROCESSES_WANTED,
    WORKER_HEARTBEAT_AGE,
)
from ops.metrics.process_files import totals
from ops.serve.status import STALE_SECONDS, Heartbeat
from ratelimit.fresh_cache import FreshCache
from sources.feed_status import shown_feeds
from trades.stores import market_store
from web.requests import addresses

# Bytes. With less free space a batch of some thousand rows cannot be stored.
_FREE_BYTES = 2**20

# The last status and body of `/readyz`. Anybody may ask, as often as they like.
readiness: FreshCache[bool, tuple[int, dict[str, Any]]] = FreshCache()


@require_safe
def healthz(_request: HttpRequest) -> JsonResponse:
    """Answer 200: the process can answer requests."""
    return JsonResponse({"status": "ok"})


@require_safe
def readyz(_request: HttpRequest) -> JsonResponse:
    """Answer 200 `ready`, 200 `degraded` with reasons, or 503 `unavailable` with reasons, at most a second old."""
    status, document = readiness.get(True, lambda _: _readiness()) or _readiness()
    return JsonResponse(document, status=status)


def _readiness() -> tuple[int, dict[str, Any]]:
    failures = [*_database_problems(), *_store_problems()]
    if failures:
        return 503, {"status": "unavailable", "reasons": failures}
    limitations = [*_space_problems(), *_redis_problems(), *_worker_problems(now=time.time())]
    return 200, {"status": "degraded", "reasons": limitations} if limitations else {"status": "ready"}


def _database_problems() -> list[str]:
    """Return a problem if a table that the first migration creates cannot be read."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM django_migrations LIMIT 1")
            cursor.fetchone()
    except Error:
        return ["database: it cannot be read"]
    return []


def _store_problems() -> list[str]:
    problem = market_store().problem()
    return [f"store: {problem}"] if problem else []


def _space_problems() -> list[str]:
    # Without free space reads still work, so the server is only degraded.
    free = shutil.disk_usage(settings.DATA_DIR).free
    return [] if free >= _FREE_BYTES else [f"disk: {free:,} bytes are left, nothing can be stored"]


def _redis_problems() -> list[str]:
    try:
        get_redis_connection("default").ping()
    except RedisError as error:
        return [f"redis: {type(error).__name__}"]
    return []


def _worker_problems(*, now: float) -> list[str]:
    # A heartbeat from the future (the clock was set back) counts as missing.
    age = Heartbeat(settings.RUN_DIR).age(now=now)
    if age is None:
        return ["worker: it is not running"]
    if abs(age) > STALE_SECONDS:
        return [f"worker: no sign of life for {STALE_SECONDS:.0f} s"]
    return []


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Answer with the metrics of all processes, as text 0.0.4 or OpenMetrics (by Accept).

    404 for addresses outside METRICS_NETWORKS.
    """
    if not _is_allowed(request.META.get("REMOTE_ADDR", "")):
        raise Http404
    try:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    except (TypeError, ValueError):  # a version that is no numbers
        encode, content_type = choose_encoder("")
    return HttpResponse(encode(_Document()), content_type=content_type)


class _Document(Collector):
    """The families of all processes and of the installation."""

    def collect(self) -> Iterable[Family]:
        return [*totals(), *_installation_families(), *_feed_families()]


def _is_allowed(address: str) -> bool:
    try:
        client = addresses.parse(address)
    except ValueError:
        return False
    return any(client in network for network in settings.METRICS_NETWORKS)


def _installation_families() -> list[Family]:
    """Return the values of the whole installation. A value that cannot be read now is left out."""
    free, heartbeat, spooled, lag = (
        DISK_FREE(),
        WORKER_HEARTBEAT_AGE(),
        AUDIT_SPOOLED_BYTES(),
        AUDIT_LAG_SECONDS(),
    )
    with suppress(OSError):
        free.add_metric((), shutil.disk_usage(settings.DATA_DIR).free)
    with suppress(OSError):
        age = Heartbeat(settings.RUN_DIR).age(now=time.time())
        if age is not None:
            heartbeat.add_metric((), age)
    with suppress(Error, OSError):
        audit = audit_lag(now=timezone.now())
        spooled.add_metric((), audit.spooled_bytes)
        lag.add_metric((), audit.seconds)
    return [WEB_PROCESSES_WANTED(value=settings.WORKERS), free, heartbeat, spooled, lag]


def _feed_families() -> list[Family]:
    """Return the metrics of all feeds, without values if the database or Redis is away."""
    up, lag, holes = FEED_UP(), FEED_LAG_SECONDS(), FEED_HOLES()
    reconnects, filled_rows = FEED_RECONNECTS(), FEED_FILLED_ROWS()
    with suppress(Error, RedisError):
        for feed in shown_feeds():
            labels = feed.symbol, feed.source
            up.add_metric(labels, feed.is_up)
            if feed.dataset is None:  # the feed process does not have it
                continue
            reconnects.add_metric(labels, feed.reconnects)
            holes.add_metric(labels, feed.holes)
            filled_rows.add_metric(labels, feed.filled_rows)
            if feed.lag_seconds is not None:
                lag.add_metric(labels, feed.lag_seconds)
    return [up, lag, reconnects, holes, filled_rows]
