"""Orders over HTTP: placed once, replaced, cancelled, refused with a reason."""

import time
from decimal import Decimal
from typing import Any

import pytest
import time_machine

from audit.models import AuditRecord
from ratelimit.models import ApiKey
from store.datasets import CORPORATE_ACTIONS
from store.exceptions import LogAheadOfClock
from store.instruments import Instrument
from tests.api_client import Api, answer, problem
from tests.trading.calls import COIN, ORDER, other_account, post, trader
from tests.trading.desks import at_ns, stored
from trades.stores import market_store
from trading.models import Account, OrderRow
from trading.services.accounts import account_transfer, trading_start

ONCE = {"Idempotency_Key": "k-1"}


class TestPlacing:
    def test_an_order_is_accepted(self, desk, me):
        response = post(me, "/orders", ORDER, **ONCE)
        assert response.status_code == 201, response.content
        document = answer(response)
        assert (document["status"], document["limit_price"], document["account"]) == ("accepted", 99.0, "ACC")
        assert response["X-Account-Event"] == str(document["event"]) == str(desk.events)
        assert response["Cache-Control"] == "no-store"
        assert desk.find(document["id"]).by.startswith("key:")

    def test_the_account_may_be_in_the_path_or_the_query(self, desk, me):
        for number, path in enumerate(("/orders?account=ACC", "/accounts/ACC/orders")):
            order = {**ORDER, "client_order_id": f"c-{number}"}
            assert post(me, path, order).status_code == 201

    def test_a_bracket_has_two_legs(self, desk, me):
        bracket = {**ORDER, "take_profit": 110, "stop_loss": 90, "strategy": "momentum"}
        document = answer(post(me, "/orders", bracket, **ONCE))
        legs = desk.state.legs_of(document["id"])
        assert [leg.terms.strategy for leg in legs] == ["momentum"] * 2

    def test_the_call_is_recorded_with_its_body(self, desk, me):
        response = post(me, "/orders", ORDER, **ONCE)
        record = AuditRecord.objects.latest("sequence")
        assert (record.audit_class, record.status) == ("trading", 201)
        assert record.correlation_id == response["X-Correlation-ID"]
        assert '"quantity":2' in record.detail

    def test_orders_are_taken_while_the_log_is_ahead_of_the_clock_and_filled_by_its_next_rows(self, desk, me):
        with time_machine.travel(time.time() + 3600):
            desk.print(1, 100.0)
        response = post(me, "/orders", {**ORDER, "type": "market", "limit_price": None}, **ONCE)
        assert response.status_code == 201, response.content
        with pytest.raises(LogAheadOfClock):
            desk.print(2, 100.0)
        with time_machine.travel(time.time() + 3600):
            desk.print(2, 100.0)
        assert desk.find(answer(response)["id"]).state.value == "filled"


class TestOnce:
    def test_an_opening_order_needs_a_key(self, desk, me):
        assert problem(post(me, "/orders", ORDER)) == (400, "idempotency_required")
        assert desk.open_orders() == 0

    def test_one_that_only_reduces_needs_none(self, desk, me):
        desk.buy()
        order = {"symbol": COIN, "side": "sell", "quantity": 1, "time_in_force": "gtc", "reduce_only": True}
        assert post(me, "/orders", order).status_code == 201

    def test_a_retry_with_its_key_gets_the_first_answer(self, desk, me):
        first, second = post(me, "/orders", ORDER, **ONCE), post(me, "/orders", ORDER, **ONCE)
        assert (second.status_code, answer(second)) == (201, answer(first))
        assert second["Idempotency-Replayed"] == "true"
        assert second["X-Account-Event"] == first["X-Account-Event"]
        assert desk.open_orders() == 1

    def test_another_path_of_the_endpoint_is_the_same_call(self, desk, me):
        first = answer(post(me, "/orders", ORDER, **ONCE))
        assert answer(post(me, "/accounts/ACC/orders", ORDER, **ONCE))["id"] == first["id"]

    def test_each_account_gets_its_order(self, desk, api):
        other_account()
        account_transfer(name="OTHER", transfer="t-1", amount=Decimal(1000))
        trading_start(account=Account.objects.get(name="OTHER"), by="test")
        first, second = (
            answer(post(api, f"/orders?account={name}", ORDER, **ONCE)) for name in ("ACC", "OTHER")
        )
        assert (first["account"], second["account"]) == ("ACC", "OTHER")
        assert first["id"] != second["id"]

    def test_a_key_is_of_one_body(self, desk, me):
        post(me, "/orders", ORDER, **ONCE)
        again = post(me, "/orders", {**ORDER, "quantity": 3}, **ONCE)
        assert problem(again) == (422, "idempotency_key_reused")

    def test_a_refused_order_may_be_sent_again(self, desk, me):
        many = {**ORDER, "quantity": 2e6}
        assert problem(refused := post(me, "/orders", many, **ONCE)) == (422, "risk_refused"), refused.content
        assert post(me, "/orders", ORDER, **ONCE).status_code == 201

    def test_a_client_order_id_gives_its_order_again(self, desk, me):
        order = {**ORDER, "client_order_id": "mine"}
        first, *others = (post(me, "/orders", order, **key) for key in ({}, {}, ONCE, ONCE))
        assert "Idempotency-Replayed" not in first
        for each in others:
            assert (answer(each)["id"], each["Idempotency-Replayed"]) == (answer(first)["id"], "true")

    @pytest.mark.parametrize("other", [{"quantity": 3}, {"reduce_only": True}])
    def test_a_client_order_id_is_of_one_order(self, desk, me, other):
        post(me, "/orders", {**ORDER, "client_order_id": "mine"})
        again = post(me, "/orders", {**ORDER, "client_order_id": "mine", **other})
        assert problem(again) == (422, "client_order_id_reused")


class TestRefused:
    def test_a_stopped_account_opens_nothing(self, desk, me):
        post(me, "/trading/stop")
        desk.run()
        desk.keep_alive()
        refused = post(me, "/orders", ORDER, **ONCE)
        assert problem(refused) == (409, "trading_stopped")
        assert {check["name"] for check in answer(refused)["checks"] if not check["passed"]} == {"trading"}

    def test_without_the_engine_nothing_is_opened(self, desk, me):
        desk.away()
        refused = post(me, "/orders", ORDER, **ONCE)
        assert problem(refused) == (503, "engine_unavailable")
        assert refused["Retry-After"] == "1"

    def test_without_the_engine_an_order_that_only_reduces_waits_for_it(self, desk, me):
        desk.buy()
        desk.away()
        exit_ = {"symbol": COIN, "side": "sell", "quantity": 1}
        assert problem(post(me, "/orders", exit_, **ONCE)) == (503, "engine_unavailable")
        placed = post(me, "/orders", {**exit_, "reduce_only": True})
        assert placed.status_code == 201, placed.content
        desk.print(2, 100.0)
        assert not desk.state.positions

    def test_it_says_what_is_wrong(self, desk, me):
        refused = post(me, "/orders", {**ORDER, "quantity": 1e6}, **ONCE)
        assert problem(refused) == (422, "risk_refused")
        failed = [check for check in answer(refused)["checks"] if not check["passed"]]
        assert failed[0]["value"] > failed[0]["limit"]
        message = answer(refused)["message"]
        assert message.startswith("symbol exposure ")
        assert " percent of equity would be over the limit of " in message
        assert message.split("; ")[0] == failed[0]["message"]

    @pytest.mark.parametrize(("path", "body"), [("/orders", ORDER), ("/trade/preview", ORDER)])
    def test_an_unknown_symbol_is_404(self, desk, me, path, body):
        refused = post(me, path, {**body, "symbol": "NOTHING"}, **ONCE)
        assert problem(refused) == (404, "unknown_symbol")
        assert not OrderRow.objects.exists()

    def test_an_unknown_price_opens_nothing(self, desk, me):
        market_store().set_instrument(Instrument("NOTHING"))
        refused = post(me, "/orders", {**ORDER, "symbol": "NOTHING", "quantity": 1}, **ONCE)
        assert problem(refused) == (409, "no_reference_price")

    def test_anothers_account_is_not_there(self, desk, api):
        stranger = trader(accounts=["OTHER"])
        for name in ("ACC", "NONE"):
            refused = post(stranger, f"/orders?account={name}", ORDER, **ONCE)
            assert problem(refused) == (404, "unknown_account")

    def test_of_several_accounts_one_must_be_named(self, desk, api):
        other_account()
        assert problem(post(api, "/orders", ORDER, **ONCE)) == (400, "account_required")


class TestRevoked:
    def test_a_key_that_is_revoked_opens_nothing_from_that_moment(self, desk, me):
        assert post(me, "/orders", ORDER, **ONCE).status_code == 201
        # The caches still have the key as it was.
        ApiKey.objects.filter(name="test").update(revoked_at="2025-01-01T00:00:00Z")
        refused = post(me, "/orders", ORDER, Idempotency_Key="k-2")
        assert problem(refused) == (401, "revoked_api_key")
        assert "WWW-Authenticate" in refused
        assert desk.open_orders() == 1

    def test_nor_one_that_lost_its_scope(self, desk, me):
        post(me, "/orders", ORDER, **ONCE)
        ApiKey.objects.filter(name="test").update(scopes=["trading:read"])
        assert problem(post(me, "/orders", ORDER, Idempotency_Key="k-2")) == (403, "missing_scope")


class TestSigned:
    def test_an_account_may_demand_signed_requests(self, desk, me):
        assert post(me, "/accounts/ACC", {"requires_signature": True}, "PATCH").status_code == 200
        refused = post(me, "/orders", ORDER, **ONCE)
        assert problem(refused) == (401, "signature_required")
        assert problem(post(me, "/accounts/ACC", {"requires_signature": False}, "PATCH"))[0] == 401

    def test_but_it_can_be_stopped_without_one(self, desk, me):
        post(me, "/accounts/ACC", {"requires_signature": True}, "PATCH")
        assert post(me, "/trading/stop").status_code == 200
        assert post(me, "/orders", None, "DELETE").status_code == 202


class TestReplacing:
    @pytest.fixture
    def order_id(self, me) -> str:
        return str(answer(post(me, "/orders", {**ORDER, "client_order_id": "first"}))["id"])

    def test_the_new_order_takes_the_old_ones_place(self, desk, me, order_id):
        response = post(me, f"/orders/{order_id}", {"limit_price": 98}, "PATCH")
        assert response.status_code == 201, response.content
        document = answer(response)
        assert (document["limit_price"], document["quantity"], document["replaces"]) == (98.0, 2.0, order_id)
        assert document["client_order_id"] is None
        desk.print(5, 105.0)
        assert desk.find(order_id).state == "replaced"

    def test_a_retry_finds_it_replaced(self, desk, me, order_id):
        post(me, f"/orders/{order_id}", {"limit_price": 98}, "PATCH")
        assert problem(post(me, f"/orders/{order_id}", {"limit_price": 98}, "PATCH")) == (
            409,
            "order_not_open",
        )

    def test_a_retry_finds_the_new_one_after_the_old_one_has_filled(self, desk, me):
        order = {**ORDER, "quantity": 10, "client_order_id": "old"}
        old = answer(post(me, "/orders", order))["id"]
        desk.print(2, 105.0)
        change = {"quantity": 10, "limit_price": 98, "client_order_id": "second"}
        new = answer(post(me, f"/orders/{old}", change, "PATCH"))["id"]
        # Fills the old order before its cancel takes effect.
        desk.print(2.01, 98.5, 4)
        desk.print(5, 105.0)
        assert (desk.find(old).filled, desk.find(old).state) == (4, "replaced")
        assert desk.find(new).terms.quantity == 6
        assert answer(post(me, f"/orders/{old}", change, "PATCH"))["id"] == new
        another = post(me, f"/orders/{old}", {**change, "quantity": 6}, "PATCH")
        assert problem(another) == (422, "client_order_id_reused")

    @pytest.mark.parametrize("change", [{"limit_price": 98}, {"quantity": 4}, {"time_in_force": "gtc"}])
    def test_a_retry_after_a_split_finds_the_new_one(self, desk, me, order_id, change):
        """What the request does not name comes from the old order, which the split has changed."""
        change = {**change, "client_order_id": "second"}
        new = answer(post(me, f"/orders/{order_id}", change, "PATCH"))["id"]
        split = {"timestamp": at_ns(3), "kind": "split", "ratio": 2.0}
        stored(CORPORATE_ACTIONS, COIN, [split])
        desk.print(5, 52.5)
        assert desk.find(new).terms.quantity == 2 * change.get("quantity", 2)
        assert answer(post(me, f"/orders/{order_id}", change, "PATCH"))["id"] == new

    def test_a_retry_is_of_the_same_order(self, desk, me, order_id):
        other = answer(post(me, "/orders", {**ORDER, "client_order_id": "other"}))["id"]
        change = {"limit_price": 98, "client_order_id": "second"}
        post(me, f"/orders/{order_id}", change, "PATCH")
        again = post(me, f"/orders/{other}", change, "PATCH")
        assert problem(again) == (422, "client_order_id_reused")

    def test_its_id_must_be_new(self, desk, me, order_id):
        change = {"limit_price": 98, "client_order_id": "first"}
        assert problem(post(me, f"/orders/{order_id}", change, "PATCH")) == (422, "client_order_id_reused")

    @pytest.mark.parametrize(
        ("change", "error"),
        [
            ({}, ("", "required")),
            ({"stop_price": 90}, ("stop_price", "unfit")),
            ({"limit_price": None}, ("limit_price", "required")),
            ({"side": "sell"}, ("side", "unknown_field")),
        ],
    )
    def test_what_does_not_fit_is_refused(self, me, order_id, change, error):
        refused = post(me, f"/orders/{order_id}", change, "PATCH")
        assert problem(refused) == (422, "validation_failed")
        (found,) = answer(refused)["errors"]
        assert (found["path"], found["code"]) == error


class TestCancelling:
    @pytest.fixture
    def order_id(self, me) -> str:
        return str(answer(post(me, "/orders", ORDER, **ONCE))["id"])

    def test_a_cancel_is_on_its_way(self, desk, me, order_id):
        for _ in range(2):
            response = post(me, f"/orders/{order_id}", None, "DELETE")
            assert (response.status_code, answer(response)["status"]) == (202, "pending_cancel")
        desk.print(5, 105.0)
        assert desk.find(order_id).state == "cancelled"
        assert problem(post(me, f"/orders/{order_id}", None, "DELETE")) == (409, "order_not_open")

    def test_it_needs_no_engine(self, desk, me, order_id):
        desk.away()
        assert post(me, f"/orders/{order_id}", None, "DELETE").status_code == 202

    def test_all_are_cancelled_at_once(self, desk, me, order_id):
        response = post(me, "/orders?account=ACC", None, "DELETE")
        assert (response.status_code, answer(response)["cancelled"]) == (202, [order_id])
        assert answer(post(me, "/orders", None, "DELETE"))["cancelled"] == []

    @pytest.mark.parametrize("order", ["nonsense", "0b6f2c1e-3a57-4a52-9a37-5d6b8d2f7c11"])
    def test_an_unknown_order_is_404(self, desk, me, order):
        assert problem(post(me, f"/orders/{order}", None, "DELETE")) == (404, "unknown_order")

    def test_so_is_anothers(self, desk, order_id):
        stranger = trader(accounts=["OTHER"])
        assert problem(post(stranger, f"/orders/{order_id}", None, "DELETE")) == (404, "unknown_order")
        assert OrderRow.objects.get(uuid=order_id).state == "accepted"


class TestClosing:
    def test_a_position_is_closed(self, desk, me):
        desk.buy(3)
        response = post(me, f"/accounts/ACC/positions/{COIN.lower()}/close")
        assert response.status_code == 201, response.content
        document = answer(response)
        assert (document["side"], document["quantity"], document["reduce_only"]) == ("sell", 3.0, True)
        desk.print(2, 100.0)
        assert not desk.state.positions

    @pytest.mark.parametrize("body", [{"strategy": "momentum"}, {}])
    def test_a_position_that_is_not_there_is_404(self, desk, me, body: dict[str, Any]):
        assert problem(post(me, f"/accounts/ACC/positions/{COIN}/close", body)) == (404, "unknown_position")

    def test_it_needs_no_engine(self, desk, me):
        desk.buy()
        desk.away()
        assert post(me, f"/accounts/ACC/positions/{COIN}/close").status_code == 201


def test_options_describe_the_body(me: Api):
    described = answer(me.call("OPTIONS", "/api/v1/orders"))
    assert "limit_price" in described["actions"]["POST"]
