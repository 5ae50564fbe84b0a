"""Batches of orders over HTTP: a verdict for each, nothing twice, and what they cost."""

from decimal import Decimal
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from audit.models import AuditRecord
from jobs.models import Job
from tests.api_client import Api, answer, problem
from tests.trading.calls import COIN, ORDER, CallDesk, post, trader
from tests.trading.desks import FREE
from tests.trading.recorded import record_events
from trading.core.acceptance import accept
from trading.core.events import RiskConfigured
from trading.core.terms import Side
from trading.lease import engine_status
from trading.models import OrderRow

BATCH = "/orders/batch"
ONCE = {"Idempotency_Key": "k-1"}
# As large a batch as a test of each commit needs.
MANY = 60


@pytest.fixture
def me(desk: CallDesk) -> Api:
    return trader(rate=1_000)


def named(number: int, **terms: Any) -> dict[str, Any]:
    return {**ORDER, "client_order_id": f"c-{number}", **terms}


def batch(api: Api, orders: object, **headers: str) -> dict[str, Any]:
    """Place a batch, and return its verdicts."""
    response = post(api, BATCH, {"orders": orders}, **headers)
    assert response.status_code == 202, response.content
    found: dict[str, Any] = answer(response)["result"]
    return found


def statuses(document: dict[str, Any]) -> list[str]:
    return [item["status"] for item in document["items"]]


def wide(desk: CallDesk, **limits: Any) -> None:
    """Let the account place as many orders as the test needs."""
    config = msgspec.structs.replace(FREE, **{"orders_per_minute": 10_000, **limits})
    configured = RiskConfigured(version=2, config=config, by="test")
    record_events(desk.name, configured, at_ns=engine_status().now_ns)


class TestPlacing:
    def test_each_order_gets_a_verdict(self, desk, me):
        orders = [named(0), named(1, limit_price=None), named(2, symbol="NOBODY"), named(3, quantity=1)]
        response = post(me, BATCH, {"orders": orders})
        assert response.status_code == 202, response.content
        job = answer(response)
        assert (job["kind"], job["state"]) == ("order_batch", "succeeded")
        assert job["parameters"] == {"account": "ACC", "orders": 4}
        assert (job["progress"]["done"], job["progress"]["unit"]) == (4, "orders")
        document = job["result"]
        assert statuses(document) == ["accepted", "refused", "refused", "accepted"]
        assert [document[name] for name in ("accepted", "repeated", "refused")] == [2, 0, 2]
        errors = [item["error"] and item["error"]["code"] for item in document["items"]]
        assert errors == [None, "validation_failed", "unknown_symbol", None]
        assert document["items"][1]["error"]["errors"][0]["path"] == "limit_price"
        assert document["items"][2]["client_order_id"] == "c-2"
        assert document["event"] == desk.events
        assert {item["order_id"] for item in document["items"]} - {None} == set(desk.state.orders)
        desk.check()

    def test_its_location_has_the_verdicts(self, me):
        response = post(me, BATCH, {"orders": [named(0)]})
        assert answer(me.get(response["Location"])) == answer(response)
        assert answer(me.get("/api/v1/jobs"))["jobs"][0]["result"] is None

    def test_its_callback_gets_the_end(self, me, monkeypatch):
        written: list[dict[str, Any]] = []
        monkeypatch.setattr("jobs.claims.event_write", lambda **event: written.append(event))
        body = {"orders": [named(0)], "callback_url": "https://93.184.215.14/told"}
        document = answer(post(me, BATCH, body))
        assert document["callback_secret"].startswith("whsec_")
        assert [(each["kind"], each["callback_url"]) for each in written] == [
            ("job.succeeded", "https://93.184.215.14/told")
        ]

    def test_each_is_checked_with_those_before_it(self, desk, me):
        wide(desk, max_gross_exposure=Decimal(1))
        document = batch(me, [named(n, quantity=4) for n in range(4)])
        assert statuses(document) == ["accepted"] * 2 + ["refused"] * 2
        assert document["items"][2]["error"]["code"] == "risk_refused"

    def test_a_bracket_has_two_legs(self, desk, me):
        document = batch(me, [named(0, take_profit=110, stop_loss=90)])
        assert len(desk.state.legs_of(document["items"][0]["order_id"])) == 2

    @pytest.mark.parametrize(
        "orders", [[], "orders", [named(n) for n in range(501)]], ids=["none", "text", "501"]
    )
    def test_there_are_1_to_500(self, me, orders):
        refused = post(me, BATCH, {"orders": orders})
        assert problem(refused) == (422, "validation_failed")
        assert refused.json()["errors"][0]["path"] == "orders"

    def test_an_element_of_any_kind_is_refused_alone(self, desk, me):
        orders: list[Any] = [None, 7, [], {}, {**named(0), "colour": "red"}, named(1)]
        assert statuses(batch(me, orders)) == ["refused"] * 5 + ["accepted"]

    def test_the_engine_must_be_there(self, desk, me):
        desk.away()
        assert problem(post(me, BATCH, {"orders": [named(0)]})) == (503, "engine_unavailable")

    def test_the_call_is_recorded(self, desk, me):
        post(me, BATCH, {"orders": [named(0)]})
        record = AuditRecord.objects.latest("sequence")
        assert (record.audit_class, record.status) == ("trading", 202)

    def test_another_account_is_not_told(self, desk):
        stranger = trader(accounts=["OTHER"], rate=1_000)
        body = {"orders": [named(0)]}
        assert problem(post(stranger, f"{BATCH}?account=ACC", body)) == (404, "unknown_account")


class TestOnce:
    def test_orders_that_open_need_a_name_or_the_call_a_key(self, desk, me):
        assert problem(post(me, BATCH, {"orders": [ORDER]})) == (400, "idempotency_required")
        assert statuses(batch(me, [ORDER], **ONCE)) == ["accepted"]

    def test_a_batch_sent_again_makes_nothing_twice(self, desk, me):
        wide(desk)
        orders = [named(n, quantity=0 if n % 3 == 0 else 1) for n in range(MANY)]
        first = batch(me, orders)
        before = desk.events
        again = batch(me, orders)
        assert (first["accepted"], again["repeated"], again["refused"]) == (40, 40, 20)
        assert (desk.events, OrderRow.objects.count()) == (before, 40)
        pairs = zip(first["items"], again["items"], strict=True)
        assert all(one["order_id"] == other["order_id"] for one, other in pairs)

    def test_with_its_key_it_gets_the_first_answer(self, desk, me):
        body = {"orders": [ORDER, ORDER]}
        first, second = post(me, BATCH, body, **ONCE), post(me, BATCH, body, **ONCE)
        assert answer(first) == answer(second)
        assert second["Idempotency-Replayed"] == "true"
        assert desk.open_orders() == 2

    def test_a_name_is_used_once_in_a_batch(self, desk, me):
        document = batch(me, [named(0), named(0), named(0, quantity=7)])
        codes = [item["error"] and item["error"]["code"] for item in document["items"]]
        assert codes == [None, "client_order_id_reused", "client_order_id_reused"]

    def test_a_crash_before_the_end_leaves_nothing(self, desk, me, monkeypatch):
        before, calls = desk.events, []

        def crash(*args, **terms):
            calls.append(args)
            if len(calls) == 3:
                raise SystemExit
            return accept(*args, **terms)

        monkeypatch.setattr("trading.services.order_batches.accept", crash)
        with pytest.raises(SystemExit):
            post(me, BATCH, {"orders": [named(n) for n in range(5)]})
        monkeypatch.undo()
        assert (desk.events, OrderRow.objects.count()) == (before, 0)
        assert not Job.objects.exists()
        assert batch(me, [named(n) for n in range(5)])["accepted"] == 5


class TestCancelling:
    def test_each_cancel_gets_an_answer(self, desk, me):
        placed = batch(me, [named(n) for n in range(3)])["items"]
        ids = [item["order_id"] for item in placed]
        nobody = "0b6f2c1e-3a57-4a52-9a37-5d6b8d2f7c11"
        response = post(me, f"{BATCH}/cancel", {"orders": [ids[0], nobody, ids[2]]})
        assert response.status_code == 202
        document = answer(response)
        assert statuses(document) == ["accepted", "refused", "accepted"]
        assert document["items"][1]["error"]["code"] == "unknown_order"
        assert desk.open_orders() == 1
        again = answer(post(me, f"{BATCH}/cancel", {"orders": ids}))
        assert statuses(again) == ["repeated", "accepted", "repeated"]
        desk.print(1, 100.0)
        ended = answer(post(me, f"{BATCH}/cancel", {"orders": ids}))
        assert {item["error"]["code"] for item in ended["items"]} == {"order_not_open"}
        desk.check()

    def test_ids_are_looked_up_at_once(self, desk, me, django_assert_max_num_queries):
        """An unknown id costs no query of its own: the account is locked meanwhile."""
        nobody = [str(uuid4()) for _ in range(200)]
        with django_assert_max_num_queries(60):
            response = post(me, f"{BATCH}/cancel", {"orders": nobody})
        assert statuses(answer(response)) == ["refused"] * 200

    def test_with_its_key_it_gets_the_first_answer(self, desk, me):
        ids = [desk.order(COIN, Side.BUY, 1, client_order_id=name) for name in ("a", "b")]
        first, second = (post(me, f"{BATCH}/cancel", {"orders": ids[:1]}, **ONCE) for _ in range(2))
        assert (answer(first), second["Idempotency-Replayed"]) == (answer(second), "true")
        other = post(me, f"{BATCH}/cancel", {"orders": ids[1:]}, **ONCE)
        assert problem(other) == (422, "idempotency_key_reused")

    def test_it_works_while_the_engine_is_away(self, desk, me):
        order_id = desk.order(COIN, Side.BUY, 1, client_order_id="c")
        desk.away()
        assert statuses(answer(post(me, f"{BATCH}/cancel", {"orders": [order_id]}))) == ["accepted"]


class TestCost:
    def test_a_call_costs_a_trading_token_and_data_tokens_for_its_orders(self, desk):
        """Ten orders cost a token of the bucket `write`, which has the tokens of two seconds."""
        me = trader(rate=1)
        bodies = [{"orders": [named(n, quantity=0) for n in range(20)]}, {"orders": [named(0, quantity=0)]}]
        first = post(me, BATCH, bodies[0])
        assert (first.status_code, first["X-Cost"]) == (202, "1")
        assert problem(post(me, BATCH, bodies[1])) == (429, "rate_limited")

    def test_cancels_cost_the_same(self, desk):
        me = trader(rate=1)
        nobody = ["0b6f2c1e-3a57-4a52-9a37-5d6b8d2f7c11"] * 20
        assert post(me, f"{BATCH}/cancel", {"orders": nobody}).status_code == 202
        assert problem(post(me, f"{BATCH}/cancel", {"orders": nobody})) == (429, "rate_limited")
