"""A what-if over HTTP: the job, its result, and what is refused."""

from typing import Any
from unittest import mock

import pytest
from django.utils import timezone

from jobs.models import Job
from jobs.run import run_job
from tests.api_client import Api, answer, problem
from tests.trading.calls import COIN, CallDesk, post, trader
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
