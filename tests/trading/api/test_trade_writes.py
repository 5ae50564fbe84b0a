"""Trades in two steps: previewed, executed once, refused with a new preview if something has changed."""

import time
from contextlib import contextmanager
from threading import Barrier, Thread
from typing import Any
from uuid import uuid4

import pytest
from django.db import OperationalError, connection, connections

from audit.models import AuditRecord
from ratelimit.models import ApiKey
from tests.api_client import Api, answer, make_key, problem
from tests.trading.calls import COIN, ORDER, CallDesk, post, trader
from tests.trading.desks import prints
from trading.models import OrderRow


def previewed(caller: Api, **changes: object) -> str:
    response = post(caller, "/trade/preview", {**ORDER, **changes})
    assert response.status_code == 200, response.content
    return str(answer(response)["preview_id"])


def execute(caller: Api, preview_id: str, **headers: str) -> Any:
    return post(caller, "/trade/execute", {"preview_id": preview_id}, **headers)


class TestPreview:
    def test_it_says_what_an_order_would_do(self, desk, me):
        document = answer(post(me, "/trade/preview", {**ORDER, "quantity": 10}))
        # The fee is 10 basis points.
        assert (document["cost"], document["worst_cost"], document["fee"]) == (990.99, 990.99, 0.99)
        assert (document["currency"], document["would_be_accepted"]) == ("USD", True)
        assert document["reference"]["price"] == 100.0
        assert document["exposure_after"] == document["gross_after"] == 990.0
        assert all(check["passed"] for check in document["checks"])
        assert desk.open_orders() == 0

    @pytest.mark.parametrize(
        ("changes", "costs"),
        [
            ({}, (1001.0, 1051.05, 1.0)),
            ({"type": "stop", "stop_price": 102}, (1021.02, 1072.071, 1.02)),
            ({"type": "limit", "limit_price": 103}, (1031.03, 1031.03, 1.03)),
            ({"side": "sell"}, (1001.0, 1051.05, 1.0)),
        ],
        ids=["market", "stop", "limit", "sale"],
    )
    def test_the_cost_is_at_the_price_and_the_worst_cost_at_the_collar(self, desk, me, changes, costs):
        order = {**ORDER, "type": "market", "quantity": 10, **changes}
        if order["type"] != "limit":
            del order["limit_price"]
        document = answer(post(me, "/trade/preview", order))
        assert (document["cost"], document["worst_cost"], document["fee"]) == costs

    def test_an_order_that_would_be_refused_is_previewed_all_the_same(self, desk, me):
        document = answer(post(me, "/trade/preview", {**ORDER, "quantity": 1e6}))
        assert not document["would_be_accepted"]
        assert [check["name"] for check in document["checks"] if not check["passed"]]

    def test_without_the_engine_there_is_none(self, desk, me):
        desk.away()
        assert problem(post(me, "/trade/preview", ORDER)) == (503, "engine_unavailable")


class TestExecute:
    def test_its_order_is_placed(self, desk, me):
        response = execute(me, previewed(me))
        assert response.status_code == 201, response.content
        document = answer(response)
        assert (document["status"], document["limit_price"]) == ("accepted", 99.0)
        assert response["X-Account-Event"] == str(document["event"])
        assert AuditRecord.objects.latest("sequence").audit_class == "trading"

    def test_a_preview_is_executed_once(self, desk, me):
        preview_id = previewed(me)
        first, second = execute(me, preview_id), execute(me, preview_id)
        assert problem(second) == (409, "preview_used")
        assert answer(second)["order_id"] == answer(first)["id"]
        assert desk.open_orders() == 1

    def test_it_holds_for_half_a_minute(self, desk, me):
        desk.buy()
        preview_id = previewed(me)
        desk.print(29, 100.0)
        desk.print(40, 100.0)
        assert problem(execute(me, preview_id)) == (409, "preview_expired")

    def test_an_unknown_one_is_404(self, me):
        assert problem(execute(me, str(uuid4()))) == (404, "unknown_preview")

    def test_a_changed_one_is_404(self, desk, me):
        preview_id = previewed(me)
        changed = preview_id.replace(preview_id[10], "A" if preview_id[10] != "A" else "B", 1)
        assert problem(execute(me, changed)) == (404, "unknown_preview")
        assert desk.open_orders() == 0

    def test_anothers_is_404(self, desk, me):
        preview_id = previewed(me)
        assert problem(execute(trader(), preview_id)) == (404, "unknown_preview")
        assert desk.open_orders() == 0

    def test_so_is_that_of_an_account_that_was_taken_away(self, desk, me):
        preview_id = previewed(me)
        ApiKey.objects.filter(name="test").update(accounts=["OTHER"])
        assert problem(execute(me, preview_id)) == (404, "unknown_preview")

    def test_it_may_name_the_previews_account(self, desk, me):
        preview_id = previewed(me)
        for account, found in (("OTHER", (404, "unknown_account")), ("ACC", None)):
            response = post(me, f"/trade/execute?account={account}", {"preview_id": preview_id})
            assert (response.status_code == 201) if found is None else (problem(response) == found)

    def test_without_the_engine_it_is_refused(self, desk, me):
        preview_id = previewed(me)
        desk.away()
        assert problem(execute(me, preview_id)) == (503, "engine_unavailable")

    def test_its_client_order_id_must_still_be_new(self, desk, me):
        previews = [previewed(me, client_order_id="mine", quantity=quantity) for quantity in (2, 2, 3)]
        first, same, other = (execute(me, each) for each in previews)
        assert first.status_code == 201
        assert (problem(same), answer(same)["order_id"]) == ((409, "preview_used"), answer(first)["id"])
        assert problem(other) == (422, "client_order_id_reused")


class TestStale:
    def refused(self, caller: Api, preview_id: str) -> dict[str, Any]:
        response = execute(caller, preview_id)
        assert problem(response) == (409, "preview_stale")
        found: dict[str, Any] = answer(response)["preview"]
        return found

    def test_a_market_that_moved_gets_a_new_preview(self, desk, me):
        desk.buy()
        preview_id = previewed(me)
        desk.print(2, 101.0)
        anew = self.refused(me, preview_id)
        assert anew["reference"]["price"] == 101.0
        assert desk.open_orders() == 0
        assert execute(me, anew["preview_id"]).status_code == 201

    @pytest.mark.parametrize(("price", "status"), [(100.5, 201), (99.5, 201), (100.51, 409), (99.49, 409)])
    def test_a_price_may_move_by_half_a_per_cent(self, desk, me, price, status):
        preview_id = previewed(me)
        prints(COIN, (0, price, 10.0))
        assert execute(me, preview_id).status_code == status
        assert desk.open_orders() == (status == 201)

    def test_so_does_an_account_that_traded_meanwhile(self, desk, me):
        preview_id, other = previewed(me), previewed(me)
        execute(me, other)
        assert execute(me, str(self.refused(me, preview_id)["preview_id"])).status_code == 201

    def test_so_do_other_limits(self, desk, me, api):
        preview_id = previewed(me)
        config = answer(api.get("/api/v1/config"))["config"]
        changed = post(api, "/config/risk", {**config, "collar": 4}, "PUT", If_Match="*")
        assert changed.status_code == 200, changed.content
        self.refused(me, preview_id)

    def test_so_does_a_check_that_fails_now(self, desk, me):
        preview_id = previewed(me)
        post(me, "/trading/stop")
        anew = self.refused(me, preview_id)
        assert not anew["would_be_accepted"]


@contextmanager
def without_records():
    def refuse(execute, sql, params, many, context):
        if sql.startswith("INSERT INTO audit_auditrecord"):
            raise OperationalError("disk I/O error")
        return execute(sql, params, many, context)

    with connection.execute_wrapper(refuse):
        yield


class TestWithoutRecords:
    def test_nothing_is_executed(self, desk, me):
        preview_id = previewed(me)
        with without_records():
            assert problem(execute(me, preview_id)) == (503, "audit_unavailable")
            assert problem(post(me, "/orders", ORDER, Idempotency_Key="k")) == (503, "audit_unavailable")
        assert desk.open_orders() == 0
        assert execute(me, preview_id).status_code == 201

    def test_but_cancel_close_and_stop_work(self, desk, me):
        desk.buy()
        order_id = answer(execute(me, previewed(me)))["id"]
        with without_records():
            assert post(me, f"/orders/{order_id}", None, "DELETE").status_code == 202
            assert post(me, f"/accounts/ACC/positions/{COIN}/close").status_code == 201
            assert post(me, "/orders", None, "DELETE").status_code == 202
            assert post(me, "/trading/stop").status_code == 200
        assert {"cancel_requested", "stop_requested"} <= set(desk.names())


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("headers", [{}, {"Idempotency_Key": "k-1"}], ids=["bare", "keyed"])
def test_two_executes_at_once_make_one_order(api, headers):
    desk, key = CallDesk(), make_key(scopes=("trading:read", "trading:write"), accounts=["ACC"])
    preview_id, together = previewed(Api(key)), Barrier(4)
    answers = []

    def run() -> None:
        together.wait()
        # Threads share the database in memory, which is locked rather than waited for.
        while (response := execute(Api(key), preview_id, **headers)).status_code == 503:
            time.sleep(0.01)
        answers.append(response)
        connections.close_all()

    threads = [Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    statuses = sorted(each.status_code for each in answers)
    assert statuses == ([201, 201, 201, 201] if headers else [201, 409, 409, 409])
    assert len({answer(each).get("id") or answer(each)["order_id"] for each in answers}) == 1
    assert OrderRow.objects.filter(account=desk.account).count() == 1
