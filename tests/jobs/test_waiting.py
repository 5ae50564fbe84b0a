"""Who waits for a job's end learns of it soon, and holds no thread."""

import asyncio
from collections.abc import Collection
from http.client import HTTPConnection
from threading import Thread
from time import monotonic
from uuid import UUID, uuid4

import orjson
import pytest
from django.db import DatabaseError
from django.http import HttpResponse
from django.utils import timezone

from http_requests.wsgi_variables import JOB_WAIT
from jobs.documents import ended_jobs, job_text
from jobs.models import SUCCEEDED, Job
from jobs.waiting import JobEnds, JobWait
from marketdata_project.front.waiting import AnswerWaiting
from tests.marketdata_project.front_server import connected, eventually, running


class Ended:
    """The ends of jobs, as a test tells them."""

    def __init__(self) -> None:
        self.documents: dict[UUID, bytes] = {}
        self.asked = 0
        self.failures = 0

    async def __call__(self, uuids: Collection[UUID]) -> dict[UUID, bytes]:
        self.asked += 1
        if self.failures:
            self.failures -= 1
            raise DatabaseError("away")
        return {uuid: self.documents[uuid] for uuid in uuids if uuid in self.documents}


def test_all_who_wait_learn_of_the_end_by_one_query() -> None:
    async def scene() -> None:
        ended, uuid = Ended(), uuid4()
        ends = JobEnds(ended)
        waiting = [asyncio.create_task(ends.wait(JobWait(uuid, 5))) for _ in range(200)]
        await asyncio.sleep(0)
        ended.documents[uuid] = b"{}"
        assert await asyncio.gather(*waiting) == [b"{}"] * 200
        assert ended.asked <= 2

    asyncio.run(scene())


def test_the_time_ends_the_wait() -> None:
    async def scene() -> None:
        assert await JobEnds(Ended()).wait(JobWait(uuid4(), 0)) is None

    asyncio.run(scene())


def test_an_outage_of_the_database_is_waited_out() -> None:
    async def scene() -> None:
        ended, uuid = Ended(), uuid4()
        ended.failures, ended.documents[uuid] = 2, b"{}"
        assert await JobEnds(ended).wait(JobWait(uuid, 5)) == b"{}"

    asyncio.run(scene())


def test_the_end_of_the_process_ends_all_waiting() -> None:
    async def scene() -> None:
        ends = JobEnds(Ended())
        waiting = asyncio.create_task(ends.wait(JobWait(uuid4(), 30)))
        await asyncio.sleep(0.01)
        ends.close()
        assert await waiting is None
        assert await ends.wait(JobWait(uuid4(), 30)) is None

    asyncio.run(scene())


def view(environ: dict[str, object]) -> HttpResponse:
    """Show the only job, and wait for its end."""
    environ[JOB_WAIT] = JobWait(Job.objects.get().uuid, 30 if environ["PATH_INFO"] == "/job" else 0)
    return HttpResponse(b'{"state":"queued"}', content_type="application/json", headers={"Retry-After": "1"})


@pytest.mark.django_db(transaction=True)
def test_the_front_sends_the_ended_job(submit) -> None:
    job = submit()
    with running(view, waiting=AnswerWaiting(ended_jobs, job_text)) as port:
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
def test_after_the_time_the_front_sends_the_job_as_it_is(submit) -> None:
    job = submit()
    Job.objects.filter(pk=job.pk).update(done=7)
    with running(view, waiting=AnswerWaiting(ended_jobs, job_text)) as port:
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


@pytest.mark.django_db(transaction=True)
def test_a_client_that_goes_away_leaves_nothing_behind(submit) -> None:
    submit()
    waiting: list[int] = []

    def respond(environ: dict[str, object]) -> HttpResponse:
        waiting.append(1)
        return view(environ)

    with running(respond, waiting=AnswerWaiting(ended_jobs, job_text)) as port:
        with connected(port) as connection:
            connection.sendall(b"GET /job HTTP/1.1\r\nHost: x\r\n\r\n")
            assert eventually(lambda: waiting)
        # The server can end at once: nobody waits any more.
