"""Models and rebalances over HTTP."""

from typing import Any

import pytest
from django.utils import timezone

from jobs.models import Job
from ratelimit.models import ApiKey
from tests.api_client import Api, answer, problem
from tests.jobs.running import run_job
from tests.trading.calls import COIN, CallDesk, other_account, post, trader
from tests.trading.desks import coin, prints
from tests.trading.recorded import record_events
from trading.api.rebalances import RebalanceParameters
from trading.core.events import HaltLatched
from trading.models import OrderRow, TargetModel
from trading.services.order_batches import orders_submit

WEIGHTS = {"weights": [{"symbol": COIN, "weight": 0.25}]}


def put(api: Api, name: str = "core", body: object = None, **headers: str) -> Any:
    return post(api, f"/models/{name}", WEIGHTS if body is None else body, "PUT", **headers)


def assign(api: Api) -> None:
    put(api)
    assert post(api, "/accounts/ACC", {"model": "core"}, "PATCH").status_code == 200


class TestModels:
    def test_a_model_is_made_read_and_changed(self, me):
        coin("OTHER")
        made = put(me)
        assert (made.status_code, answer(made)["cash"]) == (200, 0.75)
        assert answer(me.get("/api/v1/models/core")) == answer(made)
        other = {"weights": [{"symbol": COIN, "weight": 0.1}, {"symbol": "other", "weight": 0.333333333}]}
        assert answer(put(me, body=other))["weights"] == [
            {"symbol": COIN, "weight": 0.1}, {"symbol": "OTHER", "weight": 0.333333333},
        ]  # fmt: skip
        assert [each["name"] for each in answer(me.get("/api/v1/models"))["models"]] == ["core"]

    def test_a_model_is_deleted_unless_it_is_assigned(self, me):
        assign(me)
        assert problem(post(me, "/models/core", None, "DELETE")) == (409, "model_in_use")
        post(me, "/accounts/ACC", {"model": None}, "PATCH")
        assert post(me, "/models/core", None, "DELETE").status_code == 204
        assert problem(me.get("/api/v1/models/core")) == (404, "unknown_model")
        assert problem(post(me, "/models/core", None, "DELETE")) == (404, "unknown_model")

    @pytest.mark.parametrize(
        ("rows", "path", "code"),
        [
            ([], "weights", "empty"),
            ([{"symbol": COIN, "weight": 0.001}] * 201, "weights", "too_many"),
            ([*WEIGHTS["weights"], {"symbol": "coin", "weight": 0.1}], "weights", "repeated"),
            ([*WEIGHTS["weights"], {"symbol": "OTHER", "weight": 0.750000001}], "weights", "out_of_range"),
            ([{"symbol": COIN, "weight": 0}], "weights[0].weight", "out_of_range"),
            ([{"symbol": COIN, "weight": -0.1}], "weights[0].weight", "out_of_range"),
            ([{"symbol": COIN, "weight": "0.1"}], "weights[0].weight", "invalid_type"),
            ([{"symbol": COIN, "weight": 1e-10}], "weights[0].weight", "too_precise"),
            ([{"symbol": COIN}], "weights[0].weight", "required"),
            ({"A": 0.5}, "weights", "invalid_type"),
            ([*WEIGHTS["weights"], {"symbol": "NOPE", "weight": 0.5}], "weights[1].symbol", "unknown_symbol"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_wrong_weights_are_refused(self, me, rows, path, code):
        coin("OTHER")
        refused = put(me, body={"weights": rows})
        assert problem(refused) == (422, "validation_failed")
        assert [(each["path"], each["code"]) for each in answer(refused)["errors"]] == [(path, code)]
        assert not TargetModel.objects.exists()

    @pytest.mark.parametrize("name", ["a b", "ä", 65 * "x"], ids=["space", "letter", "long"])
    def test_a_wrong_name_is_refused(self, me, name):
        assert answer(put(me, name))["errors"][0]["code"] == "invalid_format"
        assert problem(me.get(f"/api/v1/models/{name}")) == (404, "unknown_model")

    def test_anothers_are_not_there(self, desk, me):
        put(me)
        stranger = trader(accounts=["OTHER"])
        assert problem(stranger.get("/api/v1/models/core?account=ACC")) == (404, "unknown_account")
        assert problem(put(stranger, "core?account=ACC")) == (404, "unknown_account")

    def test_they_are_of_one_account(self, api, me):
        other_account()
        put(me)
        assert problem(api.get("/api/v1/models")) == (400, "account_required")
        assert answer(api.get("/api/v1/models?account=OTHER"))["models"] == []
        refused = post(api, "/accounts/OTHER", {"model": "core"}, "PATCH")
        assert problem(refused) == (404, "unknown_model")

    def test_an_account_names_its_model(self, desk, me):
        assert answer(me.get("/api/v1/accounts/ACC"))["model"] is None
        assign(me)
        assert answer(me.get("/api/v1/accounts/ACC"))["model"] == "core"
        desk.check()


class TestRebalances:
    def run(self, desk: CallDesk, response: Any, monkeypatch: pytest.MonkeyPatch) -> Job:
        """Run the job; the coin is printed whenever it waits."""
        assert response.status_code == 202, response.content
        job = Job.objects.get(uuid=answer(response)["id"])
        Job.objects.filter(pk=job.pk).update(not_before=timezone.now())
        seconds = iter(range(2, 100))
        # A renewal by the lease's thread would meet a transaction: of a database in memory tables are locked at once.
        monkeypatch.setattr("jobs.run._BEAT_SECONDS", 600.0)
        monkeypatch.setattr(
            "trading.api.rebalances.time.sleep", lambda _: desk.print(next(seconds), 100.0, 10**6)
        )
        run_job(job.uuid)
        job.refresh_from_db()
        return job

    @pytest.mark.django_db(transaction=True)
    def test_a_job_brings_the_account_to_its_weights(self, desk, me, monkeypatch):
        assign(me)
        response = post(me, "/accounts/ACC/rebalance", {"timeout_seconds": 60})
        job = self.run(desk, response, monkeypatch)
        assert job.state == "succeeded", job.error
        assert (job.result or {})["ended"] == "complete"
        (row,) = (job.result or {})["symbols"]
        assert (row["side"], row["filled"], row["after"]) == ("buy", 250.0, 0.25)
        order = OrderRow.objects.get()
        assert (order.client_order_id, order.strategy) == (f"rebalance:{job.uuid}:{COIN}", "core")
        # Its worker died before it could say so, and another one begins again.
        Job.objects.filter(pk=job.pk).update(state="queued")
        run_job(job.uuid)
        assert OrderRow.objects.count() == 1

    @pytest.mark.django_db(transaction=True)
    @pytest.mark.parametrize(
        ("change", "code"),
        [
            ({"revoked_at": "2025-01-01T00:00:00Z"}, "revoked_api_key"),
            ({"scopes": ["trading:read"]}, "missing_scope"),
            ({"accounts": ["OTHER"]}, "unknown_account"),
            (None, "invalid_api_key"),
        ],
        ids=["revoked", "scope", "account", "gone"],
    )
    @pytest.mark.parametrize("path", ["rebalance", "transfers"])
    def test_a_key_that_may_no_longer_trade_moves_nothing(self, desk, monkeypatch, change, code, path):
        me = trader()
        assign(me)
        response = post(me, f"/accounts/ACC/{path}", {"amount": 5} if path == "transfers" else {})
        keys = ApiKey.objects.filter(pk=Job.objects.get().created_by.removeprefix("key:"))
        before = desk.events
        keys.delete() if change is None else keys.update(**change)
        job = self.run(desk, response, monkeypatch)
        assert (job.state, (job.error or {})["code"]) == ("failed", code)
        assert desk.events == before

    @pytest.mark.django_db(transaction=True)
    def test_a_scheduled_one_needs_no_caller(self, desk, me, monkeypatch):
        assign(me)
        response = post(me, "/accounts/ACC/rebalance")
        Job.objects.update(created_by="schedule:monthly")
        assert self.run(desk, response, monkeypatch).state == "succeeded"

    @pytest.mark.django_db(transaction=True)
    def test_a_key_that_is_revoked_meanwhile_leaves_no_order(self, desk, me, monkeypatch):
        coin("OTHER")
        prints("OTHER", (0, 100.0, 50))
        put(me, body={"weights": [*WEIGHTS["weights"], {"symbol": "OTHER", "weight": 0.25}]})
        assert post(me, "/accounts/ACC", {"model": "core"}, "PATCH").status_code == 200
        response = post(me, "/accounts/ACC/rebalance")

        def submit(**terms):
            done = orders_submit(**terms)
            ApiKey.objects.update(revoked_at=timezone.now())
            return done

        monkeypatch.setattr("trading.services.rebalancing.orders_submit", submit)
        job = self.run(desk, response, monkeypatch)
        assert (job.state, (job.error or {})["code"]) == ("failed", "revoked_api_key")
        assert [row.state for row in OrderRow.objects.all()] == ["pending_cancel"] * 2

    @pytest.mark.django_db(transaction=True)
    def test_a_preview_waits_for_its_confirmation(self, desk, me, monkeypatch):
        assign(me)
        before = desk.events
        response = post(me, "/accounts/ACC/rebalance", {"preview": True, "cash_buffer": 90})
        job = self.run(desk, response, monkeypatch)
        assert (job.state, desk.events) == ("needs_confirmation", before)
        document = job.preview or {}
        assert (document["equity"], document["investable"]) == (1e5, 1e5)
        (row,) = document["symbols"]
        assert (row["weight"], row["side"], row["reason"]) == (0.25, "buy", "cash")
        # A tenth of the account, at the collar of 5 %, with the fee.
        assert row["quantity"] == pytest.approx(1e5 / 10 / 105, rel=3e-3)
        assert (row["before"], row["after"]) == (0.0, pytest.approx(row["quantity"] / 1000, abs=1e-6))
        assert post(me, f"/jobs/{job.uuid}/confirm").status_code == 200
        job = self.run(desk, response, monkeypatch)
        assert (job.state, (job.result or {})["symbols"][0]["filled"]) == ("succeeded", row["quantity"])

    def test_a_retry_with_a_key_is_the_same_job(self, me):
        assign(me)
        first, second = (post(me, "/accounts/ACC/rebalance", {}, Idempotency_Key="k") for _ in range(2))
        assert answer(first)["id"] == answer(second)["id"]

    def test_its_parameters_are_those_that_a_schedule_takes(self, me):
        assign(me)
        parameters = answer(post(me, "/accounts/ACC/rebalance", {"preview": False}))["parameters"]
        again = RebalanceParameters(data=parameters)
        assert again.is_valid(), again.errors
        assert again.validated_data == parameters

    def test_without_a_model_it_is_refused(self, me):
        assert problem(post(me, "/accounts/ACC/rebalance")) == (409, "no_model")
        assert problem(post(me, "/accounts/ACC/rebalance", {"preview": True})) == (409, "no_model")

    def test_a_stopped_account_is_refused_and_previewed(self, desk, me):
        assign(me)
        post(me, "/trading/stop")
        assert problem(post(me, "/accounts/ACC/rebalance")) == (409, "trading_stopped")
        assert post(me, "/accounts/ACC/rebalance", {"preview": True}).status_code == 202

    def test_so_is_a_halted_one(self, desk, me):
        assign(me)
        record_events("ACC", HaltLatched(reason="the log was restored", symbol=COIN), at_ns=1)
        assert problem(post(me, "/accounts/ACC/rebalance")) == (409, "trading_halted")

    def test_without_the_engine_nothing_begins(self, desk, me):
        assign(me)
        desk.away()
        assert problem(post(me, "/accounts/ACC/rebalance")) == (503, "engine_unavailable")

    def test_anothers_account_is_not_there(self, desk):
        stranger = trader(accounts=["OTHER"])
        assert problem(post(stranger, "/accounts/ACC/rebalance")) == (404, "unknown_account")

    @pytest.mark.parametrize(
        ("body", "path", "code"),
        [
            ({"minimum_trade": -1}, "minimum_trade", "out_of_range"),
            ({"cash_buffer": 101}, "cash_buffer", "out_of_range"),
            ({"minimum_trade": "1"}, "minimum_trade", "invalid_type"),
            ({"timeout_seconds": 4}, "timeout_seconds", "out_of_range"),
            ({"band": 1}, "band", "unknown_field"),
        ],
        ids=["negative", "buffer", "text", "timeout", "unknown"],
    )
    def test_a_wrong_body_is_refused(self, me, body, path, code):
        refused = post(me, "/accounts/ACC/rebalance", body)
        assert problem(refused) == (422, "validation_failed")
        assert [(each["path"], each["code"]) for each in answer(refused)["errors"]] == [(path, code)]
