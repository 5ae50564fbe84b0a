"""Accounts over HTTP beside a broker's statement, and adjusting entries."""

from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit.models import AuditRecord
from store.instruments import Instrument
from tests.api_client import Api, answer, problem
from tests.chance import SOAK
from tests.trading.calls import COIN, ORDER, CallDesk, post, trader
from tests.trading.desks import prints
from trades.exceptions import BatchRefused
from trades.stores import market_store
from trading.api.statements import read_statement
from trading.core.statement import Statement
from trading.core.terms import AccountKind
from trading.models import EventRow, LogProgress, TransactionRow
from trading.verification import account_verify
from web.requests.exceptions import MalformedDocument

CSV = "text/csv"
RECONCILE, ADJUSTMENTS = "/accounts/ACC/reconcile", "/accounts/ACC/adjustments"
SHARES = {"symbol": COIN, "quantity": 1, "price": 100, "reason": "bought by telephone"}
FEE = {"cash": -12.5, "reason": "the broker's fee"}


@pytest.fixture
def desk(api: Api) -> CallDesk:
    """Two coins, of which the cost is 100 each, and the cash less a fee."""
    desk = CallDesk()
    desk.buy(2)
    return desk


@pytest.fixture
def me(desk: CallDesk) -> Api:
    return trader("trading:read")


@pytest.fixture
def officer(desk: CallDesk) -> Api:
    return trader("trading:read", "risk:write")


def reconcile(api: Api, text: str, query: str = "") -> Any:
    return api.call("POST", f"/api/v1{RECONCILE}{query}", text.encode(), content_type=CSV)


def kinds(response: Any) -> list[tuple[str | None, str]]:
    assert response.status_code == 200, response.content
    return [(each["symbol"], each["kind"]) for each in answer(response)["breaks"]]


class TestReconcile:
    def test_what_agrees_is_counted(self, desk, me):
        response = reconcile(me, f"price,symbol,quantity\n100.02,coin,2\n,$CASH,{desk.state.cash}\n")
        found = answer(response)
        assert (found["breaks"], found["agreed"], found["orders"], found["executions"]) == ([], 2, [], [])
        assert response["X-Account-Event"] == str(found["event"]) == str(desk.account.number)
        assert desk.account.number == found["event"]

    def test_a_break_is_told_with_its_value_and_what_may_be_its_cause(self, desk, me):
        order_id = answer(post(trader(), "/orders", ORDER, Idempotency_Key="k"))["id"]
        found = answer(reconcile(me, f"symbol,quantity\n{COIN},5\n"))
        (told,) = found["breaks"]
        (position,) = told.pop("positions")
        assert told == {
            "kind": "quantity", "symbol": COIN, "ours": 2.0, "theirs": 5.0, "difference": 3.0, "value": 300.0,
            "price": None,
        }  # fmt: skip
        assert (position["strategy"], position["quantity"]) == (None, 2.0)
        assert [each["id"] for each in found["orders"]] == [order_id]
        assert [each["quantity"] for each in found["executions"]] == [2.0]

    def test_an_execution_of_long_ago_is_no_cause(self, desk, me):
        prints(COIN, (90_000, 100.0, 1))
        desk.run()
        desk.run()
        assert answer(reconcile(me, "symbol,quantity\n"))["executions"] == []

    def test_a_symbol_that_nobody_knows_has_no_value(self, me):
        found = answer(reconcile(me, f"symbol,quantity\n{COIN},2\nWHAT,-1\n"))
        assert [(each["symbol"], each["value"]) for each in found["breaks"]] == [("WHAT", None)]

    def test_json_says_the_same(self, desk, me):
        rows = [{"symbol": "COIN", "quantity": 2, "price": 99}, {"symbol": "$CASH", "quantity": 5.5}]
        response = post(me, RECONCILE, {"positions": rows})
        assert kinds(response) == [(COIN, "price"), (None, "cash")]
        assert answer(response)["breaks"][1]["value"] == 5.5 - float(desk.state.cash)

    def test_tolerances_are_given(self, desk, me):
        text = f"symbol,quantity,price\n{COIN},2,99\n$CASH,{desk.state.cash + 3},\n"
        assert len(kinds(reconcile(me, text))) == 2
        assert kinds(reconcile(me, text, "?price_tolerance=2")) == [(None, "cash")]
        assert kinds(reconcile(me, text, "?price_tolerance=2&cash_tolerance=3")) == []

    def test_an_alias_is_its_symbol(self, me):
        market_store().set_instrument(
            Instrument(COIN, instrument_class="crypto", currency="USD", aliases=("KOIN",))
        )
        assert kinds(reconcile(me, "symbol,quantity\nkoin,2\n")) == []
        refused = reconcile(me, "symbol,quantity\nKOIN,2\nCOIN,2\n")
        assert answer(refused)["errors"][0]["code"] == "repeated"

    def test_other_columns_are_skipped_if_asked(self, me):
        text = f"symbol,name,quantity\n{COIN},A coin,2\n"
        assert answer(reconcile(me, text))["errors"][0]["code"] == "unknown_field"
        assert kinds(reconcile(me, text, "?unknown=ignore")) == []

    @pytest.mark.parametrize(
        ("text", "errors"),
        [
            ("symbol,quantity\nA,x\n\nB,1\n,2\n", [("positions[0].quantity", "invalid_type", 2), ("positions[2].symbol", "null", 5)]),
            ("symbol,quantity\nA,1\nB,\n", [("positions[1].quantity", "null", 3)]),
            ("symbol,price\nA,1\n", [("quantity", "required", 1)]),
            (f"{COIN},2.5,130\n", [("symbol", "required", 1), ("quantity", "required", 1), (COIN, "unknown_field", 1), ("2.5", "unknown_field", 1), ("130", "unknown_field", 1)]),
            ("symbol,quantity,a[0]\nA,1,2\n", [("a[0]", "unknown_field", 1)]),
            ("symbol,quantity\nA,-1e-400\n", [("positions[0].quantity", "too_precise", 2)]),
            ("symbol,quantity\nA,1e-10\n", [("positions[0].quantity", "too_precise", 2)]),
            ('symbol,quantity\nA,"1,000"\n', [("positions[0].quantity", "invalid_type", 2)]),
            ("symbol,quantity\nA,1\nB,1\na,2\n", [("positions[2].symbol", "repeated", 4)]),
            ("symbol,quantity\n$CASH,1\n$CASH,2\n", [("positions[1].symbol", "repeated", 3)]),
        ],
        ids=["several", "no quantity", "no column", "no header", "other column", "underflow", "too precise", "thousands", "twice", "cash twice"],
    )  # fmt: skip
    def test_each_wrong_line_is_named(self, me, text, errors):
        refused = reconcile(me, text)
        assert problem(refused) == (422, "validation_failed")
        found = answer(refused)["errors"]
        assert [(each["path"], each["code"]) for each in found] == [(path, code) for path, code, _ in errors]
        assert [each["message"].split(":")[0] for each in found] == [f"line {line}" for *_, line in errors]

    @pytest.mark.parametrize(
        ("body", "media_type", "code"),
        [
            (b"\n", CSV, (400, "malformed_csv")),
            (b"symbol,quantity\nA\n", CSV, (400, "malformed_csv")),
            (b"symbol,symbol\nA,1\n", CSV, (400, "duplicate_key")),
            (b"", "application/json", (400, "malformed_json")),
            (b"[]", "application/json", (422, "validation_failed")),
            (b"symbol", "text/plain", (415, "unsupported_media_type")),
        ],
        ids=["empty", "ragged", "column twice", "no document", "no object", "other type"],
    )
    def test_a_body_that_is_no_statement(self, me, body, media_type, code):
        assert problem(me.call("POST", f"/api/v1{RECONCILE}", body, content_type=media_type)) == code

    def test_a_stray_quotation_mark_is_found(self, me):
        for body in ('symbol,quantity\r\nA,1\r\nB,"1\r\n', 'symbol,quantity\r"A",1\r\nB",1\r\n'):
            refused = reconcile(me, body)
            assert problem(refused) == (400, "malformed_csv")
            assert "line 3: a quotation mark" in answer(refused)["detail"]

    def test_a_header_is_needed_and_no_rows_are(self, me):
        assert (
            "the first line must name the columns symbol, quantity"
            in answer(reconcile(me, f"{COIN},2\n"))["detail"]
        )
        for rows in ("", f"{COIN},0e5\n"):
            assert kinds(reconcile(me, f"symbol,quantity\n{rows}")) == [(COIN, "missing_there")]

    @pytest.mark.parametrize("value", ["-1", "x", "nan", "1e3", "0.0000001"])
    def test_a_tolerance_is_a_plain_number(self, me, value):
        refused = reconcile(me, "symbol,quantity\n", f"?cash_tolerance={value}")
        assert problem(refused) == (400, "invalid_number")

    def test_who_may_ask(self, desk):
        assert problem(reconcile(trader("trading:write"), "symbol,quantity\n")) == (403, "missing_scope")
        stranger = trader("trading:read", accounts=["OTHER"])
        assert problem(reconcile(stranger, "symbol,quantity\n")) == (404, "unknown_account")


class TestAdjust:
    def test_the_cash(self, desk, officer):
        before = desk.state.cash
        response = post(officer, ADJUSTMENTS, FEE)
        assert response.status_code == 201, response.content
        found = answer(response)
        assert (found["kind"], found["amount"], found["symbol"]) == ("cash_adjusted", -12.5, None)
        assert [(each["account"], each["amount"]) for each in found["entries"]] == [
            ("cash", -12.5), ("adjustment", 12.5),
        ]  # fmt: skip
        assert response["X-Account-Event"] == str(found["event"])
        assert float(desk.state.cash - before) == -12.5
        rows = answer(officer.get("/api/v1/transactions", {"kind": "cash_adjusted"}))["transactions"]
        assert rows == [found]
        assert account_verify(account=desk.account) is None
        desk.check()

    def test_a_loss_and_no_withdrawal(self, desk, officer):
        post(officer, ADJUSTMENTS, {"cash": -2_000, "reason": "a withdrawal tax"})
        desk.print(5, 100.0)
        assert 1.9 < desk.state.drawdown < 2.1

    def test_a_position(self, desk, officer):
        before = desk.state.cash
        found = answer(post(officer, ADJUSTMENTS, SHARES | {"quantity": -3, "price": 104}))
        assert (found["kind"], found["symbol"], found["amount"]) == ("position_adjusted", COIN, 0.0)
        assert desk.state.cash == before
        assert desk.state.positions[COIN].quantity == -1
        assert account_verify(account=desk.account) is None
        desk.check()

    def test_the_engine_follows_what_was_never_ordered(self, desk, officer):
        market_store().set_instrument(Instrument("NEW", instrument_class="crypto", currency="USD"))
        prints("NEW", (1, 50.0, 10))
        body = SHARES | {"symbol": "NEW", "strategy": "s", "quantity": 100, "price": 50}
        assert post(officer, ADJUSTMENTS, body).status_code == 201
        assert LogProgress.objects.filter(symbol="NEW", dataset="trades").exists()
        high = desk.state.high_water
        prints("NEW", (10, 90.0, 10))
        desk.run()
        assert desk.state.high_water > high
        desk.check()

    def test_what_the_statement_says_is_reached(self, desk, officer):
        text = f"symbol,quantity,price\n{COIN},1.5,97\nNEW,-4,20\n$CASH,90000.25,\n"
        market_store().set_instrument(Instrument("NEW", instrument_class="equity", currency="USD"))
        for _ in range(2):
            for told in answer(reconcile(officer, text))["breaks"]:
                entry = {"symbol": told["symbol"], "quantity": told["difference"], "price": told["price"]}
                if told["kind"] == "cash":
                    entry = {"cash": told["difference"]}
                if told["kind"] == "price":
                    entry["quantity"] = 0
                response = post(officer, ADJUSTMENTS, entry | {"reason": "the broker's statement"})
                assert response.status_code == 201, response.content
        assert kinds(reconcile(officer, text)) == []
        assert account_verify(account=desk.account) is None
        desk.check()

    def test_not_while_an_order_of_the_symbol_is_open(self, desk, officer):
        post(trader(), "/orders", ORDER, Idempotency_Key="k")
        assert problem(post(officer, ADJUSTMENTS, SHARES)) == (409, "adjustment_refused")
        assert post(officer, ADJUSTMENTS, FEE).status_code == 201

    def test_not_after_a_change_that_was_not_seen(self, desk, officer):
        seen = answer(reconcile(officer, "symbol,quantity\n"))["event"]
        first = post(officer, ADJUSTMENTS, FEE | {"event": seen})
        assert first.status_code == 201
        for body in (FEE, SHARES):
            refused = post(officer, ADJUSTMENTS, body | {"event": seen})
            assert problem(refused) == (409, "adjustment_refused")
        unborn = FEE | {"event": desk.account.number + 1}
        assert problem(post(officer, ADJUSTMENTS, unborn)) == (409, "adjustment_refused")
        for event in (-1, 2**53 + 1, 2**63):
            refused = post(officer, ADJUSTMENTS, FEE | {"event": event}, Idempotency_Key=f"k{event}")
            assert problem(refused) == (422, "validation_failed")
        again = SHARES | {"event": answer(first)["event"]}
        assert post(officer, ADJUSTMENTS, again).status_code == 201

    def test_once_with_a_key(self, desk, officer):
        first, second = (post(officer, ADJUSTMENTS, FEE, Idempotency_Key="k") for _ in range(2))
        assert (answer(second), second["Idempotency-Replayed"]) == (answer(first), "true")
        assert EventRow.objects.filter(name="cash_adjusted").count() == 1

    def test_a_future_s_quantity_is_told_too(self, desk, officer):
        future = Instrument("FUT", instrument_class="future", currency="USD", multiplier=50.0)
        market_store().set_instrument(future)
        assert post(officer, ADJUSTMENTS, SHARES | {"symbol": "FUT"}).status_code == 201
        assert TransactionRow.objects.get(symbol="FUT").entries == []
        assert account_verify(account=desk.account) is None

    def test_a_cash_account_is_never_short(self, api):
        CallDesk(kind=AccountKind.CASH)
        refused = post(trader("risk:write"), ADJUSTMENTS, SHARES | {"quantity": -1})
        assert problem(refused) == (409, "adjustment_refused")

    def test_no_price_for_what_is_not_held(self, officer):
        refused = post(officer, ADJUSTMENTS, SHARES | {"quantity": 0, "strategy": "s"})
        assert problem(refused) == (404, "unknown_position")

    def test_it_is_recorded_with_its_reason_and_by_whom(self, desk, officer):
        post(officer, ADJUSTMENTS, FEE)
        record = AuditRecord.objects.filter(audit_class="risk").latest("pk")
        assert str(FEE["reason"]) in str(record.detail)
        event = orjson.loads(EventRow.objects.get(name="cash_adjusted").body)
        assert (event["reason"], event["by"][:4]) == (FEE["reason"], "key:")

    def test_who_may_adjust(self, desk, me):
        assert problem(post(me, ADJUSTMENTS, FEE)) == (403, "missing_scope")
        stranger = trader("risk:write", accounts=["OTHER"])
        assert problem(post(stranger, ADJUSTMENTS, FEE)) == (404, "unknown_account")
        post(trader(), "/accounts/ACC", {"requires_signature": True}, "PATCH")
        officer = trader("risk:write")
        assert problem(post(officer, ADJUSTMENTS, FEE)) == (401, "signature_required")

    @pytest.mark.parametrize(
        ("body", "path", "code"),
        [
            ({"reason": "x"}, "symbol", "required"),
            ({"cash": 1}, "reason", "required"),
            ({"cash": 0, "reason": "x"}, "cash", "out_of_range"),
            ({"cash": 1e-7, "reason": "x"}, "cash", "too_precise"),
            (SHARES | {"cash": 1}, "symbol", "unfit"),
            ({**SHARES, "price": -1}, "price", "nonpositive_price"),
            ({**SHARES, "price": None}, "price", "null"),
            ({**SHARES, "symbol": "NOPE"}, "symbol", "unknown_symbol"),
            ({**SHARES, "event": -1}, "event", "out_of_range"),
            ({**SHARES, "amount": 1}, "amount", "unknown_field"),
        ],
        ids=[
            "empty",
            "no reason",
            "no cash",
            "too precise",
            "both",
            "price",
            "null",
            "unknown",
            "event",
            "other",
        ],
    )
    def test_a_wrong_body_is_refused(self, officer, body, path, code):
        refused = post(officer, ADJUSTMENTS, body)
        assert refused.status_code == 422
        assert [(each["path"], each["code"]) for each in answer(refused)["errors"]] == [(path, code)]


VALID = b"symbol,quantity,price\nAAPL,100,189.98\nBTC-USD,0.5,\n$CASH,81001.25,\n"


@given(data=st.data())
@settings(max_examples=1_000 if SOAK else 30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_torn_csv_is_read_or_refused(default_store: Any, data: st.DataObject):
    body = bytearray(VALID)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(body)))
        body[at : at + data.draw(st.integers(0, 3))] = data.draw(
            st.binary(max_size=3)
            | st.sampled_from([b",", b'"', b"\n", b"\r\n", b"-", b"e5", b"nan", b"\x00"])
        )
    try:
        statement = read_statement(bytes(body), CSV, ignore_unknown=data.draw(st.booleans()))
    except (MalformedDocument, BatchRefused):
        return
    assert isinstance(statement, Statement)
