"""Who waits for a job's end learns of it soon, and holds no thread."""

import asyncio
from collections.abc import Collection
from functools import partial
from http.client import HTTPConnection
from threading import Thread
from time import monotonic
from uuid import UUID, uuid4

import orjson
import pytest
from django.db import DatabaseError, close_old_connections
from django.http import HttpResponse
from django.utils import timezone

from front.lanes import Lane
from front.long_polls import LongPolls
from jobs.documents import job_renewed, stopped_jobs
from jobs.models import SUCCEEDED, Job
from jobs.waiting import JobEnd, JobEnds
from ratelimit.models import ApiKey
from tests.api_client import Api
from tests.front.front_server import running
from web.requests.waiting import AnswerWait
from web.requests.wsgi_variables import ANSWER_WAIT

pytestmark = pytest.mark.system


class Ended:
    """The ends of jobs, as a test tells them."""

    def __init__(self) -> None:
        self.uuids: set[UUID] = set()
        self.asked = 0
        self.failures = 0

    async def __call__(self, uuids: Collection[UUID]) -> Collection[UUID]:
        self.asked += 1
        if self.failures:
            self.failures -= 1
            raise DatabaseError("away")
        return self.uuids.intersection(uuids)


def test_all_who_wait_learn_of_the_end_by_one_query() -> None:
    async def scene() -> None:
        ended, uuid = Ended(), uuid4()
        ends = JobEnds(ended)
        waiting = [asyncio.create_task(ends.wait(JobEnd(uuid))) for _ in range(200)]
        await asyncio.sleep(0)
        ended.uuids.add(uuid)
        await asyncio.gather(*waiting)
        assert ended.asked <= 2

    asyncio.run(scene())


def test_nobody_is_asked_for_a_job_that_nobody_waits_for() -> None:
    async def scene() -> None:
        ended = Ended()
        waiting = asyncio.create_task(JobEnds(ended).wait(JobEnd(uuid4())))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.sleep(0.2)
        assert ended.asked <= 1

    asyncio.run(scene())


def test_an_outage_of_the_database_is_waited_out() -> None:
    async def scene() -> None:
        ended, uuid = Ended(), uuid4()
        ended.failures = 1
        ended.uuids.add(uuid)
        await asyncio.wait_for(JobEnds(ended).wait(JobEnd(uuid)), 10)

    asyncio.run(scene())


def view(environ: dict[str, object]) -> HttpResponse:
    """Show the only job, and wait for its end."""
    job, seconds = Job.objects.get(), 30 if environ["PATH_INFO"] == "/job" else 0
    renewed = partial(job_renewed, job.uuid, job.owner)
    environ[ANSWER_WAIT] = AnswerWait(seconds, JobEnd(job.uuid), renewed)
    return HttpResponse(b'{"state":"queued"}', content_type="application/json", headers={"Retry-After": "1"})


def waiting() -> LongPolls:
    lane = Lane("waiting", threads=1, after=close_old_connections)
    return LongPolls(lane, {JobEnd: JobEnds(lambda uuids: lane.run(stopped_jobs, uuids)).wait})


@pytest.mark.django_db(transaction=True)
def test_the_front_sends_the_ended_job(api: Api, submit) -> None:
    job = submit(owner=f"key:{ApiKey.objects.get().pk}")
    with running(view, long_polls=waiting()) as port:
        connection = HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("GET", "/job")
        Thread(
            target=lambda: Job.objects.filter(pk=job.pk).update(state=SUCCEEDED, finished_at=timezone.now())
        ).start()
        began = monotonic()
        response = connection.getresponse()
        shown = orjson.loads(response.read())
        assert monotonic() - began < 5
        assert (response.status, shown["id"], shown["state"]) == (200, str(job.uuid), SUCCEEDED)
        assert response.headers["Retry-After"] is None
        assert response.headers["Preference-Applied"] == "wait"
        connection.close()


@pytest.mark.django_db(transaction=True)
def test_after_the_time_the_front_sends_the_job_as_it_is(api: Api, submit) -> None:
    job = submit(owner=f"key:{ApiKey.objects.get().pk}")
    Job.objects.filter(pk=job.pk).update(done=7)
    with running(view, long_polls=waiting()) as port:
        connection = HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("GET", "/briefly")
        response = connection.getresponse()
        shown = orjson.loads(response.read())
        assert (shown["state"], shown["progress"]["done"], response.headers["Retry-After"]) == (
            "queued",
            7,
            "1",
        )
        connection.close()
