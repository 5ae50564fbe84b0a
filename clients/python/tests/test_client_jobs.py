"""Jobs: submitted, watched, awaited."""

import asyncio
from itertools import islice

import pytest
from client_server import document

from marketdata_client import AsyncClient, Client, ConfirmationNeeded, JobFailed, NotFound, jobs

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("client")]


def job(state: str, **members: object) -> bytes:
    return document({"id": "a-1", "state": state, **members})


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "_SHORTEST_PAUSE_SECONDS", 0.01)


def test_a_job_is_polled_each_second_at_first_and_every_ten_seconds_later(monkeypatch):
    monkeypatch.undo()
    first, *later = islice(jobs.pauses(), 60)
    assert [first, *later[:9]] == [1.0] * 10
    assert sorted(later) == later
    assert later[-1] == 10.0


def test_a_jobs_states_are_shown_until_its_result(scripted):
    server = scripted(
        job("queued"),
        job("running", progress={"done": 3, "total": 10, "unit": "rows"}),
        job("succeeded", result={"rows": 10}),
    )
    states: list[str] = []
    with Client(server.url, "md_x") as client:
        result = client.wait("a-1", on_progress=lambda found: states.append(found["state"]))
    assert result == {"rows": 10}
    assert states == ["queued", "running", "succeeded"]


def test_a_bar_is_shown_and_the_async_client_waits_too(scripted, capsys):
    server = scripted(job("running", progress={"done": 1, "total": 2}), job("succeeded", result=1))

    async def wait() -> object:
        async with AsyncClient(server.url, "md_x") as client:
            return await client.wait("a-1")

    assert asyncio.run(wait()) == 1
    assert "succeeded" in capsys.readouterr().out


def test_a_job_that_failed_is_raised_with_its_problem(scripted):
    server = scripted(job("failed", error={"code": "worker_lost", "message": "the worker died"}))
    with Client(server.url, "md_x") as client, pytest.raises(JobFailed, match="worker_lost") as caught:
        client.wait("a-1", on_progress=lambda _: None)
    assert caught.value.message == "the worker died"


def test_a_job_that_asks_is_raised_with_its_preview_and_confirmed(scripted):
    preview = {"dataset": "trades"}
    server = scripted(
        job("running"),
        job("needs_confirmation", preview=preview),
        job("queued"),
        job("succeeded", result={"stored": 1}),
    )
    with Client(server.url, "md_x") as client:
        with pytest.raises(ConfirmationNeeded, match="a-1 needs confirmation") as asked:
            client.wait("a-1", on_progress=lambda _: None)
        assert (asked.value.job_id, asked.value.preview) == ("a-1", preview)
        assert client.confirm(asked.value.job_id, on_progress=lambda _: None) == {"stored": 1}
    assert server.received[2].startswith(b"POST /api/v1/jobs/a-1/confirm ")


def test_an_unknown_job_of_a_real_server_is_not_found(client: Client):
    with pytest.raises(NotFound):
        client.job("5f0c1b52-6a37-4a0e-9d0b-0c8d9c5f1f11")
