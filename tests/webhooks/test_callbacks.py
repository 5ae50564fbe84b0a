"""The ends of jobs: events, and the callback that a submission asks for."""

from typing import Any

import orjson
import pytest
from django.utils import timezone

from jobs.exceptions import ConfirmationNeeded
from jobs.kinds import Run
from jobs.models import Job
from jobs.services import job_cancel, job_confirm
from ratelimit.models import ApiKey
from tests.api_client import Api, answer
from tests.jobs.conftest import submit, threads_close_their_connections, use_kinds  # noqa: F401 fixtures
from tests.jobs.running import run_job
from tests.ops.outbound.hostile_server import says
from tests.webhooks.conftest import HOOKS, received, send, subscribe
from webhooks.models import DELIVERED, FAILED, Delivery, Webhook, WebhookEvent

BACKFILLS = "/api/v1/backfills"


@pytest.fixture
def own(api: Api, submit) -> Any:  # noqa: F811
    owner = f"key:{ApiKey.objects.get().pk}"
    return lambda *function, **options: submit(*function, **{"owner": owner, **options})


def test_webhooks_are_told_of_the_ends_of_ones_own_jobs(api: Api, own, receiver) -> None:
    server = receiver()
    hook = subscribe(api, server.url, "job.succeeded", "job.failed", "job.cancelled")

    def fail(_: Any) -> Any:
        raise ZeroDivisionError

    run_job(own().uuid)
    job_cancel(uuid=own().uuid, now=timezone.now())
    run_job(own(fail, attempts=1).uuid)
    run_job(own(owner="key:999").uuid)
    send()
    events = received(server, hook["secret"])
    assert {each["type"] for each in events} == {"job.succeeded", "job.cancelled", "job.failed"}
    data = next(each["data"] for each in events if each["type"] == "job.succeeded")
    job = Job.objects.get(uuid=data["id"])
    assert (data["state"], data["kind"], data["links"]) == (
        "succeeded",
        "count",
        {"self": f"/api/v1/jobs/{job.uuid}"},
    )


def test_a_202_has_the_secret_with_which_its_callback_is_signed(api: Api, receiver, settings) -> None:
    server = receiver()
    body = orjson.dumps(
        {
            "symbol": "GEN",
            "start": "2025-01-02",
            "end": "2025-01-03",
            "callback_url": f"{server.url}/done?j=1",
        }
    )
    submitted, again = (api.call("POST", BACKFILLS, body, Idempotency_Key="1") for _ in range(2))
    assert submitted.status_code == 202
    document = answer(submitted)
    assert document == answer(again)
    job = Job.objects.get()
    assert "callback_url" not in document["parameters"]
    assert "callback_secret" not in answer(api.get(f"/api/v1/jobs/{job.uuid}"))
    job_cancel(uuid=job.uuid, now=timezone.now())
    # The secret outlives SECRET_KEY's rotation.
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "another", [settings.SECRET_KEY]
    send()
    (event,) = received(server, document["callback_secret"])
    assert (event["type"], event["data"]["id"]) == ("job.cancelled", document["id"])
    assert server.calls[0][0] == "/done?j=1"
    assert answer(api.get(HOOKS))["webhooks"] == []


def test_a_callback_is_told_of_the_question_and_of_the_end(api: Api, own, receiver) -> None:
    def ask(run: Run) -> Any:
        if not run.is_confirmed:
            raise ConfirmationNeeded({"rows": []})
        return {}

    server = receiver()
    subscribe(api, server.url, "job.needs_confirmation")
    job = own(ask, callback_url=f"{server.url}/callback")
    run_job(job.uuid)
    job_confirm(uuid=job.uuid, now=timezone.now())
    run_job(job.uuid)
    send()
    assert sorted(path for path, *_ in server.calls) == ["/", "/callback", "/callback"]
    events = received(server)
    assert {each["type"] for each in events} == {"job.needs_confirmation", "job.succeeded"}
    asked = next(each["data"] for each in events if each["type"] == "job.needs_confirmation")
    assert (asked["state"], asked["finished_at"]) == ("needs_confirmation", None)


def test_callbacks_of_one_origin_fail_together_and_end_one_by_one(api: Api, own, receiver) -> None:
    server = receiver(says(b"", 410))
    for number in range(10):
        job = own(callback_url=f"{server.url}/{number}")
        run_job(job.uuid)
    send()
    assert Webhook.objects.count() == 1
    assert Webhook.objects.get().state == "active"
    # As many as are called at a time.
    assert Delivery.objects.filter(state=FAILED).count() == len(server.calls) <= 4


def test_a_key_that_was_revoked_gets_no_callback(api: Api, own, receiver) -> None:
    server = receiver()
    run_job(own(callback_url=server.url).uuid)
    ApiKey.objects.update(revoked_at=timezone.now())
    send()
    assert (server.calls, Delivery.objects.get().state) == ([], FAILED)


def test_the_end_and_its_event_are_one_transaction(api: Api, own, receiver, monkeypatch) -> None:
    subscribe(api, receiver().url)

    def fail(**_: Any) -> None:
        raise RuntimeError("the database is away")

    monkeypatch.setattr("jobs.claims.event_write", fail)
    job = own()
    with pytest.raises(RuntimeError):
        run_job(job.uuid)
    assert Job.objects.get().state == "running"
    assert not WebhookEvent.objects.exists()
    assert DELIVERED not in Delivery.objects.values_list("state", flat=True)
