"""Backtests over HTTP: the job, its result, the list, and what is refused."""

import random
from io import StringIO
from pathlib import Path
from typing import Any

import msgspec
import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from jobs.models import Job
from jobs.services import job_submit
from ratelimit.models import ApiKey
from store.datasets import TRADES
from store.expiring import expire, planned
from store.instruments import FUTURE, Instrument
from store.timestamps import MINUTE_NS, parse_timestamp
from tests.api_client import Api, answer, problem
from tests.installation import caches_clear
from tests.jobs.running import run_job
from tests.store.builders import batch, trade
from tests.store_settings import IS_OF_FILES, stores_at
from tests.trading.calls import post, trader
from tests.trading.strategies.past import random_market
from trades.stores import market_store
from trading.api import backtests
from trading.api.backtest_inputs import BacktestInput
from trading.documents.figures import BacktestDocument
from trading.strategies.catalogue import SHIPPED, parameters_of
from trading.strategies.outcome import document_bytes

pytestmark = pytest.mark.skipif(not IS_OF_FILES, reason="backtests read files")
BACKTESTS = "/backtests"
END = parse_timestamp("2025-01-07")
BODY = {
    "strategy": "crossover",
    "symbols": ["a-usd"],
    "start": "2025-01-06",
    "end": "2025-01-06T04:00:00Z",
    "parameters": {"fast": 3, "slow": 8},
    "config": {"latency_ms": 100},
    "fee_basis_points": 2.5,
    "as_of": "2100-01-01",
}
_OPTION = {"start": "--from", "end": "--to", "as_of": "--as-of"}
COMMAND = (
    *("crossover", "A-USD", "--from", "2025-01-06", "--to", "2025-01-06T04:00:00Z", "--json"),
    *("--set", "fast=3", "slow=8", "--limit", "latency_ms=100", "--fee", "2.5", "--as-of", "2100-01-01"),
)


@pytest.fixture
def reader(api: Api) -> Api:
    return trader("trading:read")


@pytest.fixture
def market_path(api: Api, tmp_path: Path, settings: Any) -> Path:
    """The folder of a store that a test makes."""
    settings.DATA_DIR = tmp_path / "data"
    settings.MARKET_STORES = stores_at(settings.DATA_DIR)
    path: Path = settings.DATA_DIR
    return path


@pytest.fixture
def past(market_path: Path) -> None:
    random_market(market_path, random.Random(7), minutes=240)


def run(reader: Api, body: dict[str, Any]) -> Job:
    response = post(reader, BACKTESTS, body)
    assert response.status_code == 202, response.content
    job = Job.objects.get(uuid=answer(response)["id"])
    Job.objects.filter(pk=job.pk).update(not_before=timezone.now())
    run_job(job.uuid)
    job.refresh_from_db()
    return job


@pytest.mark.django_db(transaction=True)
def test_the_result_is_what_the_command_prints(past: None, reader: Api):
    job = run(reader, BODY)
    assert (job.state, job.done, job.total) == ("succeeded", 100, 100), job.error
    assert job.result is not None
    assert job.result["performance"]["trades"] > 3
    # Equal if each member is declared, and has its type.
    assert msgspec.convert(job.result, BacktestDocument).as_json() == job.result
    printed = StringIO()
    call_command("backtest", *COMMAND, stdout=printed)
    assert document_bytes(job.result).decode() == printed.getvalue().strip()
    shown = answer(reader.get(f"/api/v1/backtests/{job.uuid}"))
    assert (shown["state"], shown["result"]) == ("succeeded", job.result)
    [row] = answer(reader.get("/api/v1/backtests"))["backtests"]
    assert (row["id"], row["symbols"], row["start"]) == (str(job.uuid), ["A-USD"], "2025-01-06")
    assert row["progress_pct"] == 100
    assert row["figures"] == {name: job.result["performance"][name] for name in row["figures"]}


@pytest.mark.django_db(transaction=True)
def test_what_bars_knew_is_told(past: None, reader: Api):
    then, now = (run(reader, {**BODY, "knowledge": knowledge}).result for knowledge in ("then", "now"))
    assert then is not None
    assert now is not None
    assert then["assumptions"][0] != now["assumptions"][0]
    assert then["assumptions"][1:] == now["assumptions"][1:]


@pytest.mark.django_db(transaction=True)
def test_the_inputs_of_a_result_are_a_body(past: None, reader: Api):
    first = run(reader, {name: value for name, value in BODY.items() if name not in {"as_of", "end"}}).result
    assert first is not None
    assert run(reader, first["inputs"]).result == first


def test_the_strategies_are_listed_with_what_they_can_be_told(reader: Api):
    listed = answer(reader.get("/api/v1/strategies"))["strategies"]
    assert [each["name"] for each in listed] == [*SHIPPED]
    crossover = listed[0]
    assert crossover["description"].startswith("Buys when the fast mean")
    fast = crossover["parameters"]["properties"]["fast"]
    assert (fast["minimum"], fast["maximum"], fast["default"]) == (1, 5_000, 10)
    for each in listed:
        properties = each["parameters"]["properties"]
        defaults = {name: schema["default"] for name, schema in properties.items()}
        assert parameters_of(SHIPPED[each["name"]], defaults) == SHIPPED[each["name"]].Parameters()


def test_a_caller_sees_its_own_backtests_only(past: None, reader: Api):
    own = Job.objects.get(uuid=answer(post(reader, BACKTESTS, BODY))["id"])
    now = timezone.now()
    no_backtest = job_submit(kind="markets", parameters={}, owner=own.owner, created_by="test", now=now)
    of_another = job_submit(kind="backtest", parameters={}, owner="key:0", created_by="test", now=now)
    for uuid in (no_backtest.uuid, of_another.uuid, "no-uuid"):
        assert problem(reader.get(f"/api/v1/backtests/{uuid}")) == (404, "not_found")
    [row] = answer(reader.get("/api/v1/backtests"))["backtests"]
    assert (row["id"], row["state"], row["figures"]) == (str(own.uuid), "queued", None)


def test_a_backtest_is_read_by_who_may_still_ask_for_it(past: None, reader: Api):
    uuid = answer(post(reader, BACKTESTS, BODY))["id"]
    keys = ApiKey.objects.filter(pk=Job.objects.get(uuid=uuid).created_by.removeprefix("key:"))
    narrowed: dict[str, Any] = {"scopes": ["market:read"], "sensitivity": "public", "accounts": []}
    enough = {**narrowed, "scopes": ["trading:read"], "sensitivity": "confidential"}
    for is_visible, grants in enumerate([narrowed, enough]):
        keys.update(**grants)
        caches_clear()
        response = reader.get(f"/api/v1/jobs/{uuid}")
        assert response.status_code == 200 if is_visible else problem(response) == (404, "not_found")
        assert answer(reader.get("/api/v1/jobs"))["total_estimate"] == is_visible
    assert answer(reader.get("/api/v1/backtests"))["total_estimate"] == 1


@pytest.mark.parametrize(
    ("changes", "path", "code"),
    [
        ({"strategy": "martingale"}, "strategy", "invalid_choice"),
        ({"strategy": "trading/strategies/crossover.py:Crossover"}, "strategy", "invalid_choice"),
        ({"strategy": "trading.strategies.crossover.Crossover"}, "strategy", "invalid_choice"),
        ({"symbols": []}, "symbols", "out_of_range"),
        ({"symbols": ["é"]}, "symbols", "invalid_symbol"),
        ({"start": "soon"}, "start", "invalid_timestamp"),
        ({"end": "2025-01-06"}, "end", "invalid_range"),
        ({"end": "2055-01-06"}, "end", "out_of_range"),
        ({"parameters": []}, "parameters", "invalid_type"),
        ({"parameters": {"fast": 0}}, "parameters.fast", "unfit"),
        ({"parameters": {"quick": 1}}, "parameters.quick", "unfit"),
        ({"parameters": {"part": "NaN"}}, "parameters.part", "unfit"),
        ({"parameters": {"quantity": 1_000_000_000_001}}, "parameters.quantity", "unfit"),
        ({"parameters": {"fast": 9, "slow": 3}}, "parameters", "unfit"),
        ({"parameters": {"interval": "7min"}}, "parameters", "unfit"),
        ({"as_of": "then"}, "as_of", "invalid_timestamp"),
        ({"config": {"latency": 5}}, "config.latency", "unknown_field"),
        ({"config": {"danger": 3, "halt": 2}}, "config.danger", "unfit"),
        ({"config": {"caution": 3, "halt": 2}}, "config.caution", "unfit"),
        ({"risk": "account", "config": {"halt": 1}}, "config.danger", "unfit"),
        ({"risk": "some"}, "risk", "invalid_choice"),
        ({"cash": 0}, "cash", "out_of_range"),
        ({"seed": 1}, "seed", "unknown_field"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
def test_a_wrong_body_is_refused_at_the_call(reader: Api, changes: dict[str, Any], path: str, code: str):
    refused = post(reader, BACKTESTS, {**BODY, **changes})
    assert refused.status_code == 422, refused.content
    [error] = answer(refused)["errors"]
    assert (error["path"], error["code"]) == (path, code)


def test_without_a_period_it_is_of_all_that_is_stored(past: None, reader: Api, time_machine: Any):
    """The rows of 240 minutes are imported, long after they happened: it ends with the last bar."""
    time_machine.move_to("2027-01-06T03:30:00.5Z", tick=False)
    body = {name: value for name, value in BODY.items() if name not in {"start", "end", "as_of"}}
    parameters = answer(post(reader, BACKTESTS, body))["parameters"]
    assert (parameters["start"], parameters["end"]) == ("2025-01-06T00:00:00Z", "2025-01-06T04:01:00Z")
    assert parameters["as_of"] == "2027-01-06T03:30:00.5Z"


@pytest.mark.django_db(transaction=True)
def test_expired_dates_are_refused_and_those_after_them_are_run(past: None, reader: Api):
    store = market_store()
    store.append(batch(*(trade(END + minute * MINUTE_NS) for minute in range(60)), symbol="A-USD"))
    expire(store, planned(store, TRADES, "A-USD", END))
    job = run(reader, BODY)
    assert (job.state, (job.error or {})["code"]) == ("failed", "expired")
    assert "the trades of A-USD before 2025-01-07 have expired" in (job.error or {})["message"]
    left = run(reader, {name: value for name, value in BODY.items() if name not in {"start", "end"}})
    assert (left.state, left.parameters["start"]) == ("succeeded", "2025-01-07T00:00:00Z"), left.error


def test_too_many_rows_are_refused(past: None, reader: Api, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(BacktestInput, "most_rows", 10)
    refused = post(reader, BACKTESTS, BODY)
    assert problem(refused) == (422, "validation_failed")
    [error] = answer(refused)["errors"]
    assert (error["path"], error["code"]) == ("end", "out_of_range")
    assert "rows are too many: at most 10" in error["message"]


@pytest.mark.django_db(transaction=True)
def test_one_that_takes_too_long_fails(past: None, reader: Api, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(backtests, "MOST_SECONDS", -1.0)
    job = Job.objects.get(uuid=answer(post(reader, BACKTESTS, BODY))["id"])
    run_job(job.uuid)
    job.refresh_from_db()
    assert (job.state, (job.error or {})["code"]) == ("failed", "range_too_large")


@pytest.mark.parametrize(
    ("changes", "codes"),
    [
        ({"symbols": ["A-USD", "NOPE"]}, ["unknown_symbol"]),
        ({"symbols": ["NOPE"], "start": None, "end": None}, ["unknown_symbol"]),
        ({"symbols": ["DECLARED"], "start": None}, ["no_data"]),
        ({"symbols": ["DECLARED", "A-USD"]}, ["no_data"]),
        ({"start": "2025-01-05", "end": "2025-01-06", "symbols": ["B-USD", "C-USD"]}, ["no_data", "no_data"]),
        ({"symbols": ["A-USD", "FUTURE"]}, ["not_tradable"]),
    ],
    ids=["unknown", "no-period", "no-rows", "one-without-rows", "other-days", "not-traded"],
)
def test_symbols_that_it_cannot_have_are_refused(
    past: None, reader: Api, changes: dict[str, Any], codes: list[str]
):
    for each in (Instrument("DECLARED"), Instrument("FUTURE", instrument_class=FUTURE)):
        market_store().set_instrument(each)
    body = {name: value for name, value in {**BODY, **changes}.items() if value is not None}
    refused = post(reader, BACKTESTS, body)
    assert refused.status_code == 422, refused.content
    errors = answer(refused)["errors"]
    assert [(each["path"], each["code"]) for each in errors] == [("symbols", code) for code in codes]
    options = [item for name in _OPTION if name in body for item in (_OPTION[name], body[name])]
    with pytest.raises(CommandError) as said:
        call_command("backtest", body["strategy"], *body["symbols"], *options)
    assert str(said.value).splitlines() == [f"SYMBOL: {each['message']}" for each in errors]


@pytest.mark.parametrize(
    ("option", "line"),
    [
        ("--set=fast=x", "--set fast: crossover: Expected `int`, got `str` - at `$.fast`"),
        ("--limit=danger=x", "--limit danger: must be a number"),
        ("--limit=latency=1", "--limit latency: is not a field"),
        ("--cash=0", "--cash: must be above 0"),
        ("--currency=XXX", "--currency: must be one of"),
        ("--fee=much", "--fee: must be a number"),
        ("--from=soon", "--from: not an ISO 8601"),
        ("--to=2025-01-06", "--to: must be later than start"),
        ("--set=fast", "fast: give NAME=VALUE"),
    ],
    ids=lambda value: value.split("=")[0] if value.startswith("--") and "=" in value else "",
)
def test_the_command_refuses_what_the_call_refuses(past: None, option: str, line: str):
    with pytest.raises(CommandError) as said:
        call_command("backtest", "crossover", "A-USD", "--from=2025-01-06", option)
    assert str(said.value).startswith(line)


def test_who_may_not_read_accounts_may_run_none(api: Api):
    assert problem(post(trader("market:read"), BACKTESTS, BODY)) == (403, "missing_scope")
