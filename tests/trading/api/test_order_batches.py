"""Batches of orders over HTTP: an answer for each, all or none where asked, nothing twice, and what they cost."""

from typing import Any
from uuid import uuid4

import msgspec
import pytest
from django.db import connection

from audit.models import AuditRecord
from tests.api_client import Api, answer, problem
from tests.trading.calls import COIN, ORDER, CallDesk, amount, post, trader
from tests.trading.desks import FREE
from trading.core.events import RiskConfigured
from trading.core.terms import Side
from trading.journal import open_journal
from trading.lease import engine_status
from trading.models import OrderRow
from trading.services import order_batches

BATCH = "/orders/batch"
ONCE = {"Idempotency_Key": "k-1"}
# As large a batch as a test of each commit needs.
MANY = 60


@pytest.fixture
def desk(api: Api) -> CallDesk:
    return CallDesk()


@pytest.fixture
def me(desk: CallDesk) -> Api:
    return trader(rate=1_000)


def named(number: int, **terms: Any) -> dict[str, Any]:
    return {**ORDER, "client_order_id": f"c-{number}", **terms}


def statuses(document: dict[str, Any]) -> list[str]:
    return [item["status"] for item in document["items"]]


def wide(desk: CallDesk, **limits: Any) -> None:
    """Let the account place as many orders as the test needs."""
    config = msgspec.structs.replace(FREE, **{"orders_per_minute": 10_000, **limits})
    with open_journal(desk.name) as journal:
        journal.record(RiskConfigured(version=2, config=config, by="test"), at_ns=engine_status().now_ns)


class TestPlacing:
    def test_each_order_gets_an_answer(self, desk, me):
        orders = [named(0), named(1, limit_price=None), named(2, symbol="NOBODY"), named(3, quantity=1)]
        response = post(me, BATCH, {"orders": orders})
        assert response.status_code == 200, response.content
        document = answer(response)
        assert statuses(document) == ["accepted", "refused", "refused", "accepted"]
        assert [document[name] for name in ("accepted", "repeated", "refused")] == [2, 0, 2]
        errors = [item["error"] and item["error"]["code"] for item in document["items"]]
        assert errors == [None, "validation_failed", "unknown_symbol", None]
        assert document["items"][1]["error"]["errors"][0]["path"] == "limit_price"
        assert document["items"][2]["client_order_id"] == "c-2"
        assert document["event"] == desk.events == int(response["X-Account-Event"])
        assert {item["order_id"] for item in document["items"]} - {None} == set(desk.state.orders)
        assert (document["cost"], document["worst_cost"], document["fee"]) == (297.297, 297.297, 0.297)
        desk.check()

    def test_each_is_checked_with_those_before_it(self, desk, me):
        wide(desk, max_gross_exposure=amount("1"))
        document = answer(post(me, BATCH, {"orders": [named(n, quantity=4) for n in range(4)]}))
        assert statuses(document) == ["accepted"] * 2 + ["refused"] * 2
        assert document["items"][2]["error"]["code"] == "risk_refused"
        assert document["gross_after"] == 99 * 8

    def test_together_none_is_accepted_if_one_is_refused(self, desk, me):
        before = desk.events
        orders = [named(0), named(1, quantity=0)]
        response = post(me, BATCH, {"orders": orders, "together": True}, **ONCE)
        assert problem(response) == (422, "orders_refused")
        assert [item["index"] for item in response.json()["items"]] == [1]
        assert (desk.events, desk.open_orders()) == (before, 0)
        # A refused batch left nothing: the same key serves the corrected one.
        fixed = {"orders": [named(0), named(1)], "together": True}
        assert statuses(answer(post(me, BATCH, fixed, Idempotency_Key="k-2"))) == ["accepted"] * 2

    def test_a_preview_does_nothing(self, desk, me):
        before = desk.events
        body = {"orders": [named(0), named(1, quantity=0)], "preview": True}
        document = answer(post(me, BATCH, body))
        assert (document["preview"], document["event"], desk.events) == (True, before, before)
        assert statuses(document) == ["accepted", "refused"]
        assert document["items"][0]["order_id"] is None
        assert document["equity"] == 100_000

    def test_a_bracket_has_two_legs(self, desk, me):
        document = answer(post(me, BATCH, {"orders": [named(0, take_profit=110, stop_loss=90)]}))
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
        assert statuses(answer(post(me, BATCH, {"orders": orders}))) == ["refused"] * 5 + ["accepted"]

    def test_the_engine_must_be_there(self, desk, me):
        desk.away()
        assert problem(post(me, BATCH, {"orders": [named(0)]})) == (503, "engine_unavailable")

    def test_the_call_is_recorded(self, desk, me):
        post(me, BATCH, {"orders": [named(0)]})
        record = AuditRecord.objects.latest("sequence")
        assert (record.audit_class, record.status) == ("trading", 200)

    def test_another_account_is_not_told(self, desk):
        stranger = trader(accounts=["OTHER"], rate=1_000)
        body = {"orders": [named(0)]}
        assert problem(post(stranger, f"{BATCH}?account=ACC", body)) == (404, "unknown_account")


class TestOnce:
    def test_orders_that_open_need_a_name_or_the_call_a_key(self, desk, me):
        assert problem(post(me, BATCH, {"orders": [ORDER]})) == (400, "idempotency_required")
        assert statuses(answer(post(me, BATCH, {"orders": [ORDER]}, **ONCE))) == ["accepted"]

    def test_a_batch_sent_again_makes_nothing_twice(self, desk, me):
        wide(desk)
        orders = [named(n, quantity=0 if n % 3 == 0 else 1) for n in range(MANY)]
        first = answer(post(me, BATCH, {"orders": orders}))
        before = desk.events
        again = answer(post(me, BATCH, {"orders": orders}))
        assert (first["accepted"], again["repeated"], again["refused"]) == (40, 40, 20)
        assert (desk.events, OrderRow.objects.count()) == (before, 40)
        pairs = zip(first["items"], again["items"], strict=True)
        assert all(one["order_id"] == other["order_id"] for one, other in pairs)

    def test_it_is_decided_before_the_transaction(self, desk, me, monkeypatch):
        """On SQLite a transaction that writes makes all others wait. A repeated call is not decided at all."""
        decide, blocks = order_batches.OrderBatch.decide, []

        def seen(batch, order, view):
            blocks.append(len(connection.atomic_blocks))
            decide(batch, order, view)

        monkeypatch.setattr(order_batches.OrderBatch, "decide", seen)
        outside = len(connection.atomic_blocks)
        for headers in (ONCE, ONCE, {}):
            assert post(me, BATCH, {"orders": [named(len(headers))]}, **headers).status_code == 200
        assert blocks == [outside] * 2

    def test_with_its_key_it_gets_the_first_answer(self, desk, me):
        body = {"orders": [ORDER, ORDER]}
        first, second = post(me, BATCH, body, **ONCE), post(me, BATCH, body, **ONCE)
        assert answer(first) == answer(second)
        assert second["Idempotency-Replayed"] == "true"
        assert desk.open_orders() == 2

    def test_a_name_is_used_once_in_a_batch(self, desk, me):
        document = answer(post(me, BATCH, {"orders": [named(0), named(0), named(0, quantity=7)]}))
        codes = [item["error"] and item["error"]["code"] for item in document["items"]]
        assert codes == [None, "client_order_id_reused", "client_order_id_reused"]

    def test_a_crash_before_the_end_leaves_nothing(self, desk, me, monkeypatch):
        before, recorded = desk.events, []

        def record(journal, event, *, at_ns):
            recorded.append(event)
            if len(recorded) == 3:
                raise SystemExit

        monkeypatch.setattr("trading.journal.Journal.record", record)
        with pytest.raises(SystemExit):
            post(me, BATCH, {"orders": [named(n) for n in range(5)]})
        monkeypatch.undo()
        assert (desk.events, OrderRow.objects.count()) == (before, 0)
        assert answer(post(me, BATCH, {"orders": [named(n) for n in range(5)]}))["accepted"] == 5

    def test_an_account_that_changes_meanwhile_is_asked_again(self, desk, me, monkeypatch):
        """A batch is decided before the account is locked; here another order comes in between."""
        decide = order_batches.OrderBatch.decide
        numbers: list[int] = []

        def slow(batch, order, view):
            decide(batch, order, view)
            if not numbers:
                desk.order(COIN, Side.BUY, 1, client_order_id="c-1")
            numbers.append(batch.number)

        monkeypatch.setattr(order_batches.OrderBatch, "decide", slow)
        document = answer(post(me, BATCH, {"orders": [named(0), named(1)]}))
        assert numbers[0] == numbers[1] < numbers[2] == numbers[3]
        assert statuses(document) == ["accepted", "refused"]
        desk.check()


class TestCancelling:
    def test_each_cancel_gets_an_answer(self, desk, me):
        placed = answer(post(me, BATCH, {"orders": [named(n) for n in range(3)]}))["items"]
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
        assert (first.status_code, first["X-Cost"]) == (200, "1")
        assert problem(post(me, BATCH, bodies[1])) == (429, "rate_limited")

    def test_cancels_cost_the_same(self, desk):
        me = trader(rate=1)
        nobody = ["0b6f2c1e-3a57-4a52-9a37-5d6b8d2f7c11"] * 20
        assert post(me, f"{BATCH}/cancel", {"orders": nobody}).status_code == 202
        assert problem(post(me, f"{BATCH}/cancel", {"orders": nobody})) == (429, "rate_limited")
