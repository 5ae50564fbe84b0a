"""A what-if over HTTP: the job, its result, and what is refused."""

from typing import Any
from unittest import mock

import pytest
from django.utils import timezone

from jobs.models import Job
from jobs.run import run_job
from ratelimit.models import ApiKey
from tests.api_client import Api, answer, problem
from tests.installation import caches_clear
from tests.trading.calls import COIN, CallDesk, post, trader
from trading.api.what_ifs import WHAT_IF as KIND
from trading.core.terms import Side
from trading.what_if import stored

WHAT_IF = "/risk/what-if"


@pytest.fixture
def desk(api: Api) -> CallDesk:
    """A desk that held a coin, and a protective order that works."""
    desk = CallDesk()
    desk.buy(10)
    desk.order(COIN, Side.SELL, 10)
    desk.print(2, 101.0)
    return desk


@pytest.fixture
def reader(desk: CallDesk) -> Api:
    return trader("trading:read")


def run(reader: Api, body: dict[str, Any]) -> Any:
    response = post(reader, WHAT_IF, body)
    assert response.status_code == 202, response.content
    job = Job.objects.get(uuid=answer(response)["id"])
    Job.objects.filter(pk=job.pk).update(not_before=timezone.now())
    run_job(job.uuid)
    job.refresh_from_db()
    return job


@pytest.mark.django_db(transaction=True)
def test_it_tells_what_other_limits_would_have_refused(desk, reader):
    before = desk.events
    same = run(reader, {"config": {}})
    assert same.state == "succeeded"
    assert (same.result["is_same"], same.result["account"]) == (True, "ACC")
    job = run(reader, {"account": "ACC", "config": {"max_symbol_exposure": 0.5}})
    assert job.state == "succeeded"
    result = job.result
    assert (result["is_same"], result["counts"]["missing_trades"]) == (False, 1)
    assert [each["checks"][0]["name"] for each in result["refused"]] == ["symbol_exposure", "position"]
    assert (result["was"]["trades"], result["would_be"]["trades"]) == (1, 0)
    assert result["would_be"]["equity"] == 100_000.0
    assert result["was"]["drawdown_curve"][0]["drawdown_pct"] == 0.0
    assert desk.events == before


@pytest.mark.django_db(transaction=True)
def test_the_end_is_valued_at_the_prices_of_then(desk, reader):
    """The engine records no move of less than a tenth of a per cent."""
    desk.print(3, 101.5)
    equity = answer(reader.get("/api/v1/portfolio"))["equity"]
    figures = answer(reader.get("/api/v1/performance"))
    result = run(reader, {"config": {}}).result
    assert figures["drawdown_curve"][-1]["equity"] == equity == result["was"]["equity"]
    assert figures["return_pct"] == pytest.approx(100 * (equity / 100_000 - 1), abs=1e-6)
    assert result["would_be"]["equity"] == equity


@pytest.mark.django_db(transaction=True)
def test_another_rule_of_fills_is_taken(desk, reader):
    assert run(reader, {"config": {"fill": "touch"}}).state == "succeeded"


@pytest.mark.django_db(transaction=True)
def test_what_is_too_long_fails(desk, reader):
    with mock.patch.object(stored, "MOST_EVENTS", 2):
        job = run(reader, {"config": {}})
    assert (job.state, (job.error or {})["code"]) == ("failed", "range_too_large")


@pytest.mark.parametrize(
    ("body", "path", "code"),
    [
        ({}, "config", "required"),
        ({"config": {"latency": 5}}, "config.latency", "unknown_field"),
        ({"config": {"halt": 0}}, "config.halt", "out_of_range"),
        ({"config": {"halt": 1}}, "config.danger", "unfit"),
        ({"config": {}, "start": "soon"}, "start", "invalid_timestamp"),
        ({"config": {}, "start": "2025-01-02", "end": "2025-01-02"}, "end", "invalid_range"),
    ],
    ids=["no limits", "unknown", "too small", "contradiction", "no time", "no range"],
)
def test_a_wrong_body_is_refused(reader, body, path, code):
    refused = post(reader, WHAT_IF, body)
    assert refused.status_code == 422
    (error,) = answer(refused)["errors"]
    assert (error["path"], error["code"]) == (path, code)


def test_anothers_account_is_not_there(reader):
    assert problem(post(reader, WHAT_IF, {"account": "OTHER", "config": {}})) == (404, "unknown_account")


NARROWED = pytest.mark.parametrize(
    ("grants", "code"),
    [
        ({"scopes": ["market:read"], "sensitivity": "public", "accounts": []}, "missing_scope"),
        ({"sensitivity": "public"}, "insufficient_sensitivity"),
        ({"accounts": ["OTHER"]}, "unknown_account"),
    ],
    ids=["narrowed", "sensitivity", "account"],
)


def narrow(job: Job, grants: dict[str, Any]) -> None:
    ApiKey.objects.filter(pk=job.created_by.removeprefix("key:")).update(**grants)
    caches_clear()


@NARROWED
@pytest.mark.django_db(transaction=True)
def test_its_result_is_read_by_who_may_still_ask_for_it(desk, reader, grants, code):
    job = run(reader, {"config": {}})
    path = f"/api/v1/jobs/{job.uuid}"
    assert answer(reader.get(path))["result"]["account"] == "ACC"
    narrow(job, grants)
    assert problem(reader.get(path)) == (404, "not_found")
    assert answer(reader.get("/api/v1/jobs"))["total_estimate"] == 0


@NARROWED
@pytest.mark.django_db(transaction=True)
def test_one_that_waits_is_not_run_for_who_may_not_ask_for_it_any_more(desk, reader, grants, code):
    job = Job.objects.get(uuid=answer(post(reader, WHAT_IF, {"config": {}}))["id"])
    narrow(job, grants)
    run_job(job.uuid)
    job.refresh_from_db()
    assert (job.state, (job.error or {})["code"], job.result) == ("failed", code, None)


def test_a_caller_may_not_let_any_number_wait(desk, reader):
    """Nor does its own repeated call need room, nor is another caller refused."""
    asked = [post(reader, WHAT_IF, {"config": {}}, Idempotency_Key=str(number)) for number in range(21)]
    assert KIND.most_unfinished == 20
    assert {each.status_code for each in asked[:-1]} == {202}
    assert problem(asked[-1]) == (409, "too_many_jobs")
    assert len({answer(each)["id"] for each in asked[:-1]}) == 20
    again = post(reader, WHAT_IF, {"config": {}}, Idempotency_Key="0")
    assert (again.status_code, answer(again)["id"]) == (202, answer(asked[0])["id"])
    assert post(trader("trading:read"), WHAT_IF, {"config": {}}).status_code == 202
    assert reader.call("POST", f"/api/v1/jobs/{answer(asked[0])['id']}/cancel").status_code == 200
    assert post(reader, WHAT_IF, {"config": {}}, Idempotency_Key="20").status_code == 202
