"""Declares every metric of the service; docs/metrics.md lists them.

Each process has values of the metrics in REGISTRY. The others are families of the whole installation, which the
process that answers `/metrics` fills.
Call `labels` through `functools.cache` where each answer counts: it takes three times as long as the increment.
Label values are few: names of routes, buckets, datasets and duties, never texts from a client.
"""

from functools import partial
from math import nan

from prometheus_client import (
    GC_COLLECTOR,
    PLATFORM_COLLECTOR,
    PROCESS_COLLECTOR,
    REGISTRY,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

disable_created_metrics()  # type: ignore[no-untyped-call]
for _collector in (GC_COLLECTOR, PLATFORM_COLLECTOR, PROCESS_COLLECTOR):
    REGISTRY.unregister(_collector)

_ANSWER_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_WRITE_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)

# Requests. `route` is a url name, a Django site's namespace, or UNROUTED.
UNROUTED = "unrouted"
REQUESTS = Counter(
    "marketdata_http_requests",
    "Requests answered, by the name of their route, method and class of status (2xx, 4xx).",
    ("route", "method", "status"),
)
REQUEST_SECONDS = Histogram(
    "marketdata_http_request_duration_seconds",
    "Time from a request's last byte to its answer (for a stream: to its headers).",
    ("route",),
    buckets=_ANSWER_SECONDS,
)
REQUESTS_IN_FLIGHT = Gauge("marketdata_http_requests_in_flight", "Requests that are being answered.")
ANSWERS_CUT = Counter(
    "marketdata_answers_cut",
    "Connections that ended before their answer, by reason: reset (by the client), stalled (the client stopped reading), or not_allowed (the caller may no longer read the stream).",
    ("reason",),
)
EVENT_LOOP_ANSWERS = Counter(
    "marketdata_event_loop_answers", "Requests answered in the event loop, from memory, without a thread."
)
FRONT_REFUSALS = Counter(
    "marketdata_front_refusals", "Requests and connections refused before Django, by error code.", ("code",)
)
CONNECTIONS = Gauge("marketdata_open_connections", "Open client connections.")

# The cache of answers.
CACHE_ANSWERS = Counter(
    "marketdata_cache_answers",
    "Answers of the response cache: hit_local (from the process's memory), hit_redis, "
    "joined (computed for another request at the same time), miss (computed).",
    ("source",),
)
CACHE_BYTES = Counter(
    "marketdata_cache_bytes",
    "Bytes of answers that the response cache wrote to Redis (stored) and answered with (served).",
    ("way",),
)

# Limits.
LIMIT_DECISIONS = Counter(
    "marketdata_limit_decisions",
    "Requests that the limiter admitted or refused, by bucket and by where its tokens were counted: in Redis or in the process.",
    ("bucket", "outcome", "kept_by"),
)
REDIS_AVAILABLE = Gauge(
    "marketdata_redis_available", "1 while the process reaches Redis, 0 while it does not.", ("process",)
)

# The store.
COMMITS = Counter("marketdata_store_commits", "Commits made, by dataset.", ("dataset",))
ROWS = Counter("marketdata_store_rows", "Rows and corrections stored, without duplicates.", ("dataset",))
COMMIT_FAILURES = Counter(
    "marketdata_store_commit_failures",
    "Batches that the store failed to write: full disk, write error, damage.",
    ("dataset",),
)
COMMIT_SECONDS = Histogram(
    "marketdata_store_commit_duration_seconds",
    "Time that a batch took to be stored durably.",
    ("dataset",),
    buckets=_WRITE_SECONDS,
)
FOLD_WAITING_LOGS = Gauge("marketdata_fold_waiting_logs", "Logs with commits that the derived files lack.")
FOLD_LAG_SECONDS = Gauge(
    "marketdata_fold_lag_seconds",
    "Time since the worker found the oldest commit that the derived files lack.",
)
# Unknown, except in the worker.
FOLD_WAITING_LOGS.set(nan)
FOLD_LAG_SECONDS.set(nan)

# The audit log.
AUDIT_SPOOLED_BYTES = partial(
    GaugeMetricFamily,
    "marketdata_audit_spooled_bytes",
    "Bytes of audit records that are not in the database yet.",
)
AUDIT_LAG_SECONDS = partial(
    GaugeMetricFamily,
    "marketdata_audit_lag_seconds",
    "Age of the oldest audit record that is not in the database yet.",
)
AUDIT_COLLECTED = Counter(
    "marketdata_audit_collected_records", "Audit records moved from spool files to the database."
)
AUDIT_LOST = Counter("marketdata_audit_lost_records", "Audit records that could not be written.")

# The worker.
DUTY_RUNS = Counter(
    "marketdata_duty_runs",
    "Runs of the worker's duties, by duty and outcome (done, failed).",
    ("duty", "outcome"),
)
DUTY_SECONDS = Counter("marketdata_duty_duration_seconds", "Time spent in each duty.", ("duty",))
DUTY_LAST_SUCCESS = Gauge(
    "marketdata_duty_last_success_timestamp_seconds", "Time of a duty's last success.", ("duty",)
)
WORKER_HEARTBEAT_AGE = partial(
    GaugeMetricFamily,
    "marketdata_worker_heartbeat_age_seconds",
    "Time since the worker's last heartbeat; absent if there is none.",
)

# Jobs.
JOBS_ENDED = Counter("marketdata_jobs_ended", "Jobs that have ended, by kind and state.", ("kind", "state"))

# Webhooks.
WEBHOOK_CALLS = Counter(
    "marketdata_webhook_calls", "Calls of webhooks' receivers, by outcome (delivered, failed).", ("outcome",)
)

# The live feed. `kind` is trades, quotes, status, bars, orders, alerts or portfolio.
LIVE_CONNECTIONS = Gauge("marketdata_live_connections", "Open connections of the live feed.")
LIVE_SUBSCRIPTIONS = Gauge(
    "marketdata_live_subscriptions", "Channels that clients are subscribed to, by kind.", ("kind",)
)
LIVE_MESSAGES = Counter(
    "marketdata_live_messages", "Messages of channels that were sent to clients, by kind.", ("kind",)
)
LIVE_ENDS = Counter(
    "marketdata_live_ends",
    "Connections of the live feed that have ended, by reason: left (by the client), or the code of the server's message.",
    ("reason",),
)

# Feeds: what the feed process says of each symbol.
FEED_UP = partial(
    GaugeMetricFamily,
    "marketdata_feed_up",
    "1 while a feed is live or fills a hole, 0 otherwise.",
    labels=("symbol", "source"),
)
FEED_LAG_SECONDS = partial(
    GaugeMetricFamily,
    "marketdata_feed_lag_seconds",
    "Time from a row's own time, or a bar's end, until the feed stored it.",
    labels=("symbol", "source"),
)
FEED_RECONNECTS = partial(
    CounterMetricFamily,
    "marketdata_feed_reconnects",
    "Connections of a feed after its first one.",
    labels=("symbol", "source"),
)
FEED_HOLES = partial(
    CounterMetricFamily, "marketdata_feed_holes", "How often a feed missed rows.", labels=("symbol", "source")
)
FEED_FILLED_ROWS = partial(
    CounterMetricFamily,
    "marketdata_feed_filled_rows",
    "Rows that were fetched to fill the holes of a feed.",
    labels=("symbol", "source"),
)

# Processes and the machine. `process` is `web-1`, `web-2` …, `worker`, `engine`, `jobs` or `feed`.
PROCESS_STARTS = Counter(
    "marketdata_process_starts", "Starts of the process since the service began.", ("process",)
)
PROCESS_START_TIME = Gauge(
    "marketdata_process_start_time_seconds", "Start time of a running process.", ("process",)
)
PROCESS_MEMORY = Gauge(
    "marketdata_process_resident_memory_bytes", "Resident memory of a running process.", ("process",)
)
PROCESS_OPEN_FILES = Gauge(
    "marketdata_process_open_files", "Open file descriptors of a running process.", ("process",)
)
WEB_PROCESSES_WANTED = partial(
    GaugeMetricFamily, "marketdata_web_processes_wanted", "Number of web processes that should run (WORKERS)."
)
DISK_FREE = partial(GaugeMetricFamily, "marketdata_disk_free_bytes", "Free space of the data folder's disk.")
