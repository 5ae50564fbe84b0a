"""Callers see their own jobs, and cancel them."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from jobs.documents import jobs_of
from jobs.kinds import NOBODY_SUBMITS
from jobs.models import CANCELLED, Job
from jobs.services import jobs_delete_old
from ratelimit.credentials.people import caller_of_person
from ratelimit.keys.services import key_rotate
from ratelimit.models import ApiKey
from tests.api_client import Api, answer, make_key, problem
from tests.installation import caches_clear
from tests.jobs.running import run_job
from tests.ratelimit.credentials.logins import person
from trading.api.account_view import ACCOUNT_READ
from web.endpoints import ANY_CALLER, Access

JOBS = "/api/v1/jobs"


@pytest.fixture
def own(api: Api, submit) -> Any:
    """Submit a job of the caller's."""
    owner = f"key:{ApiKey.objects.get().pk}"
    return lambda *function, **options: submit(*function, **{"owner": owner, **options})


def test_a_job_is_shown_from_its_beginning_to_its_end(api: Api, own) -> None:
    job = own(parameters={"upto": 2})
    queued = api.get(f"{JOBS}/{job.uuid}")
    assert queued.status_code == 200
    assert (queued["Retry-After"], queued["Cache-Control"]) == ("1", "no-store")
    shown = answer(queued)
    assert (shown["state"], shown["kind"], shown["attempts"]) == ("queued", "count", 0)
    assert shown["links"] == {"self": f"{JOBS}/{job.uuid}", "cancel": f"{JOBS}/{job.uuid}/cancel"}
    run_job(job.uuid)
    ended = api.get(f"{JOBS}/{job.uuid}")
    assert "Retry-After" not in ended
    shown = answer(ended)
    assert (shown["state"], shown["result"], shown["error"]) == ("succeeded", {"counted": 2}, None)
    assert shown["progress"] == {"done": 2, "total": 2, "unit": "steps"}
    assert shown["links"] == {"self": f"{JOBS}/{job.uuid}"}


def test_a_failed_job_shows_its_problem(api: Api, own) -> None:
    def work(_: Any) -> Any:
        raise ZeroDivisionError

    job = own(work, attempts=1)
    run_job(job.uuid)
    shown = answer(api.get(f"{JOBS}/{job.uuid}"))
    assert (shown["state"], shown["error"]["code"], shown["result"]) == ("failed", "internal_error", None)


@pytest.mark.parametrize("text", ["5f0c1b52-6a37-4a0e-9d0b-0c8d9c5f1f11", "x", "%00"])
def test_an_unknown_job_is_404(api: Api, text: str) -> None:
    response = api.get(f"{JOBS}/{text}")
    assert (response.status_code, answer(response)["code"]) == (404, "not_found")


def test_another_callers_job_is_404(api: Api, submit) -> None:
    job = submit(owner="key:999")
    for response in (api.get(f"{JOBS}/{job.uuid}"), api.call("POST", f"{JOBS}/{job.uuid}/cancel")):
        assert (response.status_code, answer(response)["code"]) == (404, "not_found")
    assert answer(api.get(JOBS))["jobs"] == []
    assert Job.objects.get().state == "queued"


@pytest.mark.parametrize(
    ("owner", "profile", "is_visible"),
    [
        ("mine", {}, True),
        ("user:0", {}, False),
        ("", {"scopes": ["keys:admin"]}, True),
        ("mine", {"sensitivity": "public"}, False),
    ],
    ids=["own key", "another's key", "administrator", "not cleared"],
)
def test_a_person_sees_the_jobs_of_the_keys_that_the_person_sees(
    db, submit, owner: str, profile: Any, is_visible: bool
) -> None:
    somebody = person(
        **{"scopes": ["trading:read"], "sensitivity": "confidential", "accounts": ["*"], **profile}
    )
    make_key()
    first, now = ApiKey.objects.get(), timezone.now()
    first.owner = f"user:{somebody.pk}" if owner == "mine" else owner
    first.save()
    key_rotate(key=first, overlap=timedelta(), now=now, actor="test")
    submit(owner=f"key:{first.pk}", access=Access(ANY_CALLER, sensitivity="confidential"))
    caller = caller_of_person(somebody, credential="session", now=now)
    assert caller is not None
    assert len(jobs_of(caller)) == is_visible


def test_any_scope_sees_its_jobs_and_nobody_without_a_key(api: Api) -> None:
    assert Api(make_key(scopes=("audit:read",))).get(JOBS).status_code == 200
    assert Api(None).get(JOBS).status_code == 401


def narrow(**grants: Any) -> None:
    """Change what the only key is granted."""
    ApiKey.objects.update(**grants)
    caches_clear()


SECRET = {"access": ACCOUNT_READ, "account_parameter": "account"}


@pytest.mark.parametrize(
    ("grants", "is_visible"),
    [
        ({"scopes": ["market:read"]}, False),
        ({"sensitivity": "internal"}, False),
        ({"accounts": ["B"]}, False),
        ({"accounts": []}, False),
        ({"scopes": ["trading:read"], "accounts": ["A"]}, True),
    ],
    ids=["scope", "sensitivity", "another-account", "no-account", "enough"],
)
def test_a_job_is_seen_as_long_as_it_may_be_submitted(api: Api, own, grants: Any, is_visible: bool) -> None:
    job = own(parameters={"account": "A"}, **SECRET)
    narrow(**grants)
    listed = answer(api.get(JOBS))
    assert (len(listed["jobs"]), listed["total_estimate"]) == (is_visible, is_visible)
    for response in (api.get(f"{JOBS}/{job.uuid}"), api.call("POST", f"{JOBS}/{job.uuid}/cancel")):
        assert response.status_code == 200 if is_visible else problem(response) == (404, "not_found")
    assert Job.objects.get().state == ("cancelled" if is_visible else "queued")


def test_jobs_of_a_kind_that_no_call_submits_are_seen_by_nobody(api: Api, own) -> None:
    assert problem(api.get(f"{JOBS}/{own(access=NOBODY_SUBMITS).uuid}")) == (404, "not_found")


def test_pages_leave_out_what_the_caller_may_not_see(api: Api, own) -> None:
    jobs = [str(own(parameters={"account": name}, **SECRET).uuid) for name in "AABABA"]
    narrow(accounts=["A"])
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = answer(api.get(JOBS, {"limit": 3, **cursor}))
        assert page["total_estimate"] == 4
        seen += [job["id"] for job in page["jobs"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert seen == [jobs[number] for number in (5, 3, 1, 0)]


def test_the_list_has_pages_and_a_filter(api: Api, own) -> None:
    jobs = [str(own().uuid) for _ in range(3)]
    run_job(Job.objects.first().uuid)  # type: ignore[union-attr]
    first = answer(api.get(JOBS, {"limit": 2}))
    assert [job["id"] for job in first["jobs"]] == jobs[:0:-1]
    assert first["total_estimate"] == 3
    second = answer(api.get(JOBS, {"limit": 2, "cursor": first["next_cursor"]}))
    assert [job["id"] for job in second["jobs"]] == jobs[:1]
    ended = answer(api.get(JOBS, {"state": "succeeded"}))
    assert [job["id"] for job in ended["jobs"]] == jobs[:1]
    assert len(answer(api.get(JOBS, {"kind": "count"}))["jobs"]) == 3
    assert answer(api.get(JOBS, {"kind": "export"}))["jobs"] == []
    assert len(answer(api.get(JOBS, {"kind": "export,count"}))["jobs"]) == 3
    assert api.get(JOBS, {"state": "done"}).status_code == 400
    assert api.get(JOBS, {"stat": "queued"}).status_code == 400


def test_a_cancelled_job_says_so(api: Api, own) -> None:
    job = own()
    response = api.call("POST", f"{JOBS}/{job.uuid}/cancel")
    assert response.status_code == 200
    assert answer(response)["state"] == CANCELLED
    assert api.call("POST", f"{JOBS}/{job.uuid}/cancel").status_code == 200


def test_a_preferred_wait_is_ignored(api: Api, own) -> None:
    response = api.get(f"{JOBS}/{own().uuid}", Prefer="wait=5")
    assert answer(response)["state"] == "queued"
    assert response["Retry-After"] == "1"
    assert "Preference-Applied" not in response


def test_ended_jobs_are_deleted_after_their_time(own, settings) -> None:
    settings.JOB_RETENTION_DAYS = 30
    run_job(own().uuid)
    own()
    jobs_delete_old(now=timezone.now() + timedelta(days=29))
    assert Job.objects.count() == 2
    jobs_delete_old(now=timezone.now() + timedelta(days=31))
    assert [job.state for job in Job.objects.all()] == ["queued"]


def test_an_owner_keeps_its_newest_ended_jobs(own, monkeypatch) -> None:
    monkeypatch.setattr("jobs.services.MOST_ENDED", 2)
    waiting, *ended = [own() for _ in range(4)]
    other = own()
    Job.objects.filter(pk=other.pk).update(owner="key:0")
    Job.objects.filter(pk=waiting.pk).update(not_before=timezone.now() + timedelta(hours=1))
    # The owners take turns.
    for job in (ended[0], other, ended[1], ended[2]):
        run_job(job.uuid)
    jobs_delete_old(now=timezone.now())
    assert set(Job.objects.values_list("pk", flat=True)) == {waiting.pk, ended[1].pk, ended[2].pk, other.pk}


def test_a_list_has_no_large_results(api: Api, own) -> None:
    for is_large in (False, True):
        job = own(parameters={"upto": 1}, is_result_large=is_large)
        run_job(job.uuid)
        with CaptureQueriesContext(connection) as queries:
            [listed] = answer(api.get(JOBS))["jobs"]
        assert not any('"note"' in query["sql"] for query in queries)
        alone = answer(api.get(f"{JOBS}/{job.uuid}"))
        assert alone["result"] == {"counted": 1}
        assert listed == alone | ({"result": None} if is_large else {})
        Job.objects.all().delete()
