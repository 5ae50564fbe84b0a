"""The Celery application. It carries the ids of jobs from the database to the workers, and nothing else.

Settings: a message may be lost at any moment and is then sent again by `jobs.relay`, so no acknowledgement, result or
event is kept; a Redis that is full, frozen or absent is noticed within two seconds.
"""

import logging
import os
import time
import warnings
from collections.abc import Mapping
from threading import Thread
from urllib.parse import unquote, urlsplit
from uuid import UUID

# Read when Celery is imported. Otherwise it would replace the process's title.
os.environ["NOSETPS"] = "1"

from celery import Celery
from celery.exceptions import SecurityWarning
from celery.signals import worker_shutting_down
from django.conf import settings
from django.db import close_old_connections
from django_redis import get_redis_connection
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from jobs.kinds import JOB_KINDS
from jobs.models import FAILED, Job
from jobs.run import WORKER_IS_ENDING, run_job, running_give_back
from ops.metrics.declarations import JOBS_ENDED
from web.correlation import correlated
from web.tracing import span

logger = logging.getLogger(__name__)

# All keys have a prefix of their own, beside the keys of the cache and the limits in the same Redis.
_PREFIX, _QUEUE, _TASK = "jobs:", "jobs", "run_job"
# Messages that are sent again and again must not fill Redis while no worker runs.
_MOST_WAITING = 1_000
_PATIENCE_SECONDS = 5.0
# Seconds. Senders give up fast, because they try again; a worker's connection waits for messages.
_SEND_TIMEOUT, _RECEIVE_TIMEOUT = 1, 5
_NO_RETRIES = {"max_retries": 1, "interval_start": 0, "interval_step": 0.1, "interval_max": 0.1}


def broker_url(location: str) -> str:
    """Return a location of CACHES (redis://, rediss:// or unix://) in Celery's form."""
    parts = urlsplit(location)
    if parts.scheme != "unix":
        return location
    number = dict(item.split("=", 1) for item in parts.query.split("&") if "=" in item).get("db", "0")
    return f"redis+socket://{unquote(parts.path)}?virtual_host={number}"


def _application(broker: str) -> Celery:
    application = Celery("marketdata", broker=broker, set_as_current=False)
    application.conf.update(
        task_default_queue=_QUEUE,
        task_ignore_result=True,
        accept_content=["json"],
        task_acks_late=False,
        task_publish_retry=False,
        worker_prefetch_multiplier=1,
        worker_send_task_events=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_enable_remote_control=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={**_transport(_SEND_TIMEOUT), **_NO_RETRIES},
        enable_utc=True,
        timezone="UTC",
    )
    return application


def _transport(timeout: int) -> Mapping[str, object]:
    return {"socket_timeout": timeout, "socket_connect_timeout": timeout, "global_keyprefix": _PREFIX}


application = _application(broker_url(settings.REDIS_LOCATION))


@application.task(name=_TASK)  # type: ignore[untyped-decorator]  # not typed
def _run(uuid: str) -> None:
    """Run a job, with its request's correlation id in the log. A job that is lost here is sent again."""
    close_old_connections()
    try:
        job = Job.objects.filter(uuid=uuid).only("correlation_id", "kind").first()
        with (
            correlated(job.correlation_id if job else ""),
            span(f"job {job.kind if job else uuid}", "consumer"),
        ):
            run_job(UUID(uuid))
    finally:
        close_old_connections()


def send_job(uuid: UUID) -> None:
    """Send a job's id to the workers. Raises OSError if Redis cannot be used, or if no worker takes the messages."""
    try:
        if get_redis_connection("default").llen(f"{_PREFIX}{_QUEUE}") >= _MOST_WAITING:
            raise ConnectionError(f"{_MOST_WAITING} messages wait in Redis: no worker takes them")
        application.send_task(_TASK, (str(uuid),))
    except (OperationalError, RedisError) as error:
        raise ConnectionError(f"Redis does not take messages: {error}") from error


def run_worker(*, threads: int) -> None:
    """Run jobs in `threads` threads of this process, until SIGTERM."""
    # Each counter is exported as 0 before the first failure, so that monitoring sees the first one as an increase.
    for kind in JOB_KINDS.get():
        JOBS_ENDED.add(kind, FAILED, amount=0)
    # Otherwise each SIGTERM would wait for all running jobs to end.
    worker_shutting_down.connect(_stop_jobs, weak=False)
    application.conf.broker_transport_options = dict(_transport(_RECEIVE_TIMEOUT))
    # Celery warns a superuser of pickled messages. Only JSON is taken here.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    application.worker_main(
        [
            "--quiet",
            "worker",
            *("--pool", "threads", "--concurrency", str(threads), "--queues", _QUEUE),
            *("--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "WARNING"),
        ]
    )


def _stop_jobs(**_: object) -> None:
    """End the running jobs at their next check; after _PATIENCE_SECONDS give them back and end the process."""
    WORKER_IS_ENDING.set()
    Thread(target=_end_later, daemon=True).start()


def _end_later() -> None:
    # A function may wait for another host. Celery's pool of threads would wait for it.
    time.sleep(_PATIENCE_SECONDS)
    try:
        running_give_back()
    finally:
        os._exit(0)
