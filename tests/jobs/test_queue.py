"""Ids of jobs go through Redis, if it takes them, and not without end."""

from uuid import uuid4

import pytest
from django_redis import get_redis_connection

from jobs import queue
from jobs.queue import broker_url, send_job


@pytest.mark.parametrize(
    ("location", "broker"),
    [
        ("redis://example:6379/1", "redis://example:6379/1"),
        ("rediss://example", "rediss://example"),
        ("unix:///run/a%20b/redis.sock?db=3", "redis+socket:///run/a b/redis.sock?virtual_host=3"),
        ("unix:///run/redis.sock", "redis+socket:///run/redis.sock?virtual_host=0"),
    ],
)
def test_a_location_of_caches_is_told_to_celery(location: str, broker: str) -> None:
    assert broker_url(location) == broker


def test_messages_that_nobody_takes_do_not_fill_redis(project_redis, settings, monkeypatch) -> None:
    application = queue._application(broker_url(settings.CACHES["default"]["LOCATION"]))
    monkeypatch.setattr(queue, "_MOST_WAITING", 2)
    monkeypatch.setattr(queue, "application", application)
    send_job(uuid4())
    send_job(uuid4())
    assert get_redis_connection("default").llen("jobs:jobs") == 2
    with pytest.raises(OSError, match="no worker takes them"):
        send_job(uuid4())


def test_without_redis_nothing_is_sent(project_redis) -> None:
    project_redis.kill()
    with pytest.raises(OSError, match="Redis does not take messages"):
        send_job(uuid4())
