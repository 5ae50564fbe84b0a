"""What the processes of an installation publish of themselves."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

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
        FOLD_WAITING_LOGS.follow(lambda: keeper.behind().logs)
        FOLD_LAG_SECONDS.follow(lambda: keeper.behind().seconds)


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
