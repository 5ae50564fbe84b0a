"""What the processes of an installation publish of themselves."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings

from metrics.declarations import (
    DUTY_LAST_SUCCESS,
    DUTY_RUNS,
    DUTY_SECONDS,
    FOLD_LAG_SECONDS,
    FOLD_WAITING_LOGS,
    REDIS_AVAILABLE,
)
from metrics.process_files import Publisher
from redis_calls.connection import is_available
from store.maintained import Upkeep


def metrics_published(process: str) -> Publisher:
    """The publisher of this process, `web-1` or `worker`, at work; it is to be stopped at the end."""
    REDIS_AVAILABLE.follow(is_available)
    publisher = Publisher(settings.METRICS_DIR, process)
    publisher.start()
    return publisher


def follow_fold(keeper: Upkeep | None) -> None:
    """From now on export how far the derived files are behind."""
    if keeper is not None:
        FOLD_WAITING_LOGS.follow(lambda: keeper.backlog().logs)
        FOLD_LAG_SECONDS.follow(lambda: keeper.backlog().seconds)


@contextmanager
def counted_duty(name: str) -> Iterator[None]:
    """Count one run of a duty, which fails with an exception."""
    began = time.monotonic()
    DUTY_RUNS.add(name, "failed", amount=0)
    try:
        yield
    except Exception:
        DUTY_RUNS.add(name, "failed")
        raise
    else:
        DUTY_RUNS.add(name, "done")
        DUTY_LAST_SUCCESS.set(time.time(), name)
    finally:
        DUTY_SECONDS.add(name, amount=time.monotonic() - began)


STALE_SECONDS = 10.0

logger = logging.getLogger(__name__)


class Heartbeat:
    """The sign of life of the worker of one installation, in its `run` folder."""

    def __init__(self, run_dir: Path) -> None:
        self._path = run_dir / "worker.heartbeat"

    def beat(self) -> None:
        """Say that the worker lives; a full disk does not end the worker."""
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._path.touch()
        except OSError as error:
            logger.warning("No sign of life could be left: %s", error)

    def stop(self) -> None:
        """Say that the worker ended."""
        self._path.unlink(missing_ok=True)

    def age(self, *, now: float) -> float | None:
        """Seconds since the last sign (epoch seconds `now`), negative if the clock went back.

        None if there is none.
        """
        try:
            return now - self._path.stat().st_mtime
        except FileNotFoundError:
            return None
