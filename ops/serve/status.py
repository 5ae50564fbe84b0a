"""Publishes the state of the processes: metrics, and the worker's heartbeat."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings

from ops.metrics.declarations import (
    DUTY_LAST_SUCCESS,
    DUTY_RUNS,
    DUTY_SECONDS,
    FOLD_LAG_SECONDS,
    FOLD_WAITING_LOGS,
    REDIS_AVAILABLE,
)
from ops.metrics.process_files import Publisher
from ops.redis.connection import is_available
from store.maintained import Upkeep


def start_publishing_metrics(process: str) -> Publisher:
    """Start publishing this process's metrics, under a name such as `web-1`. The caller stops the publisher."""
    REDIS_AVAILABLE.labels(process).set_function(is_available)
    publisher = Publisher(settings.METRICS_DIR, process)
    publisher.start()
    return publisher


def publish_fold_lag(keeper: Upkeep) -> None:
    """Publish how many logs have commits that the derived files lack, and for how long."""
    FOLD_WAITING_LOGS.set_function(lambda: keeper.backlog().logs)
    FOLD_LAG_SECONDS.set_function(lambda: keeper.backlog().seconds)


@contextmanager
def counted_duty(name: str) -> Iterator[None]:
    """Count one run of a duty and its duration; an exception counts as a failure."""
    began = time.monotonic()
    DUTY_RUNS.labels(name, "failed")
    try:
        yield
    except Exception:
        DUTY_RUNS.labels(name, "failed").inc()
        raise
    else:
        DUTY_RUNS.labels(name, "done").inc()
        DUTY_LAST_SUCCESS.labels(name).set_to_current_time()
    finally:
        DUTY_SECONDS.labels(name).inc(time.monotonic() - began)


STALE_SECONDS = 10.0

logger = logging.getLogger(__name__)


class Heartbeat:
    """The worker's heartbeat: a file in the `run` folder, touched at each beat."""

    def __init__(self, run_dir: Path) -> None:
        self._path = run_dir / "worker.heartbeat"

    def beat(self) -> None:
        """Touch the file. Logs an OSError, such as a full disk."""
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._path.touch()
        except OSError as error:
            logger.warning("The worker's heartbeat cannot be written: %s", error)

    def stop(self) -> None:
        """Remove the file, at the worker's end."""
        self._path.unlink(missing_ok=True)

    def age(self, *, now: float) -> float | None:
        """Return the seconds since the last beat; None if there is no file. `now` is in epoch seconds.

        The result is negative if the clock was set back.
        """
        try:
            return now - self._path.stat().st_mtime
        except FileNotFoundError:
            return None
