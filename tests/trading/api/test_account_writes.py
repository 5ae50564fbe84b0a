"""Accounts over HTTP: opened, set up, paid into, started, stopped; their limits, overrides and halts."""

from typing import Any

import pytest
from django.db import OperationalError
from django.utils import timezone

from jobs.models import Job
from tests.api_client import Api, answer, problem
from tests.jobs.running import run_job
from tests.trading.calls import COIN, ORDER, CallDesk, other_account, post, trader
from tests.trading.recorded import record_events
from trading.core.events import HaltLatched
from trading.models import Account

NEW = {"id": "NEW", "kind": "margin", "currency": "EUR"}


@pytest.fixture
def officer(desk: CallDesk) -> Api:
    return trader("trading:read", "risk:write")


class TestAccounts:
    def test_a_new_account_is_stopped_and_empty(self, api):
        response = post(api, "/accounts", NEW)
        assert response.status_code == 201, response.content
        document = answer(response)
        assert (document["id"], document["kind"], document["currency"], document["cash"]) == (
            "NEW", "margin", "EUR", 0.0,
        )  # fmt: skip
        assert response["X-Account-Event"] == str(document["event"])
        assert answer(api.get("/api/v1/status"))["status"] == "stopped"

    def test_its_id_is_its_own(self, api):
        post(api, "/accounts", NEW)
        assert problem(post(api, "/accounts", NEW)) == (409, "account_exists")

    def test_a_retry_with_a_key_gets_the_first_answer(self, api):
        first, second = (post(api, "/accounts", NEW, Idempotency_Key="k") for _ in range(2))
        assert (second.status_code, answer(second)) == (201, answer(first))

    def test_who_opens_it_must_own_it(self, desk, officer, me):
        assert problem(post(officer, "/accounts", NEW)) == (403, "forbidden")
        assert problem(post(me, "/accounts", NEW)) == (403, "missing_scope")
        assert not Account.objects.filter(name="NEW").exists()

    @pytest.mark.parametrize(
        ("field", "value", "code"),
        [
            ("id", "-x", "invalid_format"),
            ("id", "", "invalid_text"),
            ("kind", "wild", "invalid_choice"),
            ("currency", "XXX", "invalid_choice"),
            ("colour", "red", "unknown_field"),
        ],
    )
    def test_a_wrong_body_is_refused(self, api, field, value, code):
        refused = post(api, "/accounts", {**NEW, field: value})
        assert problem(refused) == (422, "validation_failed")
        assert answer(refused)["errors"][0]["code"] == code

    def test_preferences_change_one_by_one(self, desk, me):
        assert post(me, "/accounts/ACC", {"name": "Momentum"}, "PATCH").status_code == 200
        document = answer(post(me, "/accounts/ACC", {"heartbeat_seconds": 30}, "PATCH"))
        assert (document["name"], document["heartbeat_seconds"]) == ("Momentum", 30)
        assert (
            answer(post(me, "/accounts/ACC", {"heartbeat_seconds": None}, "PATCH"))["heartbeat_seconds"]
            is None
        )

    def test_a_heartbeat_is_noted(self, desk, me):
        response = post(me, "/accounts/ACC/heartbeat")
        assert (response.status_code, response.content) == (204, b"")
        assert desk.account.heartbeat_ns is not None
        assert problem(post(me, "/accounts/OTHER/heartbeat")) == (404, "unknown_account")


class TestTransfers:
    def run(self, response: Any) -> Job:
        assert response.status_code == 202, response.content
        job = Job.objects.get(uuid=answer(response)["id"])
        Job.objects.filter(pk=job.pk).update(not_before=timezone.now())
        run_job(job.uuid)
        job.refresh_from_db()
        return job

    @pytest.mark.django_db(transaction=True)
    def test_a_job_moves_the_money_once(self, desk, me):
        response = post(me, "/accounts/ACC/transfers", {"amount": 250.5})
        job = self.run(response)
        assert (job.state, job.result) == (
            "succeeded",
            {"account": "ACC", "transfer": str(job.uuid), "amount": 250.5},
        )
        assert str(desk.state.cash) == "100250.500000"
        # Its worker died before it could say so, and another one begins again.
        Job.objects.filter(pk=job.pk).update(state="queued")
        run_job(job.uuid)
        assert str(desk.state.cash) == "100250.500000"

    def test_what_is_not_there_is_refused_before_the_job(self, desk, me):
        refused = post(me, "/accounts/ACC/transfers", {"amount": -100_001})
        assert problem(refused) == (422, "invalid_transfer")
        assert not Job.objects.exists()

    @pytest.mark.django_db(transaction=True)
    def test_what_is_no_longer_there_is_not_paid_out(self, desk, me):
        first, second = (post(me, "/accounts/ACC/transfers", {"amount": -60_000}) for _ in range(2))
        assert self.run(first).state == "succeeded"
        job = self.run(second)
        assert (job.state, (job.error or {})["code"]) == ("failed", "invalid_transfer")

    @pytest.mark.django_db(transaction=True)
    def test_a_retry_after_the_money_has_gone_is_the_same_job(self, desk, me):
        paid = {"amount": -60_000}
        first = post(me, "/accounts/ACC/transfers", paid, Idempotency_Key="k")
        assert self.run(first).state == "succeeded"
        again = post(me, "/accounts/ACC/transfers", paid, Idempotency_Key="k")
        assert answer(again)["id"] == answer(first)["id"]

    @pytest.mark.parametrize(
        ("amount", "code"),
        [(0, "out_of_range"), (1e13, "out_of_range"), ("5", "invalid_type"), (0.0000001, "too_precise")],
    )
    def test_a_wrong_amount_is_refused(self, desk, me, amount, code):
        refused = post(me, "/accounts/ACC/transfers", {"amount": amount})
        assert answer(refused)["errors"][0]["code"] == code

    def test_anothers_account_is_not_there(self, desk, me):
        other_account()
        assert problem(post(me, "/accounts/OTHER/transfers", {"amount": 5})) == (404, "unknown_account")


class TestStartAndStop:
    def test_a_stop_cancels_and_closes(self, desk, me):
        desk.buy(3)
        post(me, "/orders", ORDER, Idempotency_Key="k")
        document = answer(post(me, "/trading/stop?reason=enough"))
        assert (document["status"], document["accounts"][0]["account"]) == ("stopping", "ACC")
        for second in (5, 6, 7):
            desk.print(second, 100.0)
        assert answer(me.get("/api/v1/status"))["status"] == "stopped"
        assert not desk.state.positions
        assert not desk.state.orders

    def test_it_may_be_repeated(self, desk, me):
        desk.buy()
        post(me, "/trading/stop")
        before = desk.events
        assert answer(post(me, "/trading/stop"))["status"] == "stopping"
        assert desk.events == before

    def test_it_needs_no_body_and_ignores_one(self, desk, me):
        response = me.call("POST", "/api/v1/trading/stop", b"{", content_type="text/nonsense")
        assert response.status_code == 200

    def test_it_needs_no_engine(self, desk, me):
        desk.buy()
        desk.away()
        assert answer(post(me, "/trading/stop"))["status"] == "stopping"

    def test_a_risk_officer_may_stop_and_not_start(self, desk, officer):
        assert post(officer, "/trading/stop").status_code == 200
        assert problem(post(officer, "/trading/start")) == (403, "missing_scope")

    def test_without_an_account_all_are_stopped(self, desk, api):
        other_account()
        document = answer(post(api, "/trading/stop"))
        assert [each["account"] for each in document["accounts"]] == ["ACC", "OTHER"]
        assert document["status"] == "stopping"
        assert answer(post(api, "/trading/stop?account=OTHER"))["account"] == "OTHER"

    def test_one_that_cannot_be_stopped_does_not_keep_the_others(self, desk, api, monkeypatch):
        def stop(*, account: Account, **noted: Any) -> None:
            if account.name == "ACC":
                raise OperationalError("database is locked")
            stopped.append(account.name)

        other_account()
        stopped: list[str] = []
        monkeypatch.setattr("trading.services.accounts.trading_stop", stop)
        assert problem(post(api, "/trading/stop")) == (503, "database_unavailable")
        assert stopped == ["OTHER"]

    def test_anothers_is_not_there(self, desk):
        stranger = trader(accounts=["OTHER"])
        assert problem(post(stranger, "/trading/stop")) == (404, "unknown_account")
        assert problem(post(stranger, "/trading/stop?account=ACC")) == (404, "unknown_account")

    def test_a_start_is_answered_with_the_status(self, desk, me):
        post(me, "/trading/stop")
        desk.run()
        desk.keep_alive()
        for _ in range(2):
            assert answer(post(me, "/trading/start"))["status"] == "running"
        assert desk.names().count("trading_started") == 2

    def test_without_the_engine_nothing_is_started(self, desk, me):
        desk.away()
        assert problem(post(me, "/trading/start")) == (503, "engine_unavailable")

    def test_a_halted_account_is_not_started(self, desk, me, officer):
        halt(desk)
        assert problem(post(me, "/trading/start")) == (409, "trading_halted")
        assert problem(post(me, "/orders", ORDER, Idempotency_Key="k")) == (409, "trading_halted")
        released = post(officer, "/risk/override", {"release_halt": True, "reason": "looked at it"})
        assert (released.status_code, answer(released)["halt"]) == (200, None)
        assert post(me, "/orders", ORDER, Idempotency_Key="k").status_code == 201


def halt(desk: CallDesk) -> None:
    record_events("ACC", HaltLatched(reason="the log was restored", symbol=COIN), at_ns=1)


class TestOverride:
    LOWER = {"risk_level": 0.1, "until": "2030-01-01T00:00:00Z", "reason": "earnings"}

    def test_the_risk_level_changes_until_then(self, desk, officer):
        response = post(officer, "/risk/override", self.LOWER)
        document = answer(response)
        assert (document["risk_level"], document["override"]["reason"]) == (0.1, "earnings")
        assert response["X-Account-Event"] == str(desk.events)

    def test_or_until_it_is_ended(self, desk, officer):
        post(officer, "/risk/override", self.LOWER)
        document = answer(post(officer, "/risk/override", {"end": True, "reason": "calm again"}))
        assert (document["override"], document["risk_level"]) == (None, 0.3)

    def test_it_raises_at_most_to_the_configured_maximum(self, desk, officer):
        refused = post(officer, "/risk/override", {**self.LOWER, "risk_level": 1.01})
        assert problem(refused) == (422, "override_too_high")

    @pytest.mark.parametrize(
        ("body", "path", "code"),
        [
            ({"reason": "x"}, "", "unfit"),
            ({"end": True, "release_halt": True, "reason": "x"}, "", "unfit"),
            ({**LOWER, "end": True}, "", "unfit"),
            ({"risk_level": 0.1, "reason": "x"}, "until", "required"),
            ({**LOWER, "until": "2020-01-01"}, "until", "out_of_range"),
            ({**LOWER, "until": "soon"}, "until", "invalid_timestamp"),
            ({**LOWER, "reason": ""}, "reason", "invalid_text"),
            ({"end": True}, "reason", "required"),
        ],
    )
    def test_it_says_one_thing_and_why(self, officer, body, path, code):
        refused = post(officer, "/risk/override", body)
        assert problem(refused) == (422, "validation_failed")
        assert [(each["path"], each["code"]) for each in answer(refused)["errors"]] == [(path, code)]


class TestLimits:
    @pytest.fixture
    def config(self, officer) -> dict[str, Any]:
        found: dict[str, Any] = answer(officer.get("/api/v1/config"))["config"]
        return found

    def test_who_has_read_them_may_change_them(self, desk, officer, config):
        tag = officer.get("/api/v1/config")["ETag"]
        response = post(officer, "/config/risk", {**config, "daily_loss": 2}, "PUT", If_Match=tag)
        assert response.status_code == 200, response.content
        assert (answer(response)["version"], answer(response)["config"]["daily_loss"]) == (2, 2.0)
        assert response["ETag"] == '"risk-2"'
        stale = post(officer, "/config/risk", config, "PUT", If_Match=tag)
        assert problem(stale) == (412, "risk_version_changed")

    def test_who_has_not_may_not(self, officer, config):
        assert problem(post(officer, "/config/risk", config, "PUT")) == (428, "precondition_required")
        for tag in ('W/"risk-1"', "risk-1", '"other"'):
            refused = post(officer, "/config/risk", config, "PUT", If_Match=tag)
            assert problem(refused) == (412, "risk_version_changed")

    @pytest.mark.parametrize(
        ("change", "path", "code"),
        [
            ({"collar": ...}, "collar", "required"),
            ({"risk_level": 2}, "risk_level", "unfit"),
            ({"caution": 7}, "caution", "unfit"),
            ({"collar": 0}, "collar", "out_of_range"),
            ({"latency_ms": 0.5}, "latency_ms", "invalid_type"),
            ({"fill": "never"}, "fill", "invalid_choice"),
            ({"max_loss": 1}, "max_loss", "unknown_field"),
        ],
    )
    def test_they_are_validated_whole(self, officer, config, change, path, code):
        wrong = {name: value for name, value in {**config, **change}.items() if value is not ...}
        refused = post(officer, "/config/risk", wrong, "PUT", If_Match="*")
        assert problem(refused) == (422, "validation_failed")
        assert [(each["path"], each["code"]) for each in answer(refused)["errors"]] == [(path, code)]
        assert answer(officer.get("/api/v1/config"))["version"] == 1
